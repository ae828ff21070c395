//! Cases of conformance: mutations with what an accused must do then, see `docs/conformance.md`.
//!
//! ```yaml
//! accused: pcscf                       # or ue
//! group: offer
//! needs: [agreement]                   # of all of them, see below
//! cases:
//!   - id: offer-no-$P                  # the keys of a mutation (docs/mutations.md), and:
//!     each: [{P: spi-c}, {P: spi-s}]   # once for each of these, $P replaced
//!     about: the offer has no $P
//!     clause: RFC 3329 clause 2.3.1, TS 33.203 annex H
//!     rules: [SA-31]                   # which it is about: they must not fail
//!     excused: [SA-03]                 # which the fault itself breaks
//!     severity: error                  # or warning, info: of the expectations
//!     needs: [sec-agree]               # esp, no-esp, udp, tcp, second-ue, second-identity, operator, sec-agree, agreement
//!     waits: 4m                        # for a timer of the peer
//!     alter:
//!       - at: ue
//!         message: REGISTER
//!         do: [{header: Security-Client, parameter: $P, remove: true}]
//!     expect:
//!       - {answer: REGISTER, nth: 1, is: 4xx, with: [{header: Security-Server, present: true}]}
//!       - {silence: MESSAGE, protected: true}
//!       - {refused: REGISTER, nth: last}
//!       - {follows: REGISTER, from: ue, after: {message: 401}, within: 30s}
//!       - {never: "200 REGISTER", has: ["ck="]}
//!       - {serves: 2}
//!       - {when: {message: 401}, answer: REGISTER, nth: 2, is: 200}      # only where there is one
//! ```

use super::fault::{Collector, Faults};
use super::mutation::{self, MutationCase, each};
use super::profile::Setting;
use super::read::{Fields, Leaf, Path};
use super::scenario::MOMENT;
use super::source::{self, Origin, Sources};
use super::value::{COUNT, FLAG, TEXT, TOKEN};
use super::yaml::{self, Entry, Node, Value};
use crate::conformance::{
    Accused, Case, Condition, Expectation, Need, Nth, Party, Selector, Setting as CheckSetting, Status, Test,
};
use crate::validate::{self, Severity};
use std::path::Path as FilePath;

/// A case, and the world that it is played in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckCase {
    /// What must follow.
    pub case: Case,
    /// What is altered, and where.
    pub world: MutationCase,
}

impl CheckCase {
    /// A registration in which nothing is wrong.
    pub fn control(accused: Accused) -> Self {
        let case = Case {
            id: "control".into(),
            group: "control".into(),
            about: "a registration in which nothing is wrong".into(),
            accused,
            rules: Vec::new(),
            excused: Vec::new(),
            clause: "TS 24.229 clause 5.1.1.2".into(),
            severity: Severity::Error,
            needs: Vec::new(),
            waits: None,
            expect: vec![Expectation::Serves { ue: 1, after: None }],
        };
        Self { world: MutationCase::sound("control"), case }
    }

    /// The same where the setting has no security agreement: then nothing is protected, and what follows a challenge counts
    /// as if it were.
    #[must_use]
    pub fn in_setting(mut self, setting: &CheckSetting) -> Self {
        self.world.mutation.in_clear = !setting.agreement;
        self
    }

    /// What our UEs are set to, before anything that the world says: over UDP they have few enough octets for it.
    pub fn habits(&self) -> Vec<Setting> {
        let set = |(key, value): (&str, &str)| Setting::new("set", key, value);
        if self.case.needs.contains(&Need::Tcp) { vec![set(OVER_TCP)] } else { OVER_UDP.map(set).into() }
    }
}

/// Reads a file of cases.
pub fn load_cases(path: &FilePath) -> Result<Vec<CheckCase>, Faults> {
    let (origin, text) = source::read(path).map_err(|why| Faults::one(path.display().to_string(), "", why))?;
    read(&origin, text)
}

