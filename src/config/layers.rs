//! One tree out of a profile, those it extends, and the flags on top.

use super::fault::Collector;
use super::profile::Setting;
use super::read::Path as KeyPath;
use super::source::{self, Sources};
use super::yaml::{self, Entry, Node, Value};
use std::path::{Path, PathBuf};

/// Reads everything; `None` after a fault that leaves no tree. `device` comes on top of the profile, below `settings`.
pub(super) fn read(
    name: &str,
    device: Option<&str>,
    settings: &[Setting],
    sources: &mut Sources,
    faults: &mut Collector,
) -> Option<Node> {
    let mut root = read_file(&source::profile_path(name, None), None, &mut Vec::new(), sources, faults)?;
    if let Some(device) = device {
        let device = read_file(&source::device_path(device), None, &mut Vec::new(), sources, faults)?;
        only_of_a_device(&device, faults);
        root = merge(root, device);
    }
    for setting in settings {
        let source = sources.add_flag(&setting.flag);
        apply(&mut root, setting, source);
    }
    Some(root)
}

fn read_file(
    path: &Path,
    asked_by: Option<&Node>,
    chain: &mut Vec<PathBuf>,
    sources: &mut Sources,
    faults: &mut Collector,
) -> Option<Node> {
    let key = KeyPath::Key(&KeyPath::Root, "extends");
    if let Some(node) = asked_by
        && chain.iter().any(|p| p == path)
    {
        let message = format!("{} extends itself in the end, a profile that does not expected", path.display());
        faults.at(node, key, message);
        return None;
    }
    let (origin, text) = match (source::read(path), asked_by) {
        (Ok(read), _) => read,
        (Err(why), Some(node)) => {
            faults.at(node, key, format!("{} {why}", path.display()));
            return None;
        }
        (Err(why), None) => {
            let origin = source::Origin { path: path.display().to_string(), embedded: false };
            let known: Vec<&str> = match path.parent().is_some_and(|folder| folder.ends_with("profiles/ue")) {
                true => source::embedded_devices().collect(),
                false => source::embedded_profiles().collect(),
            };
            let number = sources.add_file(&origin, String::new());
            faults.whole(number, format!("{why}; built in are {}", known.join(", ")));
            return None;
        }
    };
    chain.push(path.to_owned());
    let number = sources.add_file(&origin, text);
    let node = sources.parse(number, faults)?;
    let Some(extends) = entry(&node, "extends").map(|e| &e.value) else { return Some(node) };
    let name = match &extends.value {
        Value::Text(name) => name,
        Value::Null => return Some(node),
        _ => {
            faults.at(extends, key, "a list or mapping found, the name of one profile expected");
            return Some(node);
        }
    };
    let parent_path = source::profile_path(name, Some(path));
    match read_file(&parent_path, Some(extends), chain, sources, faults) {
        Some(parent) => Some(merge(parent, node)),
        // Its faults are noted. What this file says is judged all the same.
        None => Some(node),
    }
}

/// A device is a UE and its timers: what is of the network is said by the profile.
fn only_of_a_device(node: &Node, faults: &mut Collector) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries.iter().filter(|entry| !DEVICE_KEYS.contains(&&*entry.key)) {
        let message = format!("found in a device profile, one of {} expected", DEVICE_KEYS.join(", "));
        faults.at_id(entry.key_source, entry.key_id, KeyPath::Key(&KeyPath::Root, &entry.key), message);
    }
}

const DEVICE_KEYS: [&str; 3] = ["extends", "timers", "ue"];

fn entry<'n>(node: &'n Node, key: &str) -> Option<&'n Entry> {
    match &node.value {
        Value::Map(entries) => entries.iter().find(|e| &*e.key == key),
        _ => None,
    }
}

/// `over` on top of `base`: mappings by key, everything else whole. An empty value leaves a mapping as it is.
fn merge(base: Node, over: Node) -> Node {
    match (base.value, over.value) {
        (Value::Map(base_entries), Value::Map(over_entries)) => {
            let mut entries = base_entries;
            let inherited = entries.len();
            let mut replaced = vec![false; inherited];
            for entry in over_entries {
                match entries[..inherited].iter().position(|e| e.key == entry.key) {
                    Some(at) if !replaced[at] => {
                        replaced[at] = true;
                        let placeholder = Node { source: 0, id: 0, value: Value::Null };
                        let old = std::mem::replace(&mut entries[at].value, placeholder);
                        entries[at] = Entry { value: merge(old, entry.value), ..entry };
                    }
                    // Given twice in one file, which is told later.
                    _ => entries.push(entry),
                }
            }
            Node { value: Value::Map(entries), ..over }
        }
        (base_value @ Value::Map(_), Value::Null) => Node { value: base_value, ..base },
        (_, over_value) => Node { value: over_value, ..over },
    }
}

fn apply(root: &mut Node, setting: &Setting, source: u16) {
    let mut value = yaml::parse(&setting.value, source).unwrap_or_else(|_| Node {
        source,
        id: 0,
        value: Value::Text(setting.value.as_str().into()),
    });
    // `[::1]:5060` is a mapping for YAML.
    if matches!(value.value, Value::Map(_)) && !setting.value.trim_start().starts_with('{') {
        value.value = Value::Text(setting.value.as_str().into());
    }
    let path = setting.path.replace('[', ".").replace(']', "");
    // Host names have dots.
    let segments: Vec<&str> = match path.split_once('.') {
        Some(("hosts", name)) => vec!["hosts", name],
        _ => path.split('.').collect(),
    };
    let mut node = root;
    for segment in segments {
        node = step(node, segment, source);
    }
    *node = value;
}

/// The child of `node` called `segment`, made where there is none.
fn step<'n>(node: &'n mut Node, segment: &str, source: u16) -> &'n mut Node {
    let index = segment.parse::<usize>().ok();
    if matches!((&node.value, index), (Value::List(items), Some(i)) if i <= items.len()) {
        let Value::List(items) = &mut node.value else { unreachable!("it was a list in the line above") };
        let index = index.expect("it was a number in the line above");
        if index == items.len() {
            items.push(Node { source, id: 0, value: Value::Null });
        }
        return &mut items[index];
    }
    if !matches!(node.value, Value::Map(_)) {
        *node = Node { source, id: 0, value: Value::Map(Vec::new()) };
    }
    let Value::Map(entries) = &mut node.value else { unreachable!("made a mapping just now") };
    let at = entries.iter().position(|e| &*e.key == segment).unwrap_or_else(|| {
        let value = Node { source, id: 0, value: Value::Null };
        entries.push(Entry { key: segment.into(), key_id: 0, key_source: source, value });
        entries.len() - 1
    });
    &mut entries[at].value
}
