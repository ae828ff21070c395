//! Subscribers as provisioned. A range of a million is one entry: nothing is spent on a subscriber that never came.

use crate::aka::vector::SubscriberKeys;
use crate::cx::user_data::ServiceProfile;
use crate::identity::{Impi, Impu};

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
    /// Mandatory capabilities an S-CSCF must have; `None`: those of the configuration.
    pub capabilities: Option<(Vec<u32>, Vec<u32>)>,
    /// Networks in which this subscriber may roam; `None`: those of the configuration.
    pub visited_networks: Option<Vec<Box<str>>>,
    /// Charging addresses: ecf primary and secondary, ccf primary and secondary.
    pub charging: [Option<Box<str>>; 4],
}

/// Where authentication vectors come from: an enum, because operator traces come without K.
#[derive(Clone, Debug)]
pub enum AuthVectors {
    /// Computed.
    Algorithm(SubscriberKeys),
    /// Taken from a trace, in order, the last repeated.
    Recorded(Vec<RecordedVector>),
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

/// All subscribers, looked up by IMPI and IMPU.
#[derive(Debug, Default)]
pub struct Store {
    _subscribers: Vec<Subscriber>,
}

impl Store {
    /// Adds one subscriber.
    pub fn add(&mut self, _subscriber: Subscriber) -> Result<(), DuplicateIdentity> {
        todo!()
    }

    /// Adds `count` subscribers made from `template` by counting its IMSI and MSISDN up; `k_template` holds `{imsi}`
    /// where K contains the IMSI's digits as ASCII. See `config::subscribers`, which checks all of it.
    pub fn add_range(&mut self, _range: SubscriberRange) -> Result<(), DuplicateIdentity> {
        todo!()
    }
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

/// An IMPI or IMPU that another subscriber has already.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DuplicateIdentity(pub String);