/// The cases in the binary.
pub fn embedded_cases(accused: Accused) -> Vec<CheckCase> {
    let files = source::embedded_cases(accused.as_str());
    let cases = files.flat_map(|(name, text)| {
        let origin = Origin { path: name.to_owned(), embedded: true };
        read(&origin, text.to_owned()).expect("a test reads every file that is in the binary")
    });
    cases.collect()
}

fn read(origin: &Origin, text: String) -> Result<Vec<CheckCase>, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let number = sources.add_file(origin, text);
    let cases = match yaml::parse(sources.text(number), number) {
        Ok(root) => Some(decode(&root, &mut faults)),
        Err(error) => {
            faults.syntax(number, error);
            None
        }
    };
    faults.finish(&sources, cases)
}

fn decode(root: &Node, faults: &mut Collector) -> Vec<CheckCase> {
    let mut f = Fields::new(root, Path::Root, faults);
    let accused = f.leaf("accused", ACCUSED, faults);
    if f.get("accused").is_none() {
        f.missing("accused", ACCUSED.expected, faults);
    }
    let group = f.leaf("group", TOKEN, faults);
    let needs = f.list("needs", NEED, faults).unwrap_or_default();
    let items = f.items("cases", faults).map(<[Node]>::to_vec);
    if items.is_none() && f.get("cases").is_none() {
        f.missing("cases", "a list", faults);
    }
    f.finish(faults);
    let list = Path::Key(&Path::Root, "cases");
    let mut cases: Vec<CheckCase> = Vec::new();
    for (index, node) in items.unwrap_or_default().iter().enumerate() {
        let path = Path::Index(&list, index);
        for node in rows(node, path, faults) {
            let Some(mut case) = case(&node, path, accused.unwrap_or(Accused::Pcscf), group.as_deref(), faults) else {
                continue;
            };
            case.case.needs.extend_from_slice(&needs);
            if cases.iter().any(|other| other.case.id == case.case.id) {
                faults.at(&node, path, format!("{:?} is the id of another one, too", case.case.id));
            }
            cases.push(case);
        }
    }
    cases
}

/// The case once for each row of `each`, with what the row puts in place of `$NAME`.
fn rows(node: &Node, path: Path<'_>, faults: &mut Collector) -> Vec<Node> {
    let Value::Map(entries) = &node.value else { return vec![node.clone()] };
    let Some(list) = entries.iter().find(|entry| &*entry.key == "each").map(|entry| &entry.value) else {
        return vec![node.clone()];
    };
    let Value::List(items) = &list.value else {
        faults.at(list, Path::Key(&path, "each"), "a list of mappings expected");
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in items {
        let Value::Map(row) = &item.value else {
            faults.at(item, Path::Key(&path, "each"), "a mapping of names and texts expected");
            continue;
        };
        let rest = entries.iter().filter(|entry| &*entry.key != "each");
        let entries = rest.map(|entry| Entry { value: filled(&entry.value, row), ..entry.clone() }).collect();
        out.push(Node { value: Value::Map(entries), ..node.clone() });
    }
    out
}

fn filled(node: &Node, row: &[Entry]) -> Node {
    let value = match &node.value {
        Value::Null => Value::Null,
        Value::List(items) => Value::List(items.iter().map(|item| filled(item, row)).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|entry| Entry {
                    key: replaced(&entry.key, row),
                    value: filled(&entry.value, row),
                    ..entry.clone()
                })
                .collect(),
        ),
        Value::Text(text) => match row.iter().find(|entry| text.strip_prefix('$') == Some(&*entry.key)) {
            // A value that stands alone may be a list or a mapping.
            Some(entry) => entry.value.value.clone(),
            None => Value::Text(replaced(text, row)),
        },
    };
    Node { value, ..node.clone() }
}

/// Longer names first, so that `$PORT` is not `$P` and `ORT`.
fn replaced(text: &str, row: &[Entry]) -> Box<str> {
    let mut names: Vec<&Entry> = row.iter().collect();
    names.sort_by_key(|entry| std::cmp::Reverse(entry.key.len()));
    let mut text = text.to_owned();
    for Entry { key, value, .. } in names {
        let with = match &value.value {
            Value::Text(with) => with,
            _ => "",
        };
        text = text.replace(&format!("${key}"), with);
    }
    text.into()
}

