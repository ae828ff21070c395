//! Bindings: a Contact of one UE with its Path, Call-ID and CSeq, packed.

use super::compact::Compact;
use super::contacts::Wanted;
use super::register::Register;
use super::registrar::{Second, second_before};
use crate::decimal::Decimal;
use crate::sip::header::params::Params;
use crate::sip::{HeaderName, Uri};
use crate::time::{Duration, Instant};
use foldhash::fast::FixedState;
use memchr::{memchr, memchr_iter, memchr2};
use std::borrow::Cow;
use std::hash::BuildHasher;
use std::num::NonZero;

/// One binding.
pub(super) struct Binding {
    /// When it was made, what happened last, a hash of the identity named; then Contact URI, its header parameters,
    /// Path (as one comma list) and Call-ID, packed, zero octets between. A binding with GRUUs has [`FIRST_CSEQ`] behind
    /// them.
    texts: Box<[u8]>,
    /// When it ends.
    pub(super) expires_at: Instant,
    /// Of the REGISTER that made or refreshed it.
    cseq: u32,
    /// 0: the binding belongs to no flow of RFC 5626.
    reg_id: u32,
    /// What was granted, in seconds.
    granted: u32,
    /// Of the REGISTER that made or refreshed it.
    likeness: Option<Likeness>,
}

/// A keyed hash of what decides what a REGISTER asks for; see `refresh`.
pub(super) type Likeness = NonZero<u64>;

impl Binding {
    /// What was planned, from now on.
    pub(super) fn new(planned: Planned, now: Instant) -> Self {
        let Planned { mut texts, expires, cseq, reg_id, likeness } = planned;
        texts[..EVENT].copy_from_slice(&second_before(now).to_be_bytes());
        let granted = u32::try_from(expires.as_secs()).unwrap_or(u32::MAX);
        // Only whole seconds are granted again.
        let likeness = likeness.filter(|_| Duration::from_secs(granted.into()) == expires);
        Self { texts, expires_at: now + expires, cseq, reg_id, granted, likeness }
    }

    /// What a REGISTER has that binds the same for as long; `None`: it must be read to know.
    pub(super) const fn likeness(&self) -> Option<Likeness> {
        self.likeness
    }

    /// For how many seconds.
    pub(super) const fn granted(&self) -> u32 {
        self.granted
    }

    /// True where the 200 states the Contact with the parameters that it was written with.
    pub(super) fn is_as_written(&self) -> bool {
        self.texts[EVENT] & AS_WRITTEN != 0
    }

    /// The next REGISTER is to be read.
    pub(super) const fn forget_likeness(&mut self) {
        self.likeness = None;
    }

    /// Such a REGISTER has come.
    pub(super) fn prolong(&mut self, now: Instant, cseq: u32) {
        self.expires_at = now + Duration::from_secs(self.granted.into());
        self.cseq = cseq;
        self.set_event(LastEvent::Refreshed);
    }

    /// What another process of ours has bound: since when is not known.
    pub(super) fn restored(planned: Planned, now: Instant) -> Self {
        let mut this = Self::new(planned, now);
        this.texts[..EVENT].copy_from_slice(&UNKNOWN.to_be_bytes());
        this
    }

    /// The same as it goes on from what was bound before.
    pub(super) fn refreshing(mut self, before: &Self, compact: &Compact) -> Self {
        self.texts[..EVENT].copy_from_slice(&before.texts[..EVENT]);
        self.set_event(LastEvent::Refreshed);
        self.texts[NAMED..START].copy_from_slice(&before.texts[NAMED..START]);
        if let Some((own, first)) = self.first_cseq().zip(before.first_cseq())
            && own != first
            && self.call_id(compact) == before.call_id(compact)
        {
            let kept = self.texts.len() - Decimal::new(own).as_bytes().len();
            self.texts = [&self.texts[..kept], Decimal::new(first).as_bytes()].concat().into();
        }
        self
    }

