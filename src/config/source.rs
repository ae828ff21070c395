//! Where configuration comes from: files, flags, and the files that are in the binary.

use super::fault::Collector;
use super::yaml::{self, Node};
use std::fmt;
use std::path::{Path, PathBuf};

/// Files of the repository that are in the binary: path and content.
const EMBEDDED: [(&str, &str); 17] = [
    ("profiles/lab.yaml", include_str!("../../profiles/lab.yaml")),
    ("profiles/volte.yaml", include_str!("../../profiles/volte.yaml")),
    ("profiles/huawei-460-60.yaml", include_str!("../../profiles/huawei-460-60.yaml")),
    ("profiles/plain-digest.yaml", include_str!("../../profiles/plain-digest.yaml")),
    ("profiles/digest-tls.yaml", include_str!("../../profiles/digest-tls.yaml")),
    ("profiles/gb28181.yaml", include_str!("../../profiles/gb28181.yaml")),
    ("profiles/hikvision.yaml", include_str!("../../profiles/hikvision.yaml")),
    ("profiles/ue/huawei.yaml", include_str!("../../profiles/ue/huawei.yaml")),
    ("profiles/ue/samsung.yaml", include_str!("../../profiles/ue/samsung.yaml")),
    ("profiles/ue/android.yaml", include_str!("../../profiles/ue/android.yaml")),
    ("profiles/ue/doubango.yaml", include_str!("../../profiles/ue/doubango.yaml")),
    ("profiles/ue/exosip.yaml", include_str!("../../profiles/ue/exosip.yaml")),
    ("hss-data/lab.yaml", include_str!("../../hss-data/lab.yaml")),
    ("hss-data/huawei-460-60.yaml", include_str!("../../hss-data/huawei-460-60.yaml")),
    ("hss-data/plain-digest.yaml", include_str!("../../hss-data/plain-digest.yaml")),
    ("hss-data/digest-tls.yaml", include_str!("../../hss-data/digest-tls.yaml")),
    ("hss-data/gb28181.yaml", include_str!("../../hss-data/gb28181.yaml")),
];

/// Files of cases in the binary.
const CASES: &[(&str, &str)] = &[
    ("profiles/cases/pcscf/challenge.yaml", include_str!("../../profiles/cases/pcscf/challenge.yaml")),
    ("profiles/cases/pcscf/expiry.yaml", include_str!("../../profiles/cases/pcscf/expiry.yaml")),
    ("profiles/cases/pcscf/identity.yaml", include_str!("../../profiles/cases/pcscf/identity.yaml")),
    ("profiles/cases/pcscf/leak.yaml", include_str!("../../profiles/cases/pcscf/leak.yaml")),
    ("profiles/cases/pcscf/lifecycle.yaml", include_str!("../../profiles/cases/pcscf/lifecycle.yaml")),
    ("profiles/cases/pcscf/offer.yaml", include_str!("../../profiles/cases/pcscf/offer.yaml")),
    ("profiles/cases/pcscf/refusal.yaml", include_str!("../../profiles/cases/pcscf/refusal.yaml")),
    ("profiles/cases/pcscf/reg-event.yaml", include_str!("../../profiles/cases/pcscf/reg-event.yaml")),
    ("profiles/cases/pcscf/robustness.yaml", include_str!("../../profiles/cases/pcscf/robustness.yaml")),
    ("profiles/cases/pcscf/sa.yaml", include_str!("../../profiles/cases/pcscf/sa.yaml")),
    ("profiles/cases/pcscf/selection.yaml", include_str!("../../profiles/cases/pcscf/selection.yaml")),
    ("profiles/cases/pcscf/verify.yaml", include_str!("../../profiles/cases/pcscf/verify.yaml")),
    ("profiles/cases/ue/0-content.yaml", include_str!("../../profiles/cases/ue/0-content.yaml")),
    ("profiles/cases/ue/1-security-server.yaml", include_str!("../../profiles/cases/ue/1-security-server.yaml")),
    ("profiles/cases/ue/2-choice.yaml", include_str!("../../profiles/cases/ue/2-choice.yaml")),
    ("profiles/cases/ue/3-challenge.yaml", include_str!("../../profiles/cases/ue/3-challenge.yaml")),
    ("profiles/cases/ue/4-grant.yaml", include_str!("../../profiles/cases/ue/4-grant.yaml")),
    ("profiles/cases/ue/5-refusal.yaml", include_str!("../../profiles/cases/ue/5-refusal.yaml")),
    ("profiles/cases/ue/6-timing.yaml", include_str!("../../profiles/cases/ue/6-timing.yaml")),
    ("profiles/cases/ue/7-reg-event.yaml", include_str!("../../profiles/cases/ue/7-reg-event.yaml")),
    ("profiles/cases/ue/8-life.yaml", include_str!("../../profiles/cases/ue/8-life.yaml")),
];

/// Which file was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Its path, as given or as in the repository.
    pub path: String,
    /// True when the copy in the binary was read.
    pub embedded: bool,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        if self.embedded { f.write_str(" (built in)") } else { Ok(()) }
    }
}

/// Everything that was read, by number.
#[derive(Debug, Default)]
pub(super) struct Sources(Vec<Source>);

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    /// How much of it is a document; less than all after a syntax error.
    sound: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File { embedded: bool },
    Flag,
}