fn case(
    node: &Node,
    path: Path<'_>,
    accused: Accused,
    group: Option<&str>,
    faults: &mut Collector,
) -> Option<CheckCase> {
    let mut f = Fields::new(node, path, faults);
    let world = mutation::fields(&mut f, faults);
    let own_group = f.leaf("group", TOKEN, faults);
    if group.is_none() && f.get("group").is_none() {
        f.missing("group", TOKEN.expected, faults);
    }
    let clause = f.leaf("clause", TEXT, faults);
    if f.get("clause").is_none() {
        f.missing("clause", "where it is written", faults);
    }
    for key in ["rules", "excused"] {
        let _: Option<Vec<Box<str>>> = f.list(key, RULE, faults);
    }
    let excused = f.list("excused", TEXT, faults).unwrap_or_default();
    let severity = f.leaf("severity", SEVERITY, faults).unwrap_or(Severity::Error);
    let needs = f.list("needs", NEED, faults).unwrap_or_default();
    let waits = f.leaf("waits", MOMENT, faults);
    let items = f.items("expect", faults).map(<[Node]>::to_vec);
    if f.get("expect").is_none() {
        f.missing("expect", "a list", faults);
    }
    f.finish(faults);
    let expect =
        each(&path, &("expect", items.unwrap_or_default()), |node, path| expectation(node, path, accused, faults));
    let world = world?;
    let case = Case {
        id: world.mutation.id.clone(),
        group: own_group.or_else(|| group.map(Into::into)).unwrap_or_default(),
        about: world.mutation.about.clone(),
        accused,
        rules: world.rules.clone(),
        excused,
        clause: clause?,
        severity,
        needs,
        waits,
        expect,
    };
    Some(CheckCase { case, world })
}

fn expectation(node: &Node, path: Path<'_>, accused: Accused, faults: &mut Collector) -> Option<Expectation> {
    let mut f = Fields::new(node, path, faults);
    let when = f.fields("when", faults).map(|mut f| {
        let when = (selector(&mut f, "message", None, faults), conditions(&mut f, faults));
        f.finish(faults);
        when
    });
    let kinds = ["answer", "silence", "refused", "follows", "never"];
    let kind = kinds.into_iter().find(|key| f.get(key).is_some());
    let found = match kind {
        Some(kind) => {
            // Requests that must be answered are ours, and what must follow is theirs.
            let ours = matches!(kind, "answer" | "silence" | "refused");
            let theirs = if accused == Accused::Pcscf { Party::Network } else { Party::Ue };
            let us = if accused == Accused::Pcscf { Party::Ue } else { Party::Network };
            let selector = selector(&mut f, kind, Some(if ours { us } else { theirs }), faults);
            match kind {
                "answer" => {
                    let statuses = f.list("is", STATUS, faults).unwrap_or_default();
                    if f.get("is").is_none() {
                        f.missing("is", STATUS.expected, faults);
                    }
                    Some(Expectation::Answer { to: selector, statuses, with: conditions(&mut f, faults) })
                }
                "silence" => Some(Expectation::Silence { to: selector }),
                "refused" => Some(Expectation::Refused { to: selector }),
                "follows" => {
                    let (after, within) = place(&mut f, faults);
                    Some(Expectation::Follows { message: selector, after, within, with: conditions(&mut f, faults) })
                }
                _ => {
                    let (after, within) = place(&mut f, faults);
                    Some(Expectation::Never { message: selector, after, within })
                }
            }
        }
        None => {
            let ue = f.leaf("serves", COUNT, faults);
            if f.get("serves").is_none() {
                f.missing("answer", "answer, silence, refused, follows, never or serves", faults);
            }
            let (after, _) = place(&mut f, faults);
            ue.map(|ue| Expectation::Serves { ue: number(ue), after })
        }
    };
    f.finish(faults);
    match (found, when) {
        (Some(then), Some((message, with))) => Some(Expectation::When { message, with, then: Box::new(then) }),
        (found, _) => found,
    }
}

