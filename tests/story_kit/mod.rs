//! A simulated registration as a trace, changed and judged.

use crate::common::{Recorder, run};
use imsreg::aka::vector::SubscriberKeys;
use imsreg::aka::{K, Opc};
use imsreg::capture::Entry;
use imsreg::config::{Scenario, Setting, load_scenario};
use imsreg::diameter::{Header, Writer};
use imsreg::packet::Protocol;
use imsreg::sip::{HeaderName, Message};
use imsreg::trace::story::{Group, Limits, Registration, Story};
use imsreg::trace::{Ends, Place, Protection, Seen, Sighting};
use imsreg::validate::{self, Context, Finding, Verdict};
use std::path::Path;

/// What a trace shows, to be changed.
#[derive(Clone)]
pub(crate) struct Trace {
    pub(crate) sightings: Vec<Sighting>,
}

impl Trace {
    /// Everything that was said in a scenario of `tests/scenarios`, with ESP on Gm.
    pub(crate) fn of(scenario: &str) -> Self {
        Self::with(scenario, &[])
    }

    /// The same with keys of the profile set.
    pub(crate) fn with(scenario: &str, set: &[(&str, &str)]) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(format!("{scenario}.yaml"));
        let mut scenario = load_scenario(&path).unwrap_or_else(|faults| panic!("{faults}"));
        scenario.settings.extend(set.iter().map(|(key, value)| Setting::new("set", key, (*value).to_owned())));
        Self::of_scenario(scenario)
    }

    /// The same for a scenario that is in no file.
    pub(crate) fn of_scenario(mut scenario: Scenario) -> Self {
        scenario.esp = true;
        let simulation = run(&scenario);
        let tap: &Recorder = &simulation.world().tap;
        let hops = tap.capture.entries.iter().filter_map(|entry| match entry {
            Entry::Hop(hop) => Some(hop),
            Entry::Event { .. } => None,
        });
        Self { sightings: (1..).zip(hops).map(|(number, hop)| Sighting::of_hop(number, hop)).collect() }
    }

    /// Only what goes over Gm.
    pub(crate) fn gm(self) -> Self {
        let is_gm = |sighting: &Sighting| {
            let Seen::Message(message) = &sighting.seen else { return true };
            let ends = message.ends.expect("a simulated message has addresses");
            message.protocol == Protocol::Sip
                && [ends.from, ends.to].iter().any(|end| end.ip().to_string().starts_with("10.64."))
        };
        Self { sightings: self.sightings.into_iter().filter(is_gm).collect() }
    }

    /// Changes every SIP message whose text `pick` takes; there must be one.
    pub(crate) fn edit(mut self, pick: impl Fn(&str) -> bool, change: impl Fn(&str) -> String) -> Self {
        let mut changed = 0;
        for sighting in &mut self.sightings {
            let Seen::Message(message) = &mut sighting.seen else { continue };
            if message.protocol != Protocol::Sip {
                continue;
            }
            let text = String::from_utf8(message.bytes.clone()).expect("simulated SIP is UTF-8");
            if pick(&text) {
                message.bytes = change(&text).into_bytes();
                changed += usize::from(message.bytes != text.as_bytes());
            }
        }
        assert!(changed > 0, "nothing was changed");
        self
    }

    /// Every Diameter message of a command, request or answer, written anew by `with`; there must be one.
    pub(crate) fn rewritten(mut self, command: u32, request: bool, with: impl Fn(&[u8], &mut Writer<'_>)) -> Self {
        let mut changed = 0;
        for sighting in &mut self.sightings {
            let Seen::Message(message) = &mut sighting.seen else { continue };
            let Some(header) = Header::read(&message.bytes).filter(|_| message.protocol == Protocol::Diameter) else {
                continue;
            };
            if (header.command, header.request) == (command, request) {
                let mut out = Vec::new();
                let mut writer = Writer::new(&mut out, &header);
                with(&message.bytes, &mut writer);
                writer.finish();
                message.bytes = out;
                changed += 1;
            }
        }
        assert!(changed > 0, "nothing was changed");
        self
    }

    /// Leaves out what `pick` takes; there must be one.
    pub(crate) fn without(mut self, pick: impl Fn(&str) -> bool) -> Self {
        let before = self.sightings.len();
        self.sightings.retain(|sighting| {
            let Seen::Message(message) = &sighting.seen else { return true };
            message.protocol != Protocol::Sip || !pick(&String::from_utf8_lossy(&message.bytes))
        });
        assert!(self.sightings.len() < before, "nothing was left out");
        self
    }

    /// The place of the first SIP message that `pick` takes.
    pub(crate) fn position(&self, pick: impl Fn(&str) -> bool) -> usize {
        let is = |sighting: &Sighting| {
            matches!(&sighting.seen, Seen::Message(message) if message.protocol == Protocol::Sip
                && pick(&String::from_utf8_lossy(&message.bytes)))
        };
        self.sightings.iter().position(is).expect("such a message")
    }

    /// Puts a copy of what stands at `from` behind place `after`, `later` than that, changed by `with`.
    pub(crate) fn copied(
        mut self,
        from: usize,
        after: usize,
        later: imsreg::time::Duration,
        with: impl Fn(&str) -> String,
    ) -> Self {
        let mut copy = self.sightings[from].clone();
        copy.at = self.sightings[after].at.map(|at| at + later);
        if let Seen::Message(message) = &mut copy.seen
            && message.protocol == Protocol::Sip
        {
            message.bytes = with(&String::from_utf8_lossy(&message.bytes)).into_bytes();
        }
        self.sightings.insert(after + 1, copy);
        self
    }

    /// The trace goes on for some seconds, in which nothing new is said.
    pub(crate) fn going_on(self, seconds: u64) -> Self {
        let last = self.sightings.len() - 1;
        self.copied(last, last, imsreg::time::Duration::from_secs(seconds), str::to_owned)
    }

    /// The same, with other text for one octet of one message; `None` where that place holds no message.
    pub(crate) fn with_octet(mut self, which: usize, at: usize, with: &str) -> Option<Self> {
        let which = which % self.sightings.len();
        let Seen::Message(message) = &mut self.sightings[which].seen else { return None };
        let at = at % message.bytes.len();
        message.bytes.splice(at..=at, with.bytes());
        Some(self)
    }

    pub(crate) fn groups(&self) -> Vec<Group> {
        let mut story = Story::new(Limits::default());
        // A story goes by places, whatever was moved or put in between.
        for (number, sighting) in (1..).zip(&self.sightings) {
            story.see(Sighting { place: Place::Hop(number), ..sighting.clone() });
        }
        story.finish();
        std::iter::from_fn(|| story.next()).filter(|group| group.id.is_some()).collect()
    }

    /// What one rule says of the first registration.
    pub(crate) fn findings(&self, id: &str) -> Vec<Finding> {
        self.findings_with(id, &Context::default())
    }

    pub(crate) fn findings_with(&self, id: &str, context: &Context<'_>) -> Vec<Finding> {
        let groups = self.groups();
        let group = groups.first().expect("a registration");
        let findings = validate::judge(&Registration::of(group), context, |rule| rule.id == id);
        assert!(!findings.is_empty(), "{id} is a rule");
        findings
    }

    pub(crate) fn verdict(&self, id: &str) -> Verdict {
        self.findings(id)[0].verdict
    }

    #[track_caller]
    pub(crate) fn passes(&self, id: &str) {
        let findings = self.findings(id);
        assert_eq!(findings[0].verdict, Verdict::Pass, "{id}: {findings:?}");
        assert!(!findings[0].messages.is_empty(), "{id} shows the messages that keep it");
    }

    /// It fails, and what is expected or found says so.
    #[track_caller]
    pub(crate) fn fails(&self, id: &str, words: &str) {
        let findings = self.findings(id);
        assert_eq!(findings[0].verdict, Verdict::Fail, "{id}: {findings:?}");
        let said = |finding: &Finding| format!("{} / {}", finding.expected, finding.found);
        assert!(findings.iter().any(|f| said(f).contains(words)), "{id}: {words:?} in {findings:?}");
        assert!(findings.iter().all(|finding| !finding.messages.is_empty()), "{id} shows where");
    }

    #[track_caller]
    pub(crate) fn is_not_observable(&self, id: &str) {
        let findings = self.findings(id);
        assert_eq!(findings[0].verdict, Verdict::NotObservable, "{id}: {findings:?}");
        assert!(!findings[0].expected.is_empty(), "{id} says why");
    }

    /// What `pick` takes of the UE went in clear, as its first message did.
    pub(crate) fn in_clear(mut self, pick: impl Fn(&str) -> bool) -> Self {
        let Some(Seen::Message(first)) = self.sightings.first().map(|sighting| sighting.seen.clone()) else {
            panic!("the first message is there")
        };
        self.each(pick, |message| {
            message.protection = Protection::Clear;
            message.ends = first.ends;
        });
        self
    }

    /// What `pick` takes went between other ends.
    pub(crate) fn moved(mut self, pick: impl Fn(&str) -> bool, to: impl Fn(&mut Ends)) -> Self {
        self.each(pick, |message| to(message.ends.as_mut().expect("a simulated message has addresses")));
        self
    }

    /// The first message that `one` takes and the first that `other` takes change their places.
    pub(crate) fn swapped(mut self, one: impl Fn(&str) -> bool, other: impl Fn(&str) -> bool) -> Self {
        let place = |pick: &dyn Fn(&str) -> bool| {
            let is = |sighting: &Sighting| match &sighting.seen {
                Seen::Message(message) => pick(&String::from_utf8_lossy(&message.bytes)),
                _ => false,
            };
            self.sightings.iter().position(is).expect("a message to change places with")
        };
        let (one, other) = (place(&one), place(&other));
        self.sightings.swap(one, other);
        let (at, was) = (self.sightings[one].at, self.sightings[other].at);
        (self.sightings[one].at, self.sightings[other].at) = (was, at);
        self
    }

    fn each(&mut self, pick: impl Fn(&str) -> bool, mut change: impl FnMut(&mut imsreg::trace::Message)) {
        let mut changed = 0;
        for sighting in &mut self.sightings {
            if let Seen::Message(message) = &mut sighting.seen
                && message.protocol == Protocol::Sip
                && pick(&String::from_utf8_lossy(&message.bytes))
            {
                change(message);
                changed += 1;
            }
        }
        assert!(changed > 0, "nothing was changed");
    }

    /// The SPI of SA 1 of the first set.
    pub(crate) fn spi_s_of_pcscf(&self) -> u32 {
        let groups = self.groups();
        let registration = Registration::of(&groups[0]);
        registration.sets().next().and_then(|set| set.pcscf()).expect("a set").spi_s.0
    }

    #[track_caller]
    pub(crate) fn is_not_applicable(&self, id: &str) {
        assert_eq!(self.verdict(id), Verdict::NotApplicable, "{id}: {:?}", self.findings(id));
    }
}

