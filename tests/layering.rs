//! Who may import whom (`docs/architecture.md` section 3): the `use crate::` lines against the table.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, the layer it belongs to, and the modules of its own layer that it may use besides itself.
const TABLE: &[(&str, u8, &[&str])] = &[
    ("time", 0, &[]),
    ("random", 0, &[]),
    ("identity", 0, &[]),
    ("decimal", 0, &[]),
    ("sip", 1, &[]),
    ("diameter", 1, &[]),
    ("aka", 1, &[]),
    ("ip", 1, &[]),
    ("ipsec", 1, &["sip::header", "aka", "ip"]),
    ("cx", 1, &["diameter"]),
    ("reginfo", 1, &["sip"]),
    ("event", 2, &["ipsec::association"]),
    ("packet", 2, &["event", "ipsec::association"]),
    ("sip::keep_alive", 2, &["packet", "sip"]),
    ("sip::destination", 2, &["packet", "sip"]),
    ("sip::transaction", 2, &["packet", "sip"]),
    ("sip::overload", 2, &["packet", "sip"]),
    ("sip::proxy", 2, &["packet", "sip"]),
    ("diameter::peer", 2, &["packet", "event", "diameter"]),
    ("pcscf", 3, &[]),
    ("icscf", 3, &[]),
    ("scscf", 3, &[]),
    ("hss", 3, &[]),
    ("ue", 3, &[]),
    ("application_server", 3, &[]),
    ("mutation", 3, &[]),
    ("ims", 4, &["replay"]),
    ("capture", 4, &[]),
    ("ladder", 4, &["capture"]),
    ("trace", 4, &["capture", "ladder"]),
    ("validate", 4, &["trace", "ladder"]),
    ("convert", 4, &["capture", "trace"]),
    ("replay", 4, &["trace"]),
    ("diagnose", 4, &["trace", "validate"]),
    ("conformance", 4, &["trace", "validate", "ladder"]),
    ("derive", 4, &["trace"]),
    ("config", 4, &["conformance", "validate"]),
    ("sim", 5, &[]),
    ("live", 6, &[]),
    ("cli", 6, &["live"]),
];

/// The judge never shares the accused's code: these see no element.
const JUDGES: &[&str] =
    &["capture", "ladder", "trace", "validate", "replay", "diagnose", "mutation", "derive", "convert", "conformance"];
const ELEMENTS: &[&str] = &["pcscf", "icscf", "scscf", "hss", "ue", "application_server", "ims"];

/// What an element borrows from another: the same policy word on both sides of Gm.
/// The wiring is a word of the profile that only `ims` acts on.
const EXCEPTIONS: &[(&str, &str)] = &[("ue", "pcscf::SecAgreePolicy"), ("config", "ims::Wiring")];

type Row = (&'static str, u8, &'static [&'static str]);

fn module_of(path: &str) -> Option<&'static Row> {
    let holds = |name: &str| path == name || path.strip_prefix(name).is_some_and(|rest| rest.starts_with("::"));
    TABLE.iter().filter(|(name, ..)| holds(name)).max_by_key(|(name, ..)| name.len())
}

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("the source folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// `crate::` paths of the `use` lines outside test modules, groups spread out.
fn imports(text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    let mut found = Vec::new();
    for statement in code.split(';') {
        let Some(at) = statement.rfind("use crate::") else { continue };
        let path: String = statement[at + 11..].split_whitespace().collect();
        spread("", &path, &mut found);
    }
    found
}

fn spread(prefix: &str, path: &str, out: &mut Vec<String>) {
    let Some(open) = path.find('{') else {
        out.push(format!("{prefix}{path}"));
        return;
    };
    let head = format!("{prefix}{}", &path[..open]);
    let (mut depth, mut start) = (0, open + 1);
    for (i, c) in path.char_indices().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if (c == ',' && depth == 1) || (c == '}' && depth == 0) {
            if start < i {
                spread(&head, &path[start..i], out);
            }
            start = i + 1;
        }
    }
}

#[test]
fn arrows_never_go_up() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut seen) = (Vec::new(), BTreeMap::<&str, usize>::new());
    for file in &files {
        let relative = file.strip_prefix(&root).expect("below src").with_extension("");
        let path = relative.to_str().expect("UTF-8").replace('/', "::");
        let path = path.trim_end_matches("::mod");
        if matches!(path, "lib" | "main") {
            continue;
        }
        let Some((module, layer, same_layer)) = module_of(path) else {
            wrong.push(format!("{path} is not in the table"));
            continue;
        };
        *seen.entry(module).or_default() += 1;
        for import in imports(&fs::read_to_string(file).expect("readable")) {
            let Some((target, target_layer, _)) = module_of(&import) else { continue };
            let own = target == module || path.starts_with(target);
            let excepted = EXCEPTIONS.iter().any(|(m, i)| m == module && import.starts_with(i));
            let judge = JUDGES.contains(module) && ELEMENTS.contains(target);
            let sideways = same_layer.iter().any(|s| import.starts_with(s));
            if !(own || excepted || sideways || (target_layer < layer && !judge)) {
                wrong.push(format!("{path} (layer {layer}) uses crate::{import} (layer {target_layer})"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A table that matches nothing would pass everything.
    for module in ["sip", "pcscf", "ims", "time", "cx"] {
        assert!(seen.contains_key(module), "no file of {module} was looked at");
    }
}

#[test]
fn groups_are_spread() {
    let found = imports("use crate::a::{b, c::{D, E}};\nuse crate::f;\n#[cfg(test)]\nuse crate::hidden;");
    assert_eq!(found, ["a::b", "a::c::D", "a::c::E", "f"]);
}
