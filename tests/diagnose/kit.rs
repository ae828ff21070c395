//! Traces that fail, and what is said of them.

use crate::trace::{Trace, change, cut, is_second, lab_keys, to_ue};
use data_encoding::BASE64;
use imsreg::aka::vector::{SubscriberKeys, Vector};
use imsreg::diagnose::{self, Certainty, Context, Diagnosis, Found};
use imsreg::packet::Protocol;
use imsreg::trace::Seen;
use imsreg::trace::story::Registration;
use imsreg::validate;

/// What is said of the first registration.
pub(crate) fn diagnosed(trace: &Trace) -> Diagnosis {
    diagnosed_in(trace, &Context::default())
}

/// The same where the keys are known.
pub(crate) fn with_keys(trace: &Trace, keys: &SubscriberKeys) -> Diagnosis {
    let keys_of = |_: &str| Some(keys);
    let judge = validate::Context { keys: Some(&keys_of), ..validate::Context::default() };
    diagnosed_in(trace, &Context { judge, ..Context::default() })
}

/// The same where the keys of the lab are known.
pub(crate) fn with_lab_keys(trace: &Trace) -> Diagnosis {
    with_keys(trace, &lab_keys())
}

pub(crate) fn diagnosed_in(trace: &Trace, context: &Context<'_>) -> Diagnosis {
    let groups = trace.groups();
    diagnose::diagnose(&Registration::of(groups.first().expect("a registration")), context)
}

/// What a test wants of a diagnosis.
pub(crate) trait Wanted {
    /// The first cause has this name, this certainty, and these words in one of its texts.
    fn caused_by(&self, name: &str, certainty: Certainty, words: &str);
    /// No cause has this name.
    fn not_by(&self, name: &str);
    /// A remark has this name, and no cause is named.
    fn remarks(&self, name: &str, words: &str);
    /// There is no cause.
    fn has_no_cause(&self);
}

impl Wanted for Diagnosis {
    #[track_caller]
    fn caused_by(&self, name: &str, certainty: Certainty, words: &str) {
        let first = self.causes.first().unwrap_or_else(|| panic!("no cause, where {name} is; {self:?}"));
        assert_eq!((first.cause.name, first.certainty), (name, certainty), "{self:#?}");
        assert!(said(first).contains(words), "{words:?} in {first:#?}");
        assert!(!first.messages.is_empty(), "{name} shows where");
    }

    #[track_caller]
    fn not_by(&self, name: &str) {
        assert!(self.causes.iter().all(|found| found.cause.name != name), "{self:#?}");
    }

    #[track_caller]
    fn remarks(&self, name: &str, words: &str) {
        self.has_no_cause();
        let remark = self.remarks.iter().find(|found| found.cause.name == name);
        let remark = remark.unwrap_or_else(|| panic!("no remark {name}: {self:#?}"));
        assert!(said(remark).contains(words), "{words:?} in {remark:#?}");
    }

    #[track_caller]
    fn has_no_cause(&self) {
        assert!(self.causes.is_empty(), "{self:#?}");
    }
}

fn said(found: &Found) -> String {
    format!("{} / {} / {} / {}", found.expected, found.found, found.action, found.ruled_out.join(" / "))
}

/// A registration that succeeds, over all interfaces.
pub(crate) fn first() -> Trace {
    Trace::of("first-registration")
}

/// The challenge, changed; what the UE gets of it.
pub(crate) fn challenged(trace: Trace, with: impl Fn(&str) -> String) -> Trace {
    trace.edit(
        |text| text.starts_with("SIP/2.0 401 ") && text.contains("CSeq: 1 REGISTER"),
        move |text| change(text, "WWW-Authenticate", &with),
    )
}

/// The answer to the challenge, changed on all its hops.
pub(crate) fn answered(trace: Trace, with: impl Fn(&str) -> String) -> Trace {
    trace.edit(
        |text| text.starts_with("REGISTER ") && text.contains("CSeq: 2 REGISTER"),
        move |text| change(text, "Authorization", &with),
    )
}

/// The REGISTER with this CSeq is refused, and nothing follows: `status` with its phrase.
pub(crate) fn refused(trace: Trace, cseq: u32, status: &str) -> Trace {
    let line = format!("CSeq: {cseq} REGISTER");
    let is_end = |text: &str| text.starts_with("SIP/2.0 ") && !text.starts_with("SIP/2.0 100 ") && text.contains(&line);
    let trace = trace.edit(is_end, |text| {
        let rest = text.split_once("\r\n").expect("a start line").1;
        let names = ["Contact", "Service-Route", "P-Associated-URI", "WWW-Authenticate", "Security-Server", "Path"];
        names.iter().fold(format!("SIP/2.0 {status}\r\n{rest}"), |text, name| cut(&text, name))
    });
    let end = trace.position(|text| {
        text.starts_with(&format!("SIP/2.0 {}", &status[..3])) && to_ue_any(text) && text.contains(&line)
    });
    Trace { sightings: trace.sightings[..=end].to_vec() }
}

fn to_ue_any(text: &str) -> bool {
    text.matches("\r\nVia: ").count() == 1
}

/// The challenge is the last thing that is said, and the trace goes on for some minutes.
pub(crate) fn silent(trace: Trace) -> Trace {
    let challenge = trace.position(to_ue("401"));
    Trace { sightings: trace.sightings[..=challenge].to_vec() }.going_on(200)
}

/// The UE refuses the challenge as TS 24.229 clause 5.1.1.5.3 has it: in clear, with new SPIs and port-c.
pub(crate) fn refusing(trace: Trace, with: impl Fn(&str) -> String) -> Trace {
    let marked = |text: &str| text.replace("integrity-protected=\"yes\"", "integrity-protected=\"no\"");
    let refusing = answered(trace, |value| marked(&with(value))).in_clear(is_second);
    refusing.edit(is_second, |text| {
        change(&cut(text, "Security-Verify"), "Security-Client", |value| {
            value.replace("spi-c=", "spi-c=1").replace("spi-s=", "spi-s=1").replace("port-c=3", "port-c=4")
        })
    })
}

/// Every nonce is of a vector that `keys` make for this RAND and SQN.
pub(crate) fn with_vector(trace: Trace, keys: &SubscriberKeys, rand: [u8; 16], sqn: u64) -> Trace {
    let vector = Vector::compute(keys, rand, sqn, [0x80, 0]);
    let nonce = BASE64.encode(&[vector.rand, vector.autn].concat());
    let trace = challenged(trace, |value| crate::trace::set(value, "nonce", &nonce));
    answered(trace, |value| crate::trace::set(value, "nonce", &nonce))
}

/// Neither Cx nor anything else of Diameter.
pub(crate) fn without_diameter(trace: Trace) -> Trace {
    let is_sip = |seen: &Seen| !matches!(seen, Seen::Message(message) if message.protocol == Protocol::Diameter);
    Trace { sightings: trace.sightings.into_iter().filter(|sighting| is_sip(&sighting.seen)).collect() }
}
