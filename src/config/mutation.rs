//! Mutations: faults made on purpose, see `docs/mutations.md`.
//!
//! ```yaml
//! mutations:
//!   - id: spi-below-256
//!     about: the UE offers an SPI that RFC 4303 keeps for itself
//!     rules: [SA-05]                   # which a judge must find broken
//!     cause: none                      # or DIAG-..: which it must name first
//!     alter:
//!       - at: ue                       # who sends it
//!         message: REGISTER
//!         protected: false
//!         do:
//!           - {header: Security-Client, parameter: spi-c, set: "12"}
//! ```

use super::fault::{Collector, Faults};
use super::profile::Setting;
use super::read::{Fields, Leaf, Path};
use super::scenario::{MOMENT, ROLE, Step, step};
use super::source::{self, Sources};
use super::value::{COUNT, FLAG, NUMBER, PORT, TEXT, TOKEN};
use super::yaml::{self, Node};
use crate::event::Role;
use crate::mutation::{
    Alteration, AvpData, Edit, Lose, Mutation, Occurrences, Passage, Pattern, Repeat, SetFault, SetFaultKind, Shape,
    Way,
};
use crate::time::Duration;
use crate::ue::Misbehaviour;
use std::path::{Path as FilePath, PathBuf};

/// A mutation, the world that it needs, and what a judge must make of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MutationCase {
    /// What is altered.
    pub mutation: Mutation,
    /// `rules`: those that must fail.
    pub rules: Vec<Box<str>>,
    /// `cause`: what must be named first; `none`: nothing may be; else nobody asks.
    pub cause: Option<Box<str>>,
    /// `remarks`: what must be remarked on apart from causes.
    pub remarks: Vec<Box<str>>,
    /// `named`: what must be named, as a cause or as a remark.
    pub named: Option<Box<str>>,
    /// `needs`: words for whoever makes the world.
    pub needs: Vec<Box<str>>,
    /// `profile`
    pub profile: Option<Box<str>>,
    /// `set`: keys of the profile.
    pub settings: Vec<Setting>,
    /// `ue`: keys of the profile for the faulty UE alone.
    pub ue_settings: Vec<Setting>,
    /// `misbehave`: of the faulty UE.
    pub misbehaviour: Option<Misbehaviour>,
    /// `one_address`: the UEs are at one address, each with ports of its own.
    pub one_address: bool,
    /// `hss_data`
    pub hss_data: Option<PathBuf>,
    /// `ue_data`: subscribers as UEs know them, where the HSS knows them otherwise.
    pub ue_data: Option<PathBuf>,
    /// `steps`, in the order of time.
    pub steps: Vec<Step>,
    /// `until`
    pub until: Option<Duration>,
}

impl MutationCase {
    /// A world without a fault.
    pub fn sound(id: &str) -> Self {
        Self {
            mutation: Mutation::new(id, Vec::new()),
            rules: Vec::new(),
            cause: None,
            remarks: Vec::new(),
            named: None,
            needs: Vec::new(),
            profile: None,
            settings: Vec::new(),
            ue_settings: Vec::new(),
            misbehaviour: None,
            one_address: false,
            hss_data: None,
            ue_data: None,
            steps: Vec::new(),
            until: None,
        }
    }
}

/// Reads a file of mutations.
pub fn load_mutations(path: &FilePath) -> Result<Vec<MutationCase>, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let (origin, text) = source::read(path).map_err(|why| Faults::one(path.display().to_string(), "", why))?;
    let number = sources.add_file(&origin, text);
    let cases = match yaml::parse(sources.text(number), number) {
        Ok(root) => Some(decode(&root, &mut faults)),
        Err(error) => {
            faults.syntax(number, error);
            None
        }
    };
    faults.finish(&sources, cases)
}

fn decode(root: &Node, faults: &mut Collector) -> Vec<MutationCase> {
    let mut f = Fields::new(root, Path::Root, faults);
    let items = f.items("mutations", faults).map(<[Node]>::to_vec);
    if items.is_none() && f.get("mutations").is_none() {
        f.missing("mutations", "a list", faults);
    }
    f.finish(faults);
    let list = Path::Key(&Path::Root, "mutations");
    let items = items.unwrap_or_default();
    let mut cases: Vec<MutationCase> = Vec::new();
    for (index, node) in items.iter().enumerate() {
        let path = Path::Index(&list, index);
        let Some(case) = case(node, path, faults) else { continue };
        if cases.iter().any(|other| other.mutation.id == case.mutation.id) {
            faults.at(node, path, format!("{:?} is the id of another one, too", case.mutation.id));
        }
        cases.push(case);
    }
    cases
}

