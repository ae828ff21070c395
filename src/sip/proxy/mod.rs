//! Response contexts of a stateful proxy (RFC 3261 clause 16).

/// One copy of a request that was forwarded: what its client transaction gives back to the proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Branch {
    context: ContextId,
    number: u32,
}

/// A response context. Stale ids are harmless.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ContextId {
    index: u32,
    generation: u32,
}
