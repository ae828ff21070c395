//! A socket address as a key.

use std::hash::{Hash, Hasher};
use std::net::SocketAddr;

/// Several look-ups of it happen at every hop, and `SocketAddr` itself hashes field by field and octet by octet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Address(pub(super) SocketAddr);

impl Hash for Address {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.0 {
            SocketAddr::V4(v4) => state.write_u64(u64::from(v4.ip().to_bits()) << 16 | u64::from(v4.port())),
            SocketAddr::V6(v6) => {
                state.write_u128(v6.ip().to_bits());
                state.write_u64(u64::from(v6.port()));
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
        let all = ["192.0.2.1:5060", "192.0.2.1:5061", "192.0.2.2:5060", "[2001:db8::1]:5060", "[2001:db8::1]:5061"];
        let key = |text: &str| Address(text.parse().expect("an address"));
        let keys: HashSet<Address, foldhash::fast::RandomState> = all.iter().map(|text| key(text)).collect();
        assert_eq!(keys.len(), all.len());
        assert!(all.iter().all(|text| keys.contains(&key(text))));
        assert!(!keys.contains(&key("[::ffff:192.0.2.1]:5060")));
    }
}
