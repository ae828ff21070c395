//! What a P-CSCF knows of one subscriber: `Challenging` while a REGISTER is with the core, `Challenged` while a temporary
//! set waits for the answer, `Registered` with the sets that serve it. A re-registration keeps `Registered` and holds a
//! new `Challenged` beside it (TS 33.203 clause 7.4).
//!
//! There are hundreds of thousands of these: texts are packed, numbers are numbers, and what is known from the
//! configuration is not stored.

use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Endpoint, Mod, SaId, SaSetId};
use crate::ipsec::negotiate::Offer;
use crate::packet::Route;
use crate::sip::header::contact::Contacts;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderError, HeaderName, Message};
use crate::time::Instant;
use foldhash::quality::FixedState;
use memchr::{memchr, memchr2, memrchr};
use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZero;
use std::rc::Rc;

/// Names a flow of a subscriber: a keyed hash of the IMPI, in place of its 60 octets, and one octet for which of its
/// flows it is. As text it is the token in our Path, which
/// nobody can foretell without the key: 13 characters of base 32, and four that tell a token of ours from any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FlowKey(Short);

impl FlowKey {
    pub(super) fn of(hasher: &FixedState, impi: &str) -> Self {
        Self(Short::new(hasher.hash_one(impi) & !WHICH))
    }

    /// The flow of the same subscriber that lives beside: for emergency calls, or by its reg-id (RFC 5626 clause 4.2).
    pub(super) const fn beside(self, beside: Beside) -> Self {
        let which = match beside {
            Beside::Emergency => EMERGENCY,
            Beside::Outbound { reg_id, instance } => 2 + (reg_id as u64).wrapping_add(instance) % 254,
        };
        Self(Short::new(self.0.get() & !WHICH | which << WHICH.trailing_zeros()))
    }

    /// True for the flow of an emergency registration.
    pub(super) const fn is_emergency(self) -> bool {
        self.0.get() >> WHICH.trailing_zeros() == EMERGENCY
    }

    /// True for flows of one subscriber.
    pub(super) const fn is_of_same_user(self, other: Self) -> bool {
        (self.0.get() ^ other.0.get()) & !WHICH == 0
    }

    /// The text.
    pub(super) fn token(self, hasher: &FixedState) -> [u8; TOKEN] {
        let key = self.0.get();
        let mark = hasher.hash_one((key, MARK_OF_TOKEN));
        let run = mark_of_run(hasher);
        let digit = |i: usize| match i {
            ..KEY => key >> (5 * i),
            KEY..RUN => mark >> (5 * (i - KEY)),
            _ => run >> (5 * (i - RUN)),
        };
        std::array::from_fn(|i| ALPHABET[(digit(i) & 31) as usize])
    }

    /// Reads the text; `None` for one that we have not written.
    pub(super) fn read(text: &[u8], hasher: &FixedState) -> Option<Self> {
        let mut key = 0;
        for (i, character) in text.iter().take(KEY).enumerate() {
            let digit = ALPHABET.iter().position(|a| a == character)?;
            key |= (digit as u64) << (5 * i);
        }
        Some(Self(Short::new(key))).filter(|flow| flow.token(hasher) == text)
    }

    /// True for a text as [`FlowKey::token`] writes them, with the mark of another run. Nothing tells it from one that
    /// somebody made up, and nothing hangs on it: neither leads anywhere.
    pub(super) fn is_of_other_run(text: &[u8], hasher: &FixedState) -> bool {
        let run = mark_of_run(hasher);
        let own = std::array::from_fn(|i| ALPHABET[((run >> (5 * i)) & 31) as usize]);
        let own: [u8; TOKEN - RUN] = own;
        text.len() == TOKEN && text.iter().all(|c| ALPHABET.contains(c)) && text[RUN..] != own
    }
}

/// What a flow is for that lives beside the usual one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Beside {
    /// Emergency calls.
    Emergency,
    /// A flow of RFC 5626.
    Outbound {
        reg_id: u32,
        /// The hash of the instance: the flows of one device never meet, those of two hardly ever.
        instance: u64,
    },
}