fn place(f: &mut Fields<'_>, faults: &mut Collector) -> (Option<Selector>, Option<crate::time::Duration>) {
    let after = f.fields("after", faults).map(|mut f| {
        let selector = selector(&mut f, "message", None, faults);
        f.finish(faults);
        selector
    });
    (after, f.leaf("within", MOMENT, faults))
}

fn selector(f: &mut Fields<'_>, key: &'static str, from: Option<Party>, faults: &mut Collector) -> Selector {
    let message = f.leaf(key, TEXT, faults).unwrap_or_default();
    let from = f.leaf("from", PARTY, faults).or(from);
    let ue = f.leaf("ue", COUNT, faults).map(number);
    let protected = f.leaf("protected", FLAG, faults);
    let has = f.list("has", TEXT, faults).unwrap_or_default();
    let lacks = f.list("lacks", TEXT, faults).unwrap_or_default();
    let nth = f.leaf("nth", NTH, faults).unwrap_or_default();
    Selector { from, ue, message, protected, has, lacks, nth }
}

fn conditions(f: &mut Fields<'_>, faults: &mut Collector) -> Vec<Condition> {
    let items = f.items("with", faults).map(<[Node]>::to_vec).unwrap_or_default();
    each(&f.path, &("with", items), |node, path| condition(node, path, faults))
}

fn condition(node: &Node, path: Path<'_>, faults: &mut Collector) -> Option<Condition> {
    let mut f = Fields::new(node, path, faults);
    let header = f.leaf("header", TOKEN, faults);
    if f.get("header").is_none() {
        f.missing("header", TOKEN.expected, faults);
    }
    let parameter = f.leaf("parameter", TOKEN, faults);
    let mut tests: Vec<Test> = Vec::new();
    for (key, test) in [
        ("present", Test::Present),
        ("absent", Test::Absent),
        ("changed", Test::Changed),
        ("same", Test::Same),
        ("next", Test::Next),
    ] {
        tests.extend(f.leaf(key, FLAG, faults).filter(|wanted| *wanted).map(|_| test));
    }
    for (key, test) in [
        ("is", Test::Is as fn(Box<str>) -> Test),
        ("is_not", Test::IsNot),
        ("has", Test::Has),
        ("lacks", Test::Lacks),
        ("copies", Test::Copies),
        ("no_pair_of", Test::NoPairOf),
    ] {
        tests.extend(f.leaf(key, TEXT, faults).map(test));
    }
    for (key, test) in [("at_least", Test::AtLeast as fn(u64) -> Test), ("at_most", Test::AtMost)] {
        tests.extend(f.leaf(key, super::value::NUMBER, faults).map(|number| test(number.into())));
    }
    let (Some(header), [_]) = (header, &tests[..]) else {
        faults.at(f.node(), f.path, "a header expected, and one of present, absent, is, is_not, has, lacks, at_least, at_most, changed, same, next, copies, no_pair_of");
        f.finish(faults);
        return None;
    };
    f.finish(faults);
    Some(Condition { header, parameter, test: tests.remove(0) })
}

