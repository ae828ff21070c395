//! What a diagnosis is told besides the trace.

use crate::aka::Op;
use crate::validate;

/// What a diagnosis is told besides the trace. Everything may be missing.
#[derive(Clone, Copy, Default, Debug)]
pub struct Context<'a> {
    /// What the rules are told: the keys of subscribers.
    pub judge: validate::Context<'a>,
    /// OP, where OPc was made of it: so that OP taken as OPc can be tried.
    pub op: Option<&'a Op>,
    /// The private identities that the HSS has; `None`: nobody told.
    pub provisioned: Option<&'a [String]>,
}