/// A REGISTER with one Via: from the UE itself.
pub(crate) fn is_register_of_ue(text: &str) -> bool {
    let message = Message::parse(text.as_bytes());
    text.starts_with("REGISTER ") && message.is_ok_and(|message| message.elements(HeaderName::Via).count() == 1)
}

/// The first REGISTER, by its CSeq.
pub(crate) fn is_first(text: &str) -> bool {
    is_register_of_ue(text) && text.contains("\r\nCSeq: 1 REGISTER\r\n")
}

/// The answer to the first challenge.
pub(crate) fn is_second(text: &str) -> bool {
    is_register_of_ue(text) && text.contains("\r\nCSeq: 2 REGISTER\r\n")
}

/// A response with one Via: as the UE gets it.
pub(crate) fn to_ue(status: &'static str) -> impl Fn(&str) -> bool {
    move |text| {
        let message = Message::parse(text.as_bytes());
        text.starts_with(&format!("SIP/2.0 {status} "))
            && message.is_ok_and(|m| m.elements(HeaderName::Via).count() == 1)
    }
}

/// The text without the lines of a header.
pub(crate) fn cut(text: &str, header: &str) -> String {
    let lines: Vec<&str> = text.split("\r\n").filter(|line| !line.starts_with(&format!("{header}:"))).collect();
    lines.join("\r\n")
}

/// The text with the value of a header changed by `change`.
pub(crate) fn change(text: &str, header: &str, change: impl Fn(&str) -> String) -> String {
    let prefix = format!("{header}: ");
    let lines: Vec<String> = text
        .split("\r\n")
        .map(|line| {
            line.strip_prefix(&prefix).map_or_else(|| line.to_owned(), |value| format!("{prefix}{}", change(value)))
        })
        .collect();
    lines.join("\r\n")
}

/// A parameter with another value.
pub(crate) fn set(value: &str, name: &str, to: &str) -> String {
    let at = value.find(&format!("{name}=\"")).unwrap_or_else(|| panic!("{name} in {value}")) + name.len() + 2;
    let end = at + value[at..].find('"').expect("its end");
    format!("{}{to}{}", &value[..at], &value[end..])
}

/// Of the subscriber of the lab.
pub(crate) fn lab_keys() -> SubscriberKeys {
    let hex =
        |text: &str| -> [u8; 16] { std::array::from_fn(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap()) };
    let (k, opc) = ("465b5ce8b199b49faa5f0a2ee238a6bc", "cd63cb71954a9f4e48a5994e37a02baf");
    SubscriberKeys::Milenage { k: K(hex(k)), opc: Opc(hex(opc)) }
}