/// The bits that tell the flows of one subscriber from each other.
const WHICH: u64 = 0xff << 56;

/// In [`WHICH`]. 0 is the usual flow, all others are those of RFC 5626.
const EMERGENCY: u64 = 1;

/// A hash in place of what is several times as large, in halves: they need no alignment to eight. Two keys with one hash
/// count as a collision of the keys, which is as good as never and does no harm.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Short([u32; 2]);

impl Short {
    #[expect(clippy::cast_possible_truncation, reason = "the two halves of one number")]
    pub(super) const fn new(hash: u64) -> Self {
        Self([hash as u32, (hash >> 32) as u32])
    }

    const fn get(self) -> u64 {
        (self.0[1] as u64) << 32 | self.0[0] as u64
    }
}

/// Differs from one run of a P-CSCF to the next.
fn mark_of_run(hasher: &FixedState) -> u64 {
    hasher.hash_one(MARK_OF_RUN)
}

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Characters of the key.
const KEY: usize = 13;
/// Where the characters of the run begin, behind two of the mark.
const RUN: usize = KEY + 2;
/// Characters of a token.
const TOKEN: usize = RUN + 2;
/// Keeps the hash of the mark apart from that of the key.
const MARK_OF_TOKEN: u64 = 0x746f_6b65_6e00_0000;
/// The same for the mark of the run.
const MARK_OF_RUN: u64 = 0x7275_6e00_0000_0000;

/// One subscriber.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) registrations: Registrations,
    /// The newest of its sets of SAs, the others follow by [`Set::next`].
    pub(super) newest: Option<SetIndex>,
    /// Where it is registered without SAs.
    pub(super) in_clear: Option<Box<InClear>>,
}

impl Flow {
    /// What a refresh is like, where one set is registered.
    pub(super) fn last(&self) -> Option<Alike> {
        match &self.registrations {
            Registrations::One(known) => known.last,
            Registrations::None | Registrations::Many(_) => None,
        }
    }
}

/// One for each implicit set registered; usually one in all.
#[derive(Debug, Default)]
pub(super) enum Registrations {
    #[default]
    None,
    One(Registration),
    Many(Box<[Registration]>),
}

impl Registrations {
    pub(super) fn into_vec(self) -> Vec<Registration> {
        match self {
            Self::None => Vec::new(),
            Self::One(one) => vec![one],
            Self::Many(many) => many.into_vec(),
        }
    }
}

impl From<Vec<Registration>> for Registrations {
    fn from(mut all: Vec<Registration>) -> Self {
        match all.len() {
            0 | 1 => all.pop().map_or(Self::None, Self::One),
            _ => Self::Many(all.into()),
        }
    }
}

impl std::ops::Deref for Registrations {
    type Target = [Registration];

    fn deref(&self) -> &[Registration] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// One implicit registration set.
#[derive(Debug)]
pub(super) struct Registration {
    /// When it expires.
    pub(super) until: Instant,
    /// Service-Route up to what `shared` has of it; then its identities in canonical form, the default first, without the
    /// host where it is that of `shared`. Each is ended by a line end.
    packed: Box<str>,
    shared: Rc<Shared>,
    /// Of the last REGISTER over SAs and its 200.
    pub(super) last: Option<Alike>,
}

/// What a REGISTER and its 200 have in common with a refresh and its 200 from which nothing new is to be learnt. Each is a
/// keyed hash of lines that were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Alike {
    pub(super) request: Short,
    pub(super) answer: Short,
    /// What was granted, in seconds.
    pub(super) granted: NonZero<u32>,
}

/// What many registrations have in common.
#[derive(PartialEq, Eq, Debug, Default)]
pub(super) struct Shared {
    /// Service-Route from its first `@` on: what stands before may lead to one registration alone.
    service_route: Box<str>,
    /// Host of the default identity.
    host: Box<str>,
}

