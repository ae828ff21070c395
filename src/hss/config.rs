//! What an HSS is told.

use crate::diameter::peer::NodeConfig;

/// Configuration of an [`super::Hss`].
#[derive(Clone, Debug)]
pub struct HssConfig {
    /// The Diameter side; `listen` is set, `peers` is empty.
    pub diameter: NodeConfig,
    /// Home realm: a user who visits it does not roam.
    pub realm: Box<str>,
    /// Networks in which roaming is allowed for everybody; empty: all.
    pub visited_networks: Vec<Box<str>>,
    /// Mandatory and optional capabilities for subscribers that name none.
    pub capabilities: (Vec<u32>, Vec<u32>),
    /// Keep the S-CSCF name when a SAR asks for it (types 6 and 7).
    pub store_server_name: bool,
    /// How SQNs are generated.
    pub sqn: SqnScheme,
}

/// TS 33.102 annex C.1.1 and C.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SqnScheme {
    /// C.3.2: SEQ counts up by one with each vector.
    Counter,
    /// C.3.3: SEQ follows the clock, so that no state need be kept.
    TimeBased,
}