fn number(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const OVER_TCP: (&str, &str) = ("ue.transport", "tcp");
const OVER_UDP: [(&str, &str); 4] = [
    ("ue.transport", "udp"),
    ("ue.features", ";+g.3gpp.smsip"),
    ("ue.access_network", "3GPP-E-UTRAN-FDD"),
    ("ue.user_agent", "phone"),
];

const ACCUSED: Leaf<Accused> = Leaf {
    read: |t| [Accused::Pcscf, Accused::Ue].into_iter().find(|accused| accused.as_str() == t),
    expected: "pcscf or ue",
};

const NEED: Leaf<Need> = Leaf {
    read: |t| Need::ALL.into_iter().find(|need| need.as_str() == t),
    expected: "esp, no-esp, udp, tcp, second-ue, second-identity, operator, sec-agree or agreement",
};

const RULE: Leaf<Box<str>> = Leaf {
    read: |t| validate::rule(t).map(|rule| rule.id.into()),
    expected: "the id of a rule that `imsreg explain` lists",
};

const SEVERITY: Leaf<Severity> = Leaf {
    read: |t| [Severity::Error, Severity::Warning, Severity::Info].into_iter().find(|severity| severity.as_str() == t),
    expected: "error, warning or info",
};

const PARTY: Leaf<Party> = Leaf {
    read: |t| match t {
        "ue" => Some(Party::Ue),
        "network" => Some(Party::Network),
        _ => None,
    },
    expected: "ue or network",
};

const NTH: Leaf<Nth> = Leaf {
    read: |t| match t {
        "last" => Some(Nth::Last),
        _ => t.parse().ok().filter(|number| *number > 0).map(Nth::Number),
    },
    expected: "a number from 1, or last",
};

const STATUS: Leaf<Status> = Leaf {
    read: |t| match t.strip_suffix("xx") {
        Some(class) => class.parse().ok().filter(|class| (1..=6).contains(class)).map(Status::Class),
        None => t.parse().ok().filter(|code| (100..700).contains(code)).map(Status::Code),
    },
    expected: "a status as 494, or a class as 4xx",
};

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        let lines = include_str!("case.rs").lines().skip_while(|line| *line != "//! ```yaml").skip(1);
        let lines = lines.take_while(|line| *line != "//! ```");
        lines.flat_map(|line| [line.trim_start_matches("//! "), "\n"]).collect()
    }

    fn cases(text: &str) -> Result<Vec<CheckCase>, Vec<String>> {
        let origin = Origin { path: "c.yaml".to_owned(), embedded: false };
        read(&origin, text.to_owned()).map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_example_above_is_read() {
        let read = cases(&example()).expect("no faults");
        let [first, second] = &read[..] else { panic!("{read:?}") };
        assert_eq!((&*first.case.id, &*second.case.id), ("offer-no-spi-c", "offer-no-spi-s"));
        assert_eq!(&*second.case.about, "the offer has no spi-s");
        assert_eq!(
            (first.case.needs.as_slice(), first.case.expect.len()),
            ([Need::SecAgree, Need::Agreement].as_slice(), 7)
        );
        let Expectation::Answer { to, statuses, with } = &first.case.expect[0] else { panic!("{first:?}") };
        assert_eq!(
            (to.from, to.nth, statuses.as_slice()),
            (Some(Party::Ue), Nth::Number(1), [Status::Class(4)].as_slice())
        );
        assert_eq!(with[0].test, Test::Present);
    }

    #[test]
    fn every_fault_has_its_place() {
        let text = "accused: hss\ncases:\n  - id: a\n    clause: none\n    rules: [XX-01]\n    needs: [gold]\n    expect:\n      \
                    - {answer: REGISTER}\n      - {follows: 401, nth: 0}\n      - {colour: red}\n      \
                    - {never: 401, with: []}\n  - {id: a}\n";
        let faults = cases(text).expect_err("faults");
        let starts = [
            "c.yaml:1:10",
            "c.yaml:5:13",
            "c.yaml:6:13",
            "c.yaml:8:9",
            "c.yaml:9:29",
            "c.yaml:10:9",
            "c.yaml:11:22",
            "c.yaml:12:5",
        ];
        for start in starts {
            assert!(faults.iter().any(|fault| fault.starts_with(start)), "{start}: {faults:#?}");
        }
    }

    #[test]
    fn every_file_in_the_binary_is_read() {
        for accused in [Accused::Pcscf, Accused::Ue] {
            let cases = embedded_cases(accused);
            assert!(cases.iter().all(|case| case.case.accused == accused));
            for (index, case) in cases.iter().enumerate() {
                assert!(cases[..index].iter().all(|other| other.case.id != case.case.id), "{} twice", case.case.id);
            }
        }
    }
}