/// What a 200 to REGISTER says of the set that it registers.
#[derive(Clone, Copy)]
pub(super) struct Stated<'a> {
    /// Canonical, the default first, each ended by a line end.
    pub(super) identities: &'a str,
    /// Service-Route: the elements, separated by commas.
    pub(super) service_route: &'a str,
}

impl Stated<'_> {
    /// Service-Route as far as it may be that of one registration, and what is common to many.
    fn split_service_route(&self) -> (&str, &str) {
        let route = self.service_route.as_bytes();
        let at = memchr(b'@', route).filter(|at| memchr2(b'\r', b'\n', &route[..*at]).is_none());
        self.service_route.split_at(at.unwrap_or_default())
    }

    fn host(&self) -> &str {
        let default = self.identities.lines().next().unwrap_or_default();
        memrchr(b'@', default.as_bytes()).map_or("", |at| &default[at + 1..])
    }
}

impl Registration {
    /// `shared` is what it has in common with the registration before.
    pub(super) fn new(until: Instant, stated: Stated<'_>, shared: Rc<Shared>) -> Self {
        let (own, _) = stated.split_service_route();
        let mut packed = String::with_capacity(own.len() + 1 + stated.identities.len());
        packed.push_str(own);
        packed.push('\n');
        for identity in stated.identities.lines() {
            packed.push_str(shared.without_host(identity));
            packed.push('\n');
        }
        Self { until, packed: packed.into(), shared, last: None }
    }

    /// The elements of Service-Route, separated by commas.
    pub(super) fn service_route(&self) -> String {
        self.packed.lines().next().unwrap_or_default().to_owned() + &self.shared.service_route
    }

    pub(super) fn identities(&self) -> impl Iterator<Item = String> {
        self.packed
            .lines()
            .skip(1)
            .map(|i| if i.ends_with('@') { format!("{i}{}", self.shared.host) } else { i.to_owned() })
    }

    /// True when the same was stated before, the identities in this order. As for [`Registration::new`].
    pub(super) fn is_of(&self, stated: Stated<'_>, shared: &Shared) -> bool {
        let mut rest =
            self.packed.strip_prefix(stated.split_service_route().0).and_then(|rest| rest.strip_prefix('\n'));
        for identity in stated.identities.lines() {
            rest = rest.and_then(|rest| rest.strip_prefix(shared.without_host(identity))?.strip_prefix('\n'));
        }
        rest == Some("") && *self.shared == *shared
    }

    pub(super) fn holds(&self, identity: &str) -> bool {
        let short = self.shared.without_host(identity);
        self.packed.lines().skip(1).any(|i| i == short)
    }
}

impl Shared {
    /// What registrations so stated have in common; this where it is the same.
    pub(super) fn of(stated: Stated<'_>, before: &Rc<Self>) -> Rc<Self> {
        let ((_, service_route), host) = (stated.split_service_route(), stated.host());
        if *before.service_route == *service_route && *before.host == *host {
            return Rc::clone(before);
        }
        Rc::new(Self { service_route: service_route.into(), host: host.into() })
    }

    /// No identity in canonical form ends in `@` by itself.
    fn without_host<'i>(&self, identity: &'i str) -> &'i str {
        identity.strip_suffix(&*self.host).filter(|rest| rest.ends_with('@')).unwrap_or(identity)
    }
}

/// A UE as clear text shows it: its address, and its port where many UEs share an address. Over TLS it is one connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Place {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) over_tls: bool,
}

impl Place {
    /// Many UEs may share the address of a NAT.
    pub(super) const fn behind_nat(address: IpAddr, port: u16) -> Self {
        Self { address, port, over_tls: false }
    }
}

/// Where a subscriber without SAs is registered: in clear, or over TLS.
#[derive(Debug)]
pub(super) struct InClear {
    pub(super) place: Place,
    /// Where its REGISTER came from: with the subscriber, the IP association (TS 24.229 clause 5.2.2.2).
    pub(super) source: SocketAddr,
    /// The way of the answers to its REGISTER.
    pub(super) route: Route,
}

