//! What the Contacts of a REGISTER ask for (RFC 3261 clause 10.3, TS 24.229 clause 5.4.1.2.2).

use super::ScscfConfig;
pub(super) use super::binding::Planned;
use super::binding::{Binding, Key, kept_params};
use super::compact::Compact;
use super::refusal::Refusal;
use super::register::Register;
use crate::decimal::Decimal;
use crate::sip::HeaderName;
use crate::sip::header::contact::Contact;
use crate::time::{Duration, Instant};

/// What a REGISTER wants done.
#[derive(Debug)]
pub(super) enum Wish<'a> {
    /// No Contact: say what is bound.
    Query,
    /// Bind at least one Contact, and perhaps remove others.
    Bind(Vec<Wanted<'a>>),
    /// Remove these.
    Unbind(Vec<Wanted<'a>>),
    /// `*`: remove all.
    UnbindAll,
}

/// One Contact, and what is granted for it.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// As received.
    pub(super) contact: &'a Contact<'a>,
    /// Zero: to be removed.
    pub(super) expires: Duration,
    /// reg-id, where the network supports it for this UE (RFC 5626 clause 6).
    pub(super) flow: Option<u32>,
}

impl<'a> Wish<'a> {
    /// Reads the Contacts and checks what can be said without knowing what is bound.
    pub(super) fn read(register: &'a Register<'_, '_>, config: &ScscfConfig) -> Result<Self, Refusal> {
        let header = register.message.expires();
        let asked = |contact: &Contact<'_>| {
            contact.expires.or(header).map_or(config.default_expires, |s| Duration::from_secs(s.into()))
        };
        // RFC 3261 clause 10.3 step 7: what is an hour or longer is never too brief.
        let shortest = config.min_expires.min(Duration::from_secs(3_600));
        let too_brief = register.contacts.iter().map(asked).any(|asked| !asked.is_zero() && asked < shortest);
        let wanted =
            |contact: &'a Contact<'a>| Wanted { contact, expires: asked(contact).min(config.max_expires), flow: None };
        let mut wanted: Vec<_> = register.contacts.iter().map(wanted).collect();
        match (register.is_star, wanted.is_empty()) {
            (true, _) if header == Some(0) => return Ok(Self::UnbindAll),
            (true, _) => return Err(Refusal::BadStar),
            (false, true) => return Ok(Self::Query),
            (false, false) => {}
        }
        if too_brief {
            return Err(Refusal::IntervalTooBrief { min_expires: config.min_expires.as_secs() });
        }
        if wanted.iter().any(|w| w.expires.is_zero() && w.is_emergency()) {
            return Err(Refusal::EmergencyRegistrationStays);
        }
        if wanted.iter().any(|w| w.contact.reg_id().is_some()) {
            let outbound = Outbound::of(register);
            for w in wanted.iter_mut().filter(|w| !w.is_emergency()) {
                w.flow = outbound.flow(w.contact)?;
            }
        }
        let binds = |w: &&Wanted<'_>| !w.expires.is_zero();
        if wanted.iter().filter(binds).filter(|w| w.flow.is_some()).count() > 1 {
            return Err(Refusal::SeveralFlows);
        }
        Ok(if wanted.iter().any(|w| binds(&w)) { Self::Bind(wanted) } else { Self::Unbind(wanted) })
    }
}

impl Wanted<'_> {
    /// What tells its UE end from others.
    pub(super) fn key(&self) -> Key<'_> {
        Key { uri: self.contact.address.uri.text, instance: self.contact.instance(), flow: self.flow }
    }

    /// Appends it as the 200 states it: the same as [`Binding::write`] when it has just been bound.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let address = &self.contact.address;
        let seconds = self.expires.as_secs() + u64::from(self.expires.subsec_nanos() > 0);
        write_granted(address.uri.text, seconds, &kept_params(address.params.text), out);
    }

    /// A Contact for emergency calls (TS 24.229 clause 5.1.6.2).
    pub(super) fn is_emergency(&self) -> bool {
        self.contact.address.uri.params.has("sos")
    }
}

