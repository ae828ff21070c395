//! Subscribers as provisioned. A range of a million is one entry: nothing is spent on a subscriber that never came.

pub use super::credentials::{AccessAddress, DigestCredentials, RecordedDigest};
use super::identities::Identities;
use super::range::Range;
use super::source::{Auth, Member, Place, Source};
use crate::aka::vector::SubscriberKeys;
use crate::cx::mar::scheme;
use crate::cx::user_data::ServiceProfile;
use crate::identity::Impi;
use std::borrow::Cow;
use std::collections::HashSet;

/// One subscriber, or the template of a range.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Private identity.
    pub impi: Impi,
    /// The identities of the implicit registration set in order, with barring: the profile sent to S-CSCFs.
    pub profiles: Vec<ServiceProfile>,
    /// Keys, or recorded vectors.
    pub auth: AuthVectors,
    /// AMF of vectors.
    pub amf: [u8; 2],
    /// SQN_HE at the start, 48 bits.
    pub sqn: u64,
    /// Mandatory and optional capabilities of a fitting S-CSCF; `None`: those of the configuration.
    pub capabilities: Option<(Vec<u32>, Vec<u32>)>,
    /// Networks in which this subscriber may roam; `None`: those of the configuration.
    pub visited_networks: Option<Vec<Box<str>>>,
    /// Charging addresses: ecf primary and secondary, ccf primary and secondary.
    pub charging: ChargingAddresses,
}

/// ecf primary and secondary, ccf primary and secondary.
pub type ChargingAddresses = [Option<Box<str>>; 4];

/// Where authentication vectors come from: an enum, because operator traces come without K.
#[derive(Clone, Debug)]
pub enum AuthVectors {
    /// Computed.
    Algorithm(SubscriberKeys),
    /// Taken from a trace, in order, the last repeated.
    Recorded(Vec<RecordedVector>),
    /// No vectors: SIP digest.
    Digest(Box<DigestCredentials>),
    /// No vectors: one of these lines is the UE's (NASS-Bundled).
    Lines(Vec<Box<str>>),
    /// No vectors: the UE has this address (Early-IMS-Security).
    Address(AccessAddress),
}

/// A challenge of a trace, and the response that its UE gave. XRES, CK and IK are unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedVector {
    /// RAND.
    pub rand: [u8; 16],
    /// AUTN.
    pub autn: [u8; 16],
    /// The `response` parameter expected, 32 hex digits: the verdict is equality with it.
    pub response: Box<str>,
}

/// `range: N` of the subscriber file.
#[derive(Clone, Debug)]
pub struct SubscriberRange {
    /// The first subscriber; identities of the others count up in the digits of `imsi` and `msisdn`.
    pub first: Subscriber,
    /// First IMSI: 15 digits, as they appear in the identities of `first`.
    pub imsi: Box<str>,
    /// First MSISDN with `+`, as it appears in the identities of `first`.
    pub msisdn: Option<Box<str>>,
    /// How many.
    pub count: u64,
    /// How K, OP and OPc of the n-th follow from its IMSI.
    pub keys: RangeKeys,
}

/// Keys of a range: each is 16 octets of which some may be the digits of the IMSI.
#[derive(Clone, Debug)]
pub struct RangeKeys {
    /// K: octets in front, whether the 15 digits of the IMSI follow, octets behind.
    pub k: KeyTemplate,
    /// OP (turned into OPc for each) or OPc.
    pub operator: OperatorTemplate,
}

/// Octets with an optional hole for the 15 ASCII digits of the IMSI. `Debug` hides the octets.
#[derive(Clone)]
pub struct KeyTemplate {
    /// 16 octets; those of the hole are overwritten.
    pub octets: [u8; 16],
    /// Where the 15 digits begin.
    pub imsi_at: Option<usize>,
}

impl std::fmt::Debug for KeyTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyTemplate").field("imsi_at", &self.imsi_at).finish_non_exhaustive()
    }
}