    /// Ends at `at` if that is earlier. True when it is.
    pub(super) fn shorten(&mut self, at: Instant) -> bool {
        let is_earlier = at < self.expires_at;
        if is_earlier {
            self.expires_at = at;
            self.set_event(LastEvent::Shortened);
        }
        is_earlier
    }

    /// The REGISTER that ends it, which is the last that changes it (RFC 3680 clause 5.1).
    pub(super) fn ended_by(&mut self, call_id: &str, cseq: u32, compact: &Compact) {
        let contact = self.contact(compact);
        let mut packed = Vec::new();
        pack_call_id(call_id, Uri::parse(&contact).map_or("", |uri| uri.host), compact, &mut packed);
        let own = text(&self.texts, CALL_ID);
        if packed != own {
            let from = own.as_ptr().addr() - self.texts.as_ptr().addr();
            let (before, behind) = (&self.texts[..from], &self.texts[from + own.len()..]);
            self.texts = [before, &packed, behind].concat().into();
        }
        self.cseq = cseq;
    }

    /// How long it has been there; `None`: not known.
    pub(super) fn age(&self, now: Instant) -> Option<u64> {
        let since = Second::from_be_bytes(self.texts[..EVENT].try_into().expect("the time comes first"));
        (since != UNKNOWN).then(|| second_before(now).saturating_sub(since).into())
    }

    /// What happened to it last.
    pub(super) fn event(&self) -> LastEvent {
        match self.texts[EVENT] & !FLAGS {
            1 => LastEvent::Refreshed,
            2 => LastEvent::Shortened,
            _ => LastEvent::Registered,
        }
    }

    fn set_event(&mut self, event: LastEvent) {
        self.texts[EVENT] = self.texts[EVENT] & FLAGS | event as u8;
    }

    /// True when it was made by a REGISTER for `impu`, which is canonical: for others of the set it was made implicitly.
    pub(super) fn names(&self, impu: &str) -> bool {
        self.texts[NAMED..START] == hashed_identity(impu)
    }

    /// As the HSS is told of it.
    pub(super) fn stated(&self, compact: &Compact) -> Stated {
        Stated::of(&self.texts, self.cseq, compact)
    }

    /// The header parameters of Contact, from the first `;` on.
    pub(super) fn params(&self, compact: &Compact) -> String {
        compact.text(text(&self.texts, PARAMS))
    }

    /// A binding for emergency calls (TS 24.229 clause 5.1.6.2).
    pub(super) fn is_emergency(&self) -> bool {
        self.texts[EVENT] & EMERGENCY != 0
    }

    /// The CSeq of the REGISTER since which the temporary GRUUs of this Call-ID are valid (RFC 5628 clause 5.2);
    /// `None`: it has no GRUUs.
    pub(super) fn first_cseq(&self) -> Option<u32> {
        let has_gruus = self.texts[EVENT] & GRUUS != 0;
        has_gruus.then(|| std::str::from_utf8(text(&self.texts, FIRST_CSEQ)).ok()?.parse().ok())?
    }

    /// What temporary GRUUs are made of: the hash of Call-ID, and CSeq.
    pub(super) fn sequence(&self, compact: &Compact) -> ([u8; 4], u32) {
        (hashed(&self.call_id(compact)), self.cseq)
    }

    /// Call-ID of the REGISTER that changed it last; empty where another process has not left it.
    pub(super) fn call_id(&self, compact: &Compact) -> String {
        call_id(&self.texts, compact)
    }

    /// CSeq of the same.
    pub(super) const fn cseq(&self) -> u32 {
        self.cseq
    }

    /// `+sip.instance`, quotes removed.
    pub(super) fn instance(&self, compact: &Compact) -> Option<String> {
        Params { text: &self.params(compact) }.value("+sip.instance").map(str::to_owned)
    }