/// Appends a Contact that is bound as it was written ([`Binding::is_as_written`]), as [`Wanted::write`] would. False: it
/// must be read for that, and nothing is written.
pub(super) fn write_again(contact: &str, granted: u32, out: &mut Vec<u8>) -> bool {
    let Some(address) = contact.strip_prefix('<') else { return false };
    let Some(end) = memchr::memchr(b'>', address.as_bytes()) else { return false };
    write_granted(&address[..end], granted.into(), &address[end + 1..], out);
    true
}

fn write_granted(uri: &str, seconds: u64, params: &str, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(uri.as_bytes());
    out.extend_from_slice(b">;expires=");
    out.extend_from_slice(Decimal::new(seconds).as_bytes());
    out.extend_from_slice(params.as_bytes());
}

/// What a REGISTER leaves of what is bound. A Contact without flow replaces whatever was bound without flow before:
/// parallel Contacts are not kept for one IMPI. One for emergency calls is beside all others, and replaces its like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Replaces {
    usual: bool,
    emergency: bool,
}

impl Replaces {
    /// What these Contacts replace; only their like where `parallel` ones are kept for one IMPI.
    pub(super) fn of(planned: &[Planned], parallel: bool) -> Self {
        let mut this = Self { usual: false, emergency: false };
        if parallel {
            return this;
        }
        for p in planned.iter().filter(|p| !p.is_flow() && !p.expires.is_zero()) {
            if p.is_emergency() {
                this.emergency = true;
            } else {
                this.usual = true;
            }
        }
        this
    }

    /// True for a binding that goes, or is one of those that come.
    pub(super) fn takes(self, binding: &Binding) -> bool {
        if self.usual == self.emergency {
            return self.usual && !binding.is_flow();
        }
        !binding.is_flow() && binding.is_emergency() == self.emergency
    }
}

/// The bindings after a REGISTER that binds, and those that it removed or replaced: all or nothing. Where `parallel`
/// Contacts are kept for one IMPI, only the same Contact replaces one.
pub(super) fn rebind(
    mut bindings: Vec<Binding>,
    planned: Vec<Planned>,
    parallel: bool,
    now: Instant,
    compact: &Compact,
) -> (Vec<Binding>, Vec<Binding>) {
    let replaces = Replaces::of(&planned, parallel);
    let (mut bound, mut removed) = (Vec::with_capacity(planned.len()), Vec::new());
    for p in planned {
        let take = |list: &mut Vec<Binding>| {
            let at = list.iter().position(|b| p.is_of(b, compact));
            at.map(|at| list.remove(at))
        };
        // Of two equal Contacts the last counts.
        let before = take(&mut bindings).or_else(|| take(&mut bound));
        match (before, p.expires.is_zero()) {
            (before, true) => removed.extend(before),
            (Some(before), false) => bound.push(Binding::new(p, now).refreshing(&before, compact)),
            (None, false) => bound.push(Binding::new(p, now)),
        }
    }
    let mut replaced: Vec<Binding> = bindings.extract_if(.., |b| replaces.takes(b)).collect();
    replaced.append(&mut removed);
    if bindings.is_empty() {
        return (bound, replaced);
    }
    bindings.append(&mut bound);
    (bindings, replaced)
}

/// How RFC 5626 applies to one REGISTER.
#[derive(Clone, Copy, Debug)]
struct Outbound {
    /// The first Path URI has `ob`.
    first_hop: bool,
    /// Supported names `outbound`.
    supported: bool,
}

impl Outbound {
    fn of(register: &Register<'_, '_>) -> Self {
        let path = register.message.elements(HeaderName::Path).next();
        Self {
            first_hop: path.is_some_and(|p| {
                crate::sip::header::name_addr::NameAddr::parse(HeaderName::Path, p)
                    .is_ok_and(|p| p.uri.params.has("ob"))
            }),
            supported: register.message.has_option(HeaderName::Supported, "outbound"),
        }
    }

    fn flow(self, contact: &Contact<'_>) -> Result<Option<u32>, Refusal> {
        match contact.reg_id() {
            Some(flow) if contact.instance().is_some() => match (self.first_hop, self.supported) {
                (true, true) => Ok(Some(flow)),
                (false, true) => Err(Refusal::FirstHopLacksOutbound),
                (_, false) => Ok(None),
            },
            _ => Ok(None),
        }
    }
}