/// Where in the list of sets. Meaningful with the id beside it, see [`SetRef`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SetIndex(NonZero<u32>);

impl SetIndex {
    pub(super) fn new(at: usize) -> Self {
        let number = u32::try_from(at + 1).ok().and_then(NonZero::new);
        Self(number.expect("memory ends before 2^32 sets"))
    }

    pub(super) const fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// A set that may have gone in the meantime.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct SetRef {
    pub(super) index: SetIndex,
    pub(super) id: SaSetId,
}

/// One set of four SAs.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) id: SaSetId,
    pub(super) flow: FlowKey,
    /// Its end at the SIP level; nothing else ends it.
    pub(super) ends: Instant,
    pub(super) next: Option<SetIndex>,
    /// In tunnel mode that of the packets inside.
    pub(super) ue_address: IpAddr,
    /// Where the UE sent its unprotected REGISTER from.
    pub(super) clear_port: u16,
    /// Our address, by its place in the list.
    pub(super) here: u16,
    pub(super) ue: Endpoint,
    pub(super) spi_c: Spi,
    pub(super) spi_s: Spi,
    pub(super) port_c: u16,
    pub(super) algorithms: Algorithms,
    /// In tunnel mode the books know the address of the NAT.
    pub(super) mode: Mod,
    pub(super) phase: Phase,
}

const _: () = assert!(size_of::<Option<Set>>() <= 80, "one of these is kept for every subscriber");

/// Where a set stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// Made for a challenge; accepts its answer only. What that is compared with is in [`Challenged`].
    Challenged,
    /// Its attempt is over without success; it lives for retransmissions of the answer.
    Failed,
    /// Serves the registration.
    Registered {
        /// Something came over it since its 200: the UE has it too.
        used: bool,
    },
    /// A newer set serves.
    Replaced,
    /// The last registration is over; it lives for retransmissions of the 200.
    Deregistered,
}

impl Phase {
    /// True from the 200 on: clear text beside such a set is refused.
    pub(super) const fn is_established(&self) -> bool {
        matches!(self, Self::Registered { .. } | Self::Replaced | Self::Deregistered)
    }
}

/// What the answer to a challenge is compared with.
#[derive(Debug)]
pub(super) struct Challenged {
    /// Its set.
    pub(super) set: SetIndex,
    /// Security-Client of the challenged REGISTER.
    pub(super) client: Rc<str>,
    /// The challenged REGISTER came in clear: the new set replaces all others at its 200.
    pub(super) from_clear: bool,
    /// The 401, until the plane has made the set.
    pub(super) held: Option<Held>,
}

/// A challenge that waits for its set of SAs.
#[derive(Debug)]
pub(super) struct Held {
    /// Whom to answer.
    pub(super) server: ServerId,
    /// The 401 for the UE.
    pub(super) response: Vec<u8>,
}

/// A REGISTER is with the core.
#[derive(Debug)]
pub(super) struct Challenging {
    /// Whom to answer.
    pub(super) server: ServerId,
    /// How it came.
    pub(super) origin: Origin,
    /// Whose it is.
    pub(super) flow: FlowKey,
    /// What SAs would be made of.
    pub(super) agreement: Option<Agreement>,
    /// What a 200 is read with; `None` for a refresh, whose 200 is nearly always like the one before: see
    /// `Pcscf::asked_in`.
    pub(super) asked: Option<Asked>,
    /// What a REGISTER like it has, too.
    pub(super) likeness: Option<Short>,
    /// Which next hop has it.
    pub(super) hop: usize,
}

/// To and Contact of a REGISTER as written, in one text.
pub(super) struct Asked {
    text: Box<str>,
    to: usize,
}

impl Asked {
    pub(super) fn by(message: &Message<'_>) -> Self {
        let to = message.header(HeaderName::To).unwrap_or_default();
        let contacts = || message.values(HeaderName::Contact);
        let mut text =
            String::with_capacity(to.len() + contacts().map(|c| c.len() + 1).sum::<usize>().saturating_sub(1));
        text.push_str(to);
        for contact in contacts() {
            text.push_str(if text.len() > to.len() { "," } else { "" });
            text.push_str(contact);
        }
        Self { text: text.into(), to: to.len() }
    }

