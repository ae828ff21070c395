//! A socket address as a key.

use std::net::SocketAddr;

/// Several look-ups of it happen at every hop, and `SocketAddr` itself is hashed and compared field by field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Address {
    host: u128,
    /// Port, family and scope.
    rest: u64,
}

impl Address {
    #[inline]
    pub(super) fn of(address: SocketAddr) -> Self {
        let port = u64::from(address.port());
        match address {
            SocketAddr::V4(v4) => Self { host: v4.ip().to_bits().into(), rest: port },
            SocketAddr::V6(v6) => {
                Self { host: v6.ip().to_bits(), rest: u64::from(v6.scope_id()) << 32 | 1 << 16 | port }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn addresses_and_ports_are_told_apart() {
        let all = [
            "192.0.2.1:5060",
            "192.0.2.1:5061",
            "192.0.2.2:5060",
            "[2001:db8::1]:5060",
            "[2001:db8::1]:5061",
            "[2001:db8::1%2]:5060",
        ];
        let key = |text: &str| Address::of(text.parse().expect("an address"));
        let keys: HashSet<Address, foldhash::fast::RandomState> = all.iter().map(|text| key(text)).collect();
        assert_eq!(keys.len(), all.len());
        assert!(all.iter().all(|text| keys.contains(&key(text))));
        assert!(!keys.contains(&key("[::ffff:192.0.2.1]:5060")));
    }
}