    /// The same UE end: equal URIs, or the same flow (RFC 5626 clause 6).
    pub(super) fn is_of(&self, key: &Key<'_>, compact: &Compact) -> bool {
        match key.flow {
            Some(flow) => {
                self.reg_id == flow
                    && Params { text: &compact.text(text(&self.texts, PARAMS)) }.value("+sip.instance") == key.instance
            }
            None => {
                let own = text(&self.texts, URI);
                if compact.is(own, key.uri) {
                    return true;
                }
                let own = compact.text(own);
                // A binding for emergency calls is never one without, whatever else is equal.
                let equivalent = |own: Uri<'_>| {
                    Uri::parse(key.uri)
                        .is_ok_and(|other| own.equivalent(&other) && own.params.has("sos") == other.params.has("sos"))
                };
                Uri::parse(&own).is_ok_and(equivalent)
            }
        }
    }

    /// True when this binding was made by `call_id` with a CSeq that `cseq` does not exceed.
    pub(super) fn refuses(&self, call_id: &str, cseq: u32, compact: &Compact) -> bool {
        self.cseq >= cseq && self.call_id(compact) == call_id
    }

    /// True for a binding by reg-id.
    pub(super) const fn is_flow(&self) -> bool {
        self.reg_id != 0
    }

    /// The Contact URI.
    pub(super) fn contact(&self, compact: &Compact) -> String {
        compact.text(text(&self.texts, URI))
    }

    /// Path as one comma list, empty where there is none.
    pub(super) fn path(&self, compact: &Compact) -> String {
        compact.text(text(&self.texts, PATH))
    }

    /// Appends `<uri>;expires=seconds;params`.
    pub(super) fn write(&self, now: Instant, compact: &Compact, out: &mut Vec<u8>) {
        let left = self.expires_at.saturating_since(now);
        // A part of a second counts as a whole one: 0 would mean that the binding has gone.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        self.write_with(seconds, compact, out);
    }

    /// Appends `<uri>;expires=0;params`, for a binding just removed.
    pub(super) fn write_removed(&self, compact: &Compact, out: &mut Vec<u8>) {
        self.write_with(0, compact, out);
    }

    fn write_with(&self, expires: u64, compact: &Compact, out: &mut Vec<u8>) {
        out.push(b'<');
        compact.unpack(text(&self.texts, URI), out);
        out.extend_from_slice(b">;expires=");
        out.extend_from_slice(Decimal::new(expires).as_bytes());
        compact.unpack(text(&self.texts, PARAMS), out);
    }
}

/// A binding in texts of headers, unpacked.
pub(super) struct Stated {
    /// Contact without `expires`.
    pub(super) contact: String,
    /// Path as one comma list.
    pub(super) path: String,
    /// Of the REGISTER; empty where it is not known.
    pub(super) call_id: String,
    /// Of the same.
    pub(super) cseq: u32,
}

impl Stated {
    fn of(texts: &[u8], cseq: u32, compact: &Compact) -> Self {
        let unpacked = |which| compact.text(text(texts, which));
        let contact = format!("<{}>{}", unpacked(URI), unpacked(PARAMS));
        Self { contact, path: unpacked(PATH), call_id: call_id(texts, compact), cseq }
    }
}

/// What happened last to a binding that is there (RFC 3680 clause 4.7.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LastEvent {
    /// A REGISTER made it.
    Registered,
    /// A REGISTER prolonged it.
    Refreshed,
    /// The network brought its end nearer.
    Shortened,
}

/// What tells the UE end of a binding from others.
pub(super) struct Key<'a> {
    /// The Contact URI.
    pub(super) uri: &'a str,
    /// `+sip.instance`
    pub(super) instance: Option<&'a str>,
    /// reg-id of a flow of RFC 5626.
    pub(super) flow: Option<u32>,
}