    pub(super) fn to(&self) -> &str {
        &self.text[..self.to]
    }

    /// The URI of Contact where there is one address only, and its brackets come first.
    pub(super) fn only_address(&self) -> Option<&str> {
        let list = &self.text[self.to..];
        let uri = list.strip_prefix('<')?;
        let (uri, rest) = uri.split_at(memchr(b'>', uri.as_bytes())?);
        memchr(b',', rest.as_bytes()).is_none().then_some(uri)
    }

    pub(super) fn contacts(&self) -> Result<Contacts<'_>, HeaderError> {
        Contacts::parse(Some(&self.text[self.to..]).filter(|list| !list.is_empty()).into_iter())
    }
}

/// Both are identities.
impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked(..)")
    }
}

/// How a REGISTER came.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// Unprotected, from `ue` to our `here`.
    Clear { ue: SocketAddr, here: SocketAddr },
    /// Over this set.
    Protected(SetRef),
}

/// The mechanism chosen, and the header that offered it.
#[derive(Debug)]
pub(super) enum Agreement {
    /// ipsec-3gpp.
    Sas(Box<Offered>),
    /// TLS, which is there already or comes with the answer to the challenge.
    Tls { client: Rc<str> },
    /// Of a REGISTER over SAs, where a challenge is rare: it is read when there is one.
    Unread { client: Rc<str> },
}

/// What SAs would be made of.
#[derive(Debug)]
pub(super) struct Offered {
    /// Chosen of what the UE offers.
    pub(super) offer: Offer,
    /// Security-Client.
    pub(super) client: Rc<str>,
    /// The address of a UE behind a NAT as it knows it.
    pub(super) inside: Option<IpAddr>,
}

impl Set {
    pub(super) const fn sa(&self, pair: crate::ipsec::association::PortPair) -> SaId {
        SaId { set: self.id, pair }
    }

    /// Our half.
    pub(super) const fn pcscf(&self, port_s: u16) -> Endpoint {
        Endpoint { spi_c: self.spi_c, spi_s: self.spi_s, port_c: self.port_c, port_s }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_tokens_are_read() {
        let (ours, theirs) = (FixedState::with_seed(1), FixedState::with_seed(2));
        for impi in ["a@x", "b@x", ""] {
            let flow = FlowKey::of(&ours, impi);
            let token = flow.token(&ours);
            assert_eq!(FlowKey::read(&token, &ours), Some(flow));
            assert_eq!(FlowKey::read(&token, &theirs), None, "after a restart");
            for at in 0..token.len() {
                let mut changed = token;
                changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
                assert_eq!(FlowKey::read(&changed, &ours), None);
            }
            assert_eq!(FlowKey::read(&token[..13], &ours), None);
            assert!(FlowKey::is_of_other_run(&token, &theirs) && !FlowKey::is_of_other_run(&token, &ours));
            assert!(!FlowKey::is_of_other_run(&token[..13], &theirs));
        }
        assert_eq!(FlowKey::read(b"", &ours), None);
    }

    #[test]
    fn flows_of_one_user_are_told_apart() {
        let hasher = FixedState::with_seed(1);
        let usual = FlowKey::of(&hasher, "a@x");
        let outbound = |reg_id| usual.beside(Beside::Outbound { reg_id, instance: 77 });
        let all = [usual, usual.beside(Beside::Emergency), outbound(1), outbound(2), outbound(3)];
        for (n, flow) in all.iter().enumerate() {
            assert!(flow.is_of_same_user(usual) && !all[n + 1..].contains(flow));
            assert_eq!(FlowKey::read(&flow.token(&hasher), &hasher), Some(*flow));
        }
        assert!(!usual.is_of_same_user(FlowKey::of(&hasher, "b@x")));
    }
}
