//! What the SIP tests share: the corpus outside the repository, read in place, and its indices.

use std::path::{Path, PathBuf};

/// The folder of the shared corpus: `$IMSREG_SHARED`, else `../shared` beside the repository. `None`: not here.
pub(crate) fn shared(test: &str, folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("IMSREG_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let path = root.join(folder);
    if path.exists() {
        return Some(path);
    }
    eprintln!("not run: {test}: {} is not here", path.display());
    None
}

/// A file.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The entries of an index in YAML: a list of maps with plain scalars at its first level, which is all we read.
pub(crate) fn index(path: &Path) -> Vec<Vec<(String, String)>> {
    let text = String::from_utf8(read(path)).expect("an index is UTF-8");
    let mut entries: Vec<Vec<(String, String)>> = Vec::new();
    for line in text.lines() {
        let (key, first) = match (line.strip_prefix("- "), line.strip_prefix("  ")) {
            (Some(rest), _) => (rest, true),
            (None, Some(rest)) if !rest.starts_with([' ', '-', '#']) => (rest, false),
            _ => continue,
        };
        let Some((key, value)) = key.split_once(": ") else { continue };
        if first {
            entries.push(Vec::new());
        }
        entries.last_mut().expect("an entry begins with a dash").push((key.to_owned(), scalar(value)));
    }
    entries
}

/// The value of `key` in an entry of [`index`].
pub(crate) fn field<'a>(entry: &'a [(String, String)], key: &str) -> Option<&'a str> {
    entry.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// A plain or single-quoted scalar.
pub(crate) fn scalar(text: &str) -> String {
    match text.strip_prefix('\'').and_then(|t| t.strip_suffix('\'')) {
        Some(quoted) => quoted.replace("''", "'"),
        None => text.to_owned(),
    }
}