/// OP or OPc of a range.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OperatorTemplate {
    Op(KeyTemplate),
    Opc(KeyTemplate),
    /// The XOR algorithm has none.
    None,
}

/// An IMPI or IMPU that another subscriber has already, or that two members of a range would share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DuplicateIdentity(pub String);

/// All subscribers, looked up by IMPI and IMPU.
#[derive(Clone, Debug, Default)]
pub struct Store {
    sources: Vec<Source>,
    members: u64,
    identities: Identities,
    ranges: Vec<u32>,
}

impl Store {
    /// Adds one subscriber.
    pub fn add(&mut self, mut subscriber: Subscriber) -> Result<(), DuplicateIdentity> {
        if let AuthVectors::Digest(credentials) = &mut subscriber.auth
            && let Some(AuthVectors::Digest(before)) = self.sources.last().map(|source| &source.auth)
        {
            credentials.share(before);
        }
        let source = Source::new(self.members, subscriber);
        let mut own = HashSet::new();
        for (impu, _) in source.impus() {
            if !own.insert(impu) || self.by_impu(impu).is_some() {
                return Err(DuplicateIdentity(impu.to_owned()));
            }
        }
        if self.by_impi(source.impi()).is_some() {
            return Err(DuplicateIdentity(source.impi().to_owned()));
        }
        let index = self.next_index();
        self.members += 1;
        self.sources.push(source);
        self.identities.insert_impi(&self.sources, index);
        self.identities.insert_impus(&self.sources, index);
        Ok(())
    }

    /// Adds `count` subscribers made from `range.first` by counting its IMSI and MSISDN up. The digits keep their
    /// number; where they would not do, the identity that comes round again is the duplicate.
    pub fn add_range(&mut self, range: SubscriberRange) -> Result<(), DuplicateIdentity> {
        let SubscriberRange { first, imsi, msisdn, count, keys } = range;
        let source = Source::new(self.members, first);
        let range = Range::new(&source, &imsi, msisdn.as_deref(), count, keys)?;
        if let Some(impi) = self.identities.impis(&self.sources).find(|impi| range.by_impi(impi).is_some()) {
            return Err(DuplicateIdentity(impi.to_owned()));
        }
        if let Some(impu) = self.identities.impus(&self.sources).find(|impu| range.by_impu(impu).is_some()) {
            return Err(DuplicateIdentity(impu.to_owned()));
        }
        for other in self.ranges.iter().filter_map(|index| self.source(*index).range.as_ref()) {
            other.disjoint(&range)?;
        }
        if count > 0 {
            let index = self.next_index();
            self.ranges.push(index);
            self.members += count;
            self.sources.push(Source { range: Some(Box::new(range)), ..source });
        }
        Ok(())
    }

    /// Service profiles and charging addresses of a subscriber that is not one of a range, by a private or public
    /// identity.
    pub fn profile(&self, identity: &str) -> Option<(&[ServiceProfile], &ChargingAddresses)> {
        let member = self.by_impi(identity).or_else(|| self.by_impu(identity).map(|(member, _)| member))?;
        let source = self.of(member);
        source.range.is_none().then_some((&*source.document.profiles, &source.charging))
    }

    /// How many subscribers there are, those of ranges included.
    pub fn len(&self) -> u64 {
        self.members
    }

    /// True without any subscriber.
    pub fn is_empty(&self) -> bool {
        self.members == 0
    }

    /// The subscriber with this private identity.
    pub(super) fn by_impi(&self, impi: &str) -> Option<Member> {
        if let Some(index) = self.identities.by_impi(&self.sources, impi) {
            return Some(self.member(index, 0));
        }
        self.in_ranges(|range| range.by_impi(impi)).map(|(index, n)| self.member(index, n))
    }

    /// The subscriber with this public identity, and where it stands in the profile.
    pub(super) fn by_impu(&self, impu: &str) -> Option<(Member, Place)> {
        if let Some((index, place)) = self.identities.by_impu(&self.sources, impu) {
            return Some((self.member(index, 0), place));
        }
        let (index, (n, place)) = self.in_ranges(|range| range.by_impu(impu))?;
        Some((self.member(index, n), place))
    }