/// A binding that the HSS must hear of first.
pub(super) struct Planned {
    texts: Box<[u8]>,
    /// How long it is to last; zero: what is bound is removed.
    pub(super) expires: Duration,
    cseq: u32,
    reg_id: u32,
    /// See [`Binding::likeness`].
    pub(super) likeness: Option<Likeness>,
}

impl Planned {
    /// What `wanted` of this REGISTER asks for. `scratch` holds what is being written.
    pub(super) fn new(
        register: &Register<'_, '_>,
        wanted: &Wanted<'_>,
        compact: &Compact,
        scratch: &mut Vec<u8>,
    ) -> Self {
        let paths = register.message.values(HeaderName::Path);
        let mut this = Self::of(register.call_id, register.cseq, &register.impu, paths, wanted, compact, scratch);
        let address = &wanted.contact.address;
        let plain = "<>".len() + address.uri.text.len() + address.params.text.len();
        if register.message.only(HeaderName::Contact).is_none_or(|contact| contact.len() != plain) {
            this.texts[EVENT] &= !AS_WRITTEN;
        }
        if register.supports_gruu && wanted.contact.instance().is_some() {
            this.texts = [&this.texts, &b"\0"[..], Decimal::new(register.cseq).as_bytes()].concat().into();
            this.texts[EVENT] |= GRUUS;
        }
        this
    }

    /// The same for a REGISTER of which only this is known.
    pub(super) fn of<'p>(
        call_id: &str,
        cseq: u32,
        impu: &str,
        paths: impl Iterator<Item = &'p str>,
        wanted: &Wanted<'_>,
        compact: &Compact,
        scratch: &mut Vec<u8>,
    ) -> Self {
        scratch.clear();
        // Written when it is bound.
        scratch.extend_from_slice(&[0; EVENT]);
        let address = &wanted.contact.address;
        let params = kept_params(address.params.text);
        let as_written = if matches!(params, Cow::Borrowed(_)) { AS_WRITTEN } else { 0 };
        let emergency = if wanted.is_emergency() { EMERGENCY } else { 0 };
        scratch.push(LastEvent::Registered as u8 | as_written | emergency);
        scratch.extend_from_slice(&hashed_identity(impu));
        compact.pack(address.uri.text, scratch);
        scratch.push(0);
        compact.pack(&params, scratch);
        scratch.push(0);
        for (n, path) in paths.enumerate() {
            if n > 0 {
                scratch.extend_from_slice(b", ");
            }
            compact.pack(path, scratch);
        }
        scratch.push(0);
        pack_call_id(call_id, address.uri.host, compact, scratch);
        let texts = scratch.as_slice().into();
        Self { texts, expires: wanted.expires, cseq, reg_id: wanted.flow.unwrap_or(0), likeness: None }
    }

    /// As the HSS is told of it.
    pub(super) fn stated(&self, compact: &Compact) -> Stated {
        Stated::of(&self.texts, self.cseq, compact)
    }

    /// True for a binding by reg-id.
    pub(super) const fn is_flow(&self) -> bool {
        self.reg_id != 0
    }

    /// A binding for emergency calls.
    pub(super) fn is_emergency(&self) -> bool {
        self.texts[EVENT] & EMERGENCY != 0
    }

    /// True when `binding` is of the same UE end. Most often the octets say so.
    pub(super) fn is_of(&self, binding: &Binding, compact: &Compact) -> bool {
        let written_alike =
            self.reg_id == 0 && binding.reg_id == 0 && text(&self.texts, URI) == text(&binding.texts, URI);
        written_alike || self.with_key(compact, |key| binding.is_of(key, compact))
    }

    /// Calls `with` with what tells its UE end from others.
    fn with_key<T>(&self, compact: &Compact, with: impl FnOnce(&Key<'_>) -> T) -> T {
        let (uri, params) = (compact.text(text(&self.texts, URI)), compact.text(text(&self.texts, PARAMS)));
        let instance = Params { text: &params }.value("+sip.instance");
        with(&Key { uri: &uri, instance, flow: Some(self.reg_id).filter(|id| *id != 0) })
    }
}

