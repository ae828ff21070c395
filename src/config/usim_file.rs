//! The file that keeps a USIM's sequence numbers between two runs of `register --usim FILE`: YAML or JSON with one key,
//! `sqn`, a list of 32 (TS 33.102 annex C.1.2).

use super::Origin;
use super::fault::{Collector, Faults};
use super::read::{Fields, Path as KeyPath};
use super::source::Sources;
use super::subscribers::value::SQN;
use super::yaml;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// The 32 SQNs; `None` where there is no file yet.
pub fn read_usim_file(path: &Path) -> Result<Option<[u64; 32]>, Faults> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Faults::one(path.display().to_string(), "", format!("cannot be read: {e}"))),
    };
    let (mut sources, mut faults) = (Sources::default(), Collector::default());
    let source = sources.add_file(&Origin { path: path.display().to_string(), embedded: false }, text);
    let root = sources.parse(source, &mut faults);
    let array = root.and_then(|root| read(&root, &mut faults));
    faults.finish(&sources, Some(array))
}

fn read(root: &yaml::Node, faults: &mut Collector) -> Option<[u64; 32]> {
    let mut f = Fields::new(root, KeyPath::Root, faults);
    let before = faults.len();
    let list = f.list("sqn", SQN, faults);
    let array = list.as_ref().and_then(|list| <[u64; 32]>::try_from(list.as_slice()).ok());
    match &list {
        None if f.get("sqn").is_none() => f.missing("sqn", "a list of 32 sequence numbers", faults),
        Some(list) if array.is_none() && faults.len() == before => {
            let message = format!("{} found, 32 sequence numbers expected", list.len());
            faults.at(f.node_of("sqn"), KeyPath::Key(&f.path, "sqn"), message);
        }
        _ => {}
    }
    f.finish(faults);
    array
}

/// Replaces the file in one step: a crash leaves the old one or the new one. JSON where the name ends so.
pub fn write_usim_file(path: &Path, sqns: &[u64; 32]) -> io::Result<()> {
    let list: Vec<String> = sqns.iter().map(|sqn| format!("\"{sqn:012x}\"")).collect();
    let mut text = String::new();
    if path.extension().is_some_and(|e| e == "json") {
        let _ = writeln!(text, "{{\"sqn\": [{}]}}", list.join(", "));
    } else {
        text.push_str("# Sequence numbers of a USIM, one for each IND (TS 33.102 annex C), hexadecimal.\nsqn:\n");
        for sqn in list {
            let _ = writeln!(text, "  - {sqn}");
        }
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path).inspect_err(|_| drop(std::fs::remove_file(&new)))
}