    /// The same where it is most likely one of `owner`, who is at hand: then nothing has to be looked up.
    pub(super) fn by_impu_of(&self, owner: Member, impu: &str) -> Option<(Member, Place)> {
        let source = self.of(owner);
        let own = match &source.range {
            Some(range) => range.by_impu(impu).filter(|(n, _)| *n == owner.n).map(|(_, place)| place),
            None => source.impus().find(|(own, _)| *own == impu).map(|(_, place)| place),
        };
        own.map(|place| (owner, place)).or_else(|| self.by_impu(impu))
    }

    /// What `member` was provisioned from: for one of a range, the first of the range.
    pub(super) fn of(&self, member: Member) -> &Source {
        self.source(member.source)
    }

    /// The private identity of `member`.
    pub(super) fn impi(&self, member: Member) -> Cow<'_, str> {
        let source = self.of(member);
        match &source.range {
            Some(range) => Cow::Owned(range.impi(member.n)),
            None => Cow::Borrowed(source.impi()),
        }
    }

    /// Keys or recorded vectors.
    pub(super) fn auth(&self, member: Member) -> Auth<'_> {
        let source = self.of(member);
        match (&source.range, &source.auth) {
            (Some(range), _) => Auth::Algorithm(Cow::Owned(range.keys(member.n))),
            (None, AuthVectors::Algorithm(keys)) => Auth::Algorithm(Cow::Borrowed(keys)),
            (None, AuthVectors::Recorded(vectors)) => Auth::Recorded(vectors),
            (None, _) => Auth::None,
        }
    }

    /// Appends the User-Data of `member`.
    pub(super) fn write_user_data(&self, member: Member, out: &mut Vec<u8>) {
        let source = self.of(member);
        match &source.range {
            Some(range) => range.write_user_data(&source.document, member.n, out),
            None => source.document.write(out),
        }
    }

    /// Gives a single subscriber other service profiles and charging addresses. False where `member` is of a range, or
    /// an identity has another owner.
    pub(super) fn change(
        &mut self,
        member: Member,
        profiles: Vec<ServiceProfile>,
        charging: ChargingAddresses,
    ) -> bool {
        let identities = || profiles.iter().flat_map(|profile| &profile.identities).map(|i| i.identity.as_str());
        let mut own = HashSet::new();
        let is_free = |impu: &str| self.by_impu(impu).is_none_or(|(owner, _)| owner == member);
        if self.of(member).range.is_some() || !identities().all(|impu| own.insert(impu) && is_free(impu)) {
            return false;
        }
        self.identities.remove_impus(&self.sources, member.source);
        let source = &mut self.sources[member.source as usize];
        source.document.profiles = profiles;
        source.charging = charging;
        self.identities.insert_impus(&self.sources, member.source);
        true
    }

    fn in_ranges<T>(&self, find: impl Fn(&Range) -> Option<T>) -> Option<(u32, T)> {
        self.ranges.iter().find_map(|index| Some((*index, find(self.source(*index).range.as_ref()?)?)))
    }

    fn member(&self, source: u32, n: u64) -> Member {
        Member { id: self.source(source).first_id + n, source, n }
    }

    fn source(&self, index: u32) -> &Source {
        &self.sources[index as usize]
    }

    fn next_index(&self) -> u32 {
        u32::try_from(self.sources.len()).expect("a file of four thousand million entries does not fit into memory")
    }
}

impl AuthVectors {
    /// SIP-Authentication-Scheme.
    pub(super) const fn scheme(&self) -> &'static str {
        match self {
            Self::Algorithm(_) | Self::Recorded(_) => scheme::AKA,
            Self::Digest(_) => scheme::SIP_DIGEST,
            Self::Lines(_) => scheme::NASS_BUNDLED,
            Self::Address(_) => scheme::EARLY_IMS,
        }
    }
}