/// The bindings of one registration: nearly always one.
pub(super) enum Bindings {
    /// The usual case, without a list of its own.
    One(Binding),
    /// None while a registration is being changed, or several.
    Many(Vec<Binding>),
}

impl Bindings {
    /// All of them, the oldest first.
    pub(super) fn as_slice(&self) -> &[Binding] {
        match self {
            Self::One(binding) => std::slice::from_ref(binding),
            Self::Many(bindings) => bindings,
        }
    }

    /// When the first one ends.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.as_slice().iter().map(|b| b.expires_at).min()
    }

    /// Takes them out.
    pub(super) fn take(&mut self) -> Vec<Binding> {
        match std::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(binding) => vec![binding],
            Self::Many(bindings) => bindings,
        }
    }
}

impl From<Vec<Binding>> for Bindings {
    fn from(mut bindings: Vec<Binding>) -> Self {
        if bindings.len() == 1 {
            Self::One(bindings.pop().expect("its length is 1"))
        } else {
            bindings.shrink_to_fit();
            Self::Many(bindings)
        }
    }
}

/// One of the texts of a binding.
fn text(texts: &[u8], which: usize) -> &[u8] {
    let mut rest = &texts[START..];
    for _ in 0..which {
        rest = memchr(0, rest).map_or(&[][..], |end| &rest[end + 1..]);
    }
    &rest[..memchr(0, rest).unwrap_or(rest.len())]
}

const URI: usize = 0;
const PARAMS: usize = 1;
const PATH: usize = 2;
const CALL_ID: usize = 3;
/// In decimal digits.
const FIRST_CSEQ: usize = 4;
/// Where [`LastEvent`] is, with [`FLAGS`]: behind the second in which the binding was made.
const EVENT: usize = size_of::<Second>();
/// It is for emergency calls.
const EMERGENCY: u8 = 0x80;
/// It has GRUUs.
const GRUUS: u8 = 0x40;
/// Of the Contact as it was written all parameters are kept, and there is nothing else in its line.
const AS_WRITTEN: u8 = 0x20;
const FLAGS: u8 = EMERGENCY | GRUUS | AS_WRITTEN;
/// In place of that second.
const UNKNOWN: Second = Second::MAX;
/// Where the hash of the identity named is.
const NAMED: usize = EVENT + 1;
/// Where the texts begin.
const START: usize = NAMED + 2;

/// Phones end it with `@` and their address, which the Contact has already.
fn pack_call_id(call_id: &str, host: &str, compact: &Compact, out: &mut Vec<u8>) {
    match call_id.strip_suffix(host).and_then(|rest| rest.strip_suffix('@')).filter(|_| !host.is_empty()) {
        Some(rest) => {
            compact.pack(rest, out);
            out.push(AT_CONTACT);
        }
        None => compact.pack(call_id, out),
    }
}

fn call_id(texts: &[u8], compact: &Compact) -> String {
    let packed = text(texts, CALL_ID);
    let Some(rest) = packed.strip_suffix(&[AT_CONTACT]) else { return compact.text(packed) };
    let contact = compact.text(text(texts, URI));
    let host = Uri::parse(&contact).map_or("", |uri| uri.host);
    [&*compact.text(rest), "@", host].concat()
}

/// Never in what [`Compact`] has packed.
const AT_CONTACT: u8 = 0x1e;

fn hashed(call_id: &str) -> [u8; 4] {
    (FixedState::default().hash_one(call_id) as u32).to_be_bytes()
}

/// Only compared within one implicit set, and only for what watchers are told: two octets do.
fn hashed_identity(impu: &str) -> [u8; START - NAMED] {
    let hash = FixedState::default().hash_one(impu).to_be_bytes();
    [hash[0], hash[1]]
}