impl Sources {
    /// Adds a file's text.
    pub(super) fn add_file(&mut self, origin: &Origin, text: String) -> u16 {
        self.add(Source {
            name: origin.path.clone(),
            sound: text.len(),
            text,
            kind: Kind::File { embedded: origin.embedded },
        })
    }

    /// Adds a flag, named as its user wrote it.
    pub(super) fn add_flag(&mut self, name: &str) -> u16 {
        self.add(Source { name: name.to_owned(), text: String::new(), sound: 0, kind: Kind::Flag })
    }

    fn add(&mut self, source: Source) -> u16 {
        self.0.push(source);
        u16::try_from(self.0.len() - 1).expect("a run reads fewer than 65,536 files and flags")
    }

    pub(super) fn name(&self, source: u16) -> &str {
        &self.0[usize::from(source)].name
    }

    pub(super) fn text(&self, source: u16) -> &str {
        &self.0[usize::from(source)].text
    }

    /// The part of the text that was read.
    pub(super) fn sound_text(&self, source: u16) -> &str {
        let source = &self.0[usize::from(source)];
        &source.text[..source.sound]
    }

    /// Reads a document. After a syntax error, which is noted, what stands before it.
    pub(super) fn parse(&mut self, source: u16, faults: &mut Collector) -> Option<Node> {
        let slot = &mut self.0[usize::from(source)];
        let error = match yaml::parse(&slot.text, source) {
            Ok(node) => return Some(node),
            Err(error) => error,
        };
        let front = yaml::parse_front(&slot.text, source, &error);
        faults.syntax(source, error);
        let (node, sound) = front?;
        slot.sound = sound;
        Some(node)
    }

    pub(super) fn is_file(&self, source: u16) -> bool {
        matches!(self.0[usize::from(source)].kind, Kind::File { .. })
    }

    /// The files in the order in which they were read.
    pub(super) fn origins(&self) -> Vec<Origin> {
        let origin = |s: &Source| match s.kind {
            Kind::File { embedded } => Some(Origin { path: s.name.clone(), embedded }),
            Kind::Flag => None,
        };
        self.0.iter().filter_map(origin).collect()
    }
}

/// The file or embedded copy of `path`: a file under the current directory wins.
pub(super) fn read(path: &Path) -> Result<(Origin, String), String> {
    let shown = path.display().to_string();
    match std::fs::read(path) {
        Ok(octets) => {
            let text = String::from_utf8(octets).map_err(|_| "not UTF-8".to_owned())?;
            Ok((Origin { path: shown, embedded: false }, text))
        }
        Err(error) => match EMBEDDED.iter().find(|(known, _)| *known == shown) {
            Some((_, text)) => Ok((Origin { path: shown, embedded: true }, (*text).to_owned())),
            None => Err(format!("cannot be read: {error}")),
        },
    }
}

/// The profile called `name`: a path when it looks like one, else `NAME.yaml` beside the file that asks, in `profiles/`,
/// or in the binary.
pub(super) fn profile_path(name: &str, asked_by: Option<&Path>) -> PathBuf {
    let beside = asked_by.and_then(Path::parent).unwrap_or_else(|| Path::new(""));
    if name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml") {
        return beside.join(name);
    }
    let file = format!("{name}.yaml");
    let neighbour = beside.join(&file);
    if asked_by.is_some() && neighbour.is_file() { neighbour } else { Path::new("profiles").join(file) }
}

/// The device called `name`: a path when it looks like one, else `profiles/ue/NAME.yaml`.
pub(super) fn device_path(name: &str) -> PathBuf {
    if name.contains('/') || name.ends_with(".yaml") || name.ends_with(".yml") {
        return PathBuf::from(name);
    }
    Path::new("profiles/ue").join(format!("{name}.yaml"))
}

/// The subscribers that go with a profile: `hss-data/NAME.yaml` where there is such a file, else those of the lab.
pub fn hss_data_of(profile: &str) -> PathBuf {
    let stem = Path::new(profile).file_stem().unwrap_or_default();
    let path = Path::new("hss-data").join(stem).with_extension("yaml");
    let embedded = EMBEDDED.iter().any(|(known, _)| Path::new(known) == path);
    if embedded || path.is_file() { path } else { PathBuf::from("hss-data/lab.yaml") }
}

/// The files of a directory that hold subscribers, or the file itself.
pub(super) fn yaml_files(path: &Path) -> Result<Vec<PathBuf>, String> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).map_err(|e| format!("cannot be read: {e}"))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|e| Some(e.ok()?.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "yaml" || e == "yml"))
        .collect();
    files.sort();
    if files.is_empty() { Err("a directory without YAML files".to_owned()) } else { Ok(files) }
}

/// Names of the profiles in the binary.
pub fn embedded_profiles() -> impl Iterator<Item = &'static str> {
    let names = EMBEDDED.iter().filter_map(|(path, _)| path.strip_prefix("profiles/")?.strip_suffix(".yaml"));
    names.filter(|name| !name.contains('/'))
}

/// Names of the devices in the binary.
pub fn embedded_devices() -> impl Iterator<Item = &'static str> {
    EMBEDDED.iter().filter_map(|(path, _)| path.strip_prefix("profiles/ue/")?.strip_suffix(".yaml"))
}

/// The files of cases in the binary whose accused is `accused`.
pub(super) fn embedded_cases(accused: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    CASES.iter().copied().filter(move |(path, _)| {
        path.strip_prefix("profiles/cases/").is_some_and(|rest| rest.split('/').next() == Some(accused))
    })
}