fn case(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<MutationCase> {
    let mut f = Fields::new(node, path, faults);
    let case = fields(&mut f, faults);
    f.finish(faults);
    case
}

/// The keys of a mutation, among others that a caller has.
pub(super) fn fields(f: &mut Fields<'_>, faults: &mut Collector) -> Option<MutationCase> {
    let path = f.path;
    let id = f.leaf("id", TOKEN, faults);
    if f.get("id").is_none() {
        f.missing("id", TOKEN.expected, faults);
    }
    let about = f.leaf("about", TEXT, faults).unwrap_or_default();
    let rules = f.list("rules", TEXT, faults).unwrap_or_default();
    let cause = f.leaf("cause", TEXT, faults);
    let remarks = f.list("remarks", TEXT, faults).unwrap_or_default();
    let named = f.leaf("named", TEXT, faults);
    let needs = f.list("needs", TEXT, faults).unwrap_or_default();
    let profile = f.leaf("profile", TEXT, faults);
    let settings = |entries: Option<Vec<(Box<str>, Box<str>)>>| -> Vec<Setting> {
        entries.unwrap_or_default().into_iter().map(|(key, value)| Setting::new("set", &key, value)).collect()
    };
    let (world, ue) = (f.entries("set", TEXT, TEXT, faults), f.entries("ue", TEXT, TEXT, faults));
    let misbehaviour = f.leaf("misbehave", MISBEHAVIOUR, faults);
    let hss_data = f.leaf("hss_data", TEXT, faults).map(|text| PathBuf::from(&*text));
    let ue_data = f.leaf("ue_data", TEXT, faults).map(|text| PathBuf::from(&*text));
    let until = f.leaf("until", MOMENT, faults);
    let one_address = f.leaf("one_address", FLAG, faults).unwrap_or(false);
    let deaf = f.leaf("deaf", ROLE, faults);
    let [steps, alter, sets] = ["steps", "alter", "sets"]
        .map(|key| f.items(key, faults).map(|items| (key, items.to_vec())).unwrap_or((key, Vec::new())));
    let mut steps: Vec<Step> = each(&path, &steps, |node, path| step(node, path, UES, faults));
    steps.sort_by_key(|step| step.at);
    let alterations = each(&path, &alter, |node, path| alteration(node, path, faults));
    let sets = each(&path, &sets, |node, path| set_fault(node, path, faults));
    let mutation = Mutation { id: id?, about, alterations, sets, deaf, in_clear: false };
    let (settings, ue_settings) = (settings(world), settings(ue));
    Some(MutationCase {
        mutation,
        rules,
        cause,
        remarks,
        named,
        needs,
        profile,
        settings,
        ue_settings,
        misbehaviour,
        one_address,
        hss_data,
        ue_data,
        steps,
        until,
    })
}

pub(super) fn each<T>(
    parent: &Path<'_>,
    (key, items): &(&str, Vec<Node>),
    mut read: impl FnMut(&Node, Path<'_>) -> Option<T>,
) -> Vec<T> {
    let list = Path::Key(parent, key);
    items.iter().enumerate().filter_map(|(index, node)| read(node, Path::Index(&list, index))).collect()
}

fn alteration(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<Alteration> {
    let mut f = Fields::new(node, path, faults);
    let from = f.leaf("at", ROLE, faults);
    if f.get("at").is_none() {
        f.missing("at", ROLE.expected, faults);
    }
    let to = f.leaf("to", ROLE, faults);
    let message = f.leaf("message", TEXT, faults).unwrap_or_default();
    let protected = f.leaf("protected", FLAG, faults);
    let has = f.leaf("has", TEXT, faults);
    let lacks = f.leaf("lacks", TEXT, faults);
    let only = f.list("nth", COUNT, faults);
    let first = f.leaf("from", COUNT, faults);
    let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let occurrences = match (only, first) {
        (Some(numbers), _) => Occurrences::Only(numbers.into_iter().map(place).collect()),
        (None, Some(first)) => Occurrences::From(place(first)),
        (None, None) => Occurrences::All,
    };
    let on_arrival = f.leaf("arriving", FLAG, faults).unwrap_or(false);
    let (edits, passage) = changes(&mut f, faults);
    let copy = f.get("copy").map(|node| {
        let mut f = Fields::new(node, Path::Key(&path, "copy"), faults);
        let after = f.leaf("after", MOMENT, faults).unwrap_or_default();
        let (edits, passage) = changes(&mut f, faults);
        f.finish(faults);
        Repeat { after, edits, passage }
    });
    f.finish(faults);
    let pattern = Pattern { from: from?, to, message, protected, has, lacks, occurrences };
    Some(Alteration { pattern, on_arrival, edits, passage, copy })
}

fn changes(f: &mut Fields<'_>, faults: &mut Collector) -> (Vec<Edit>, Passage) {
    let edits = f.items("do", faults).map(<[Node]>::to_vec).unwrap_or_default();
    let edits = each(&f.path, &("do", edits), |node, path| edit(node, path, faults));
    let passage = Passage {
        drop: f.leaf("drop", FLAG, faults).unwrap_or(false),
        lose: f.leaf("lose", LOSE, faults).unwrap_or_default(),
        delay: f.leaf("delay", MOMENT, faults).unwrap_or_default(),
        clear: f.leaf("clear", FLAG, faults).unwrap_or(false),
        from_port: f.leaf("from_port", PORT, faults),
        to_port: f.leaf("to_port", PORT, faults),
        over: f.leaf("over", WAY, faults),
        reset: f.leaf("reset", FLAG, faults).unwrap_or(false),
    };
    (edits, passage)
}

fn edit(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<Edit> {
    let mut f = Fields::new(node, path, faults);
    let edit = if f.get("header").is_some() {
        header_edit(&mut f, faults)
    } else if f.get("avp").is_some() {
        avp_edit(&mut f, faults)
    } else if f.get("start").is_some() {
        f.leaf("start", TEXT, faults).map(Edit::StartLine)
    } else if f.get("body").is_some() {
        f.leaf("body", BODY, faults).map(Edit::Body)
    } else if f.get("result").is_some() {
        f.leaf("result", NUMBER, faults).map(|code| Edit::Result { code, experimental: false })
    } else if f.get("experimental").is_some() {
        f.leaf("experimental", NUMBER, faults).map(|code| Edit::Result { code, experimental: true })
    } else {
        let old = f.leaf("replace", BODY, faults);
        if f.get("replace").is_none() {
            f.missing("header", "header, avp, start, body, result, experimental or replace", faults);
        }
        let new = f.leaf("with", BODY, faults).unwrap_or_default();
        old.map(|old| Edit::Replace { old, new })
    };
    f.finish(faults);
    edit
}

fn header_edit(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Edit> {
    let header = f.leaf("header", TOKEN, faults);
    let shape = f.leaf("elements", SHAPE, faults);
    let parameter = f.leaf("parameter", TOKEN, faults);
    let element = f.leaf("element", COUNT, faults).and_then(|number| usize::try_from(number).ok());
    let set = f.leaf("set", TEXT, faults);
    let add = f.leaf("add", TEXT, faults);
    let remove = f.leaf("remove", FLAG, faults).unwrap_or(false);
    let old = f.leaf("replace", TEXT, faults);
    let new = f.leaf("with", TEXT, faults).unwrap_or_default();
    let header = header?;
    match (shape, parameter, set, add, old, remove) {
        (Some(shape), None, None, None, None, false) => Some(Edit::Elements { header, shape }),
        (None, Some(parameter), Some(value), None, None, false) => {
            Some(Edit::SetParameter { header, element, parameter, value: Some(value) })
        }
        (None, Some(parameter), None, None, None, true) => {
            Some(Edit::SetParameter { header, element, parameter, value: None })
        }
        (None, None, Some(value), None, None, false) => Some(Edit::SetHeader { header, value }),
        (None, None, None, Some(value), None, false) => Some(Edit::AddHeader { header, value }),
        (None, None, None, None, Some(old), false) => Some(Edit::ReplaceInHeader { header, old, new }),
        (None, None, None, None, None, true) => Some(Edit::RemoveHeader { header }),
        _ => {
            faults.at(f.node(), f.path, "one of set, add, remove, replace or elements expected");
            None
        }
    }
}

fn avp_edit(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Edit> {
    let path = f.list("avp", NUMBER, faults);
    let number = f.leaf("number", NUMBER, faults).map(AvpData::Number);
    let text = f.leaf("text", BODY, faults).map(AvpData::Text);
    let hex = f.leaf("hex", HEX, faults).map(AvpData::Octets);
    let first = f.leaf("first", FLAG, faults).filter(|wanted| *wanted).map(|_| AvpData::First);
    let flip = f.leaf("flip", NUMBER, faults);
    let remove = f.leaf("remove", FLAG, faults).unwrap_or(false);
    let amf = f.leaf("amf", AMF, faults);
    let path = path?;
    match (number.or(text).or(hex).or(first), flip, amf, remove) {
        (Some(data), None, None, false) => Some(Edit::SetAvp { path, data }),
        (None, Some(octet), None, false) => Some(Edit::FlipAvp { path, octet: usize::try_from(octet).ok()? }),
        (None, None, Some(amf), false) => Some(Edit::Amf { path, amf }),
        (None, None, None, true) => Some(Edit::RemoveAvp { path }),
        _ => {
            faults.at(f.node(), f.path, "one of number, text, hex, first, flip, amf or remove expected");
            None
        }
    }
}

fn set_fault(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<SetFault> {
    let mut f = Fields::new(node, path, faults);
    let at = f.leaf("at", SET_OWNER, faults);
    if f.get("at").is_none() {
        f.missing("at", SET_OWNER.expected, faults);
    }
    let number = f.leaf("nth", COUNT, faults).and_then(|number| usize::try_from(number).ok());
    let kind = f.leaf("fault", SET_FAULT, faults);
    let ends = f.leaf("ends_after", MOMENT, faults).map(SetFaultKind::EndsAfter);
    if f.get("fault").is_none() && f.get("ends_after").is_none() {
        f.missing("fault", SET_FAULT.expected, faults);
    }
    f.finish(faults);
    Some(SetFault { at: at?, number, fault: kind.or(ends)? })
}

/// In a world with a faulty UE there is a sound one, too.
const UES: u32 = 2;

const BODY: Leaf<Box<str>> = Leaf { read: |t| Some(t.into()), expected: "a text" };

const HEX: Leaf<Vec<u8>> = Leaf {
    read: |t| data_encoding::HEXLOWER_PERMISSIVE.decode(t.as_bytes()).ok(),
    expected: "hexadecimal digits, two an octet",
};

const AMF: Leaf<[u8; 2]> = Leaf { read: |t| (HEX.read)(t)?.try_into().ok(), expected: "four hexadecimal digits" };

const LOSE: Leaf<Lose> = Leaf {
    read: |t| match t {
        "first" => Some(Lose::First),
        "fragment" => Some(Lose::Fragment),
        "all" => Some(Lose::All),
        _ => None,
    },
    expected: "first, fragment or all",
};

const WAY: Leaf<Way> = Leaf {
    read: |t| match t {
        "other-ports" => Some(Way::OtherPorts),
        "other-set" => Some(Way::OtherSet),
        _ => None,
    },
    expected: "other-ports or other-set",
};

const SHAPE: Leaf<Shape> = Leaf {
    read: |t| match t {
        "reversed" => Some(Shape::Reversed),
        "lines" => Some(Shape::Lines),
        "first" => Some(Shape::First),
        "last" => Some(Shape::Last),
        "repeated" => Some(Shape::Repeated),
        _ => None,
    },
    expected: "reversed, lines, first, last or repeated",
};

const SET_OWNER: Leaf<Role> =
    Leaf { read: |t| (ROLE.read)(t).filter(|role| matches!(role, Role::Ue | Role::Pcscf)), expected: "ue or pcscf" };

const SET_FAULT: Leaf<SetFaultKind> = Leaf {
    read: |t| match t {
        "swapped-keys" => Some(SetFaultKind::SwappedKeys),
        "wrong-ck" => Some(SetFaultKind::WrongCk),
        "wrong-ik" => Some(SetFaultKind::WrongIk),
        "refused" => Some(SetFaultKind::Refused),
        _ => None,
    },
    expected: "swapped-keys, wrong-ck, wrong-ik or refused",
};

const MISBEHAVIOUR: Leaf<Misbehaviour> = Leaf {
    read: |t| Misbehaviour::ALL.into_iter().find(|how| how.as_str() == t),
    expected: "a way to misbehave as register has it, such as wrong-response",
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing;

    fn read(text: &str) -> Result<Vec<MutationCase>, Vec<String>> {
        testing::read(text, |root, faults| Some(decode(root, faults)))
    }

    #[test]
    fn the_example_above_is_read() {
        let text = testing::example(include_str!("mutation.rs"));
        let [case] = &read(&text).expect("no faults")[..] else { panic!("{text}") };
        assert_eq!((&*case.mutation.id, case.cause.as_deref()), ("spi-below-256", Some("none")));
        let [alteration] = &case.mutation.alterations[..] else { panic!("{case:?}") };
        let edit = Edit::SetParameter {
            header: "Security-Client".into(),
            element: None,
            parameter: "spi-c".into(),
            value: Some("12".into()),
        };
        assert_eq!((alteration.pattern.from, &alteration.edits[..]), (Role::Ue, &[edit][..]));
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = "mutations:\n  - {about: no id}\n  - id: a\n    alter:\n      - {at: mgcf}\n      - {at: ue, lose: some}\n      \
                    - at: ue\n        do:\n          - {header: Via}\n          - {avp: 1}\n          - {colour: red}\n    sets: [{at: hss}]\n\
                    \x20 - {id: a}\n";
        let faults = read(text).expect_err("faults");
        let starts = ["f.yaml:2:5", "f.yaml:5:14", "f.yaml:6:24", "f.yaml:9:13", "f.yaml:10:13", "f.yaml:11:13"];
        for start in starts {
            assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start}: {faults:#?}");
        }
        assert!(
            faults.iter().any(|fault| fault.starts_with("f.yaml:13:5") && fault.contains("another")),
            "{faults:#?}"
        );
    }
}
