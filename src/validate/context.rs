//! What the judge is told besides the trace.

use crate::aka::vector::SubscriberKeys;
use std::fmt;

/// The keys of a subscriber by his IMPI.
pub type Keys<'a> = dyn Fn(&str) -> Option<&'a SubscriberKeys> + 'a;

/// What the judge is told besides the trace. Everything may be missing.
#[derive(Clone, Copy, Default)]
pub struct Context<'a> {
    /// The keys of a subscriber by his IMPI.
    pub keys: Option<&'a Keys<'a>>,
    /// Whether the network wants a security agreement of everybody; `None`: nobody told.
    pub sec_agree_required: Option<bool>,
    /// The port of the P-CSCF that its discovery gives; `None`: nobody told.
    pub pcscf_port: Option<u16>,
    /// The network runs without ESP on purpose (plane `none`): the ports of an SA stand for it.
    pub esp_is_off: bool,
}

impl Context<'_> {
    /// The keys of a subscriber.
    pub fn keys_of(&self, impi: &str) -> Option<&SubscriberKeys> {
        self.keys.and_then(|keys| keys(impi))
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("has_keys", &self.keys.is_some()).finish_non_exhaustive()
    }
}