/// The header parameters that a binding keeps (TS 24.229 clause 5.4.1.2.2): all but `expires`, which the 200 states
/// anew, and GRUUs, which only a registrar gives.
pub(super) fn kept_params(text: &str) -> Cow<'_, str> {
    if is_kept_as_written(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    for piece in pieces(text).map(str::trim_ascii).filter(|piece| is_kept(piece)) {
        out.push(';');
        // A fold may stand around `=`; it must not come out as a line end.
        out.extend(piece.chars().map(|c| if c == '\r' || c == '\n' { ' ' } else { c }));
    }
    Cow::Owned(out)
}

/// True for parameters of which all are kept and none has white space around it. Says `false` too for some that are
/// merely unusual: names that begin like those which are dropped, white space, empty pieces.
fn is_kept_as_written(text: &[u8]) -> bool {
    // Without a way out on the first such octet, many are looked at together.
    let is_spaced = text.iter().fold(false, |is_spaced, octet| is_spaced | (*octet <= b' '));
    // What a semicolon in quotes is followed by may be taken for a name.
    let is_kept = |at: usize| !matches!(text.get(at + 1), None | Some(b';' | b'e' | b'E' | b'p' | b'P' | b't' | b'T'));
    matches!(text, [] | [b';', ..]) && !is_spaced && memchr_iter(b';', text).all(is_kept)
}

fn is_kept(piece: &str) -> bool {
    let name = &piece[..memchr(b'=', piece.as_bytes()).unwrap_or(piece.len())];
    !piece.is_empty() && !DROPPED.iter().any(|n| n.eq_ignore_ascii_case(name.trim_ascii_end()))
}

/// What stands between semicolons outside quotes.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let (piece, behind) = text.split_at(end_of_param(text));
        rest = behind.strip_prefix(';');
        Some(piece)
    })
}

/// Where the parameter at the front ends: at the next `;` outside quotes.
fn end_of_param(text: &str) -> usize {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|b| memchr2(b';', b'"', b)) {
        at += found;
        if bytes[at] == b';' {
            return at;
        }
        at += 1;
        while let Some(found) = bytes.get(at..).and_then(|b| memchr2(b'"', b'\\', b)) {
            at += found + 1;
            if bytes[at - 1] == b'"' {
                break;
            }
            // What follows a backslash is data.
            at += 1;
        }
    }
    text.len()
}

const DROPPED: [&str; 3] = ["expires", "pub-gruu", "temp-gruu"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::Message;
    use crate::sip::header::contact::Contacts;
    #[test]
    fn the_binding_of_a_phone_takes_few_octets() {
        let realm = "ims.mnc001.mcc001.3gppnetwork.org";
        let text = format!(
            "REGISTER sip:{realm} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nTo: <sip:001010000000001@{realm}>\r\n\
             From: <sip:001010000000001@{realm}>;tag=1\r\nCSeq: 2 REGISTER\r\nCall-ID: 6wr5YA4uEzYn8TycDM-zOw\r\n\
             Path: <sip:abcdefghij@pcscf.{realm}:5060;lr>\r\nContact: <sip:001010000000001@192.168.101.5:31001>;\
             +sip.instance=\"<urn:gsma:imei:86774304-000024-0>\";+g.3gpp.accesstype=\"cellular2\";audio;+g.3gpp.smsip;\
             +g.3gpp.icsi-ref=\"urn%3Aurn-7%3A3gpp-service.ims.icsi.mmtel\"\r\nContent-Length: 0\r\n\r\n"
        );
        let message = Message::parse(text.as_bytes()).unwrap();
        let register = Register::read(&message, &message.checked().unwrap(), Vec::new()).unwrap();
        let Contacts::List(contacts) = message.contacts().unwrap() else { panic!("no * here") };
        let wanted = Wanted { contact: &contacts[0], expires: Duration::from_secs(600), flow: None };
        let compact = Compact::new(realm);
        let binding = Binding::new(Planned::new(&register, &wanted, &compact, &mut Vec::new()), Instant::ZERO);
        // 23 of them are Call-ID.
        assert!(binding.texts.len() <= 146, "{} octets", binding.texts.len());
        assert!(size_of::<Binding>() <= 48, "{}", size_of::<Binding>());
        let contact = message.header(HeaderName::Contact).unwrap();
        let (mut out, mut asked) = (Vec::new(), Vec::new());
        binding.write(Instant::from_millis(500), &compact, &mut out);
        wanted.write(&mut asked);
        for stated in [out, asked] {
            assert_eq!(String::from_utf8(stated).unwrap(), contact.replacen('>', ">;expires=600", 1));
        }
        assert!(binding.is_of(&wanted.key(), &compact));
        assert_eq!(binding.contact(&compact), wanted.contact.address.uri.text);
        assert_eq!(Some(&*binding.path(&compact)), message.header(HeaderName::Path));
        let refuses = |call_id, cseq| binding.refuses(call_id, cseq, &compact);
        assert!(refuses("6wr5YA4uEzYn8TycDM-zOw", 2));
        assert!(!refuses("6wr5YA4uEzYn8TycDM-zOw", 3) && !refuses("6wr5", 2));
    }

    #[test]
    fn a_call_id_comes_back_and_names_the_address_of_the_contact_once() {
        let compact = Compact::new("home.example");
        for (call_id, most) in [
            ("X1fcb1DXa@[2001:683:890:1942:1::9e0b:baea]", 10),
            ("X1fcb1DXa@[2001:683:890:1942:1::9e0b:bae]", 42),
            ("@[2001:683:890:1942:1::9e0b:baea]", 1),
            ("[2001:683:890:1942:1::9e0b:baea]", 32),
            ("a@home.example", 2),
            ("939764460", 9),
            ("", 0),
        ] {
            let contact = Contacts::parse(std::iter::once("<sip:u@[2001:683:890:1942:1::9e0b:baea]:31800>")).unwrap();
            let Contacts::List(contacts) = &contact else { panic!("no * here") };
            let wanted = Wanted { contact: &contacts[0], expires: Duration::from_secs(600), flow: None };
            let paths = ["<sip:p@home.example;lr>"].into_iter();
            let planned = Planned::of(call_id, 7, "sip:u@home.example", paths, &wanted, &compact, &mut Vec::new());
            let mut binding = Binding::new(planned, Instant::from_millis(1_900));
            assert!(text(&binding.texts, CALL_ID).len() <= most, "{call_id}");
            assert_eq!((binding.call_id(&compact), binding.cseq()), (call_id.to_owned(), 7));
            assert_eq!(binding.age(Instant::from_millis(5_100)), Some(4));
            for other in ["other@host", "", call_id] {
                binding.ended_by(other, 8, &compact);
                assert_eq!((binding.call_id(&compact), binding.cseq()), (other.to_owned(), 8));
                assert_eq!(binding.path(&compact), "<sip:p@home.example;lr>");
            }
        }
    }

    #[test]
    fn parameters_are_kept_but_for_those_of_the_registrar() {
        let text = ";expires=3600; q=0.5 ;+x=\"a;expires=1\\\";b\";Pub-GRUU=\"x\";audio\r\n ;a =\r\n b";
        assert_eq!(kept_params(text), ";q=0.5;+x=\"a;expires=1\\\";b\";audio;a =   b");
        for text in ["", ";q=0.5;+x=\"a;b\\\";c\";audio"] {
            assert!(matches!(kept_params(text), Cow::Borrowed(kept) if kept == text));
        }
        // Names that begin like one that is dropped, and what is not as usual.
        for text in [";audio;text;enc=1;p", ";a = b"] {
            assert_eq!(kept_params(text), text);
        }
        assert_eq!(kept_params(";;audio;x=\"\\\r\n\""), ";audio;x=\"\\  \"");
        assert_eq!(kept_params(";audio;Expires=5"), ";audio");
    }
}
