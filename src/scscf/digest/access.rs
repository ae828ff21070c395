//! Users for whom the access network vouches: by their line (NASS-Bundled, TS 24.229 clause 5.4.1.2.1C) or their address
//! (GIBA, clause 5.4.1.2.1D).

use crate::sip::header::access_network::AccessNetwork;
use crate::sip::header::via::Via;
use crate::sip::{HeaderName, Message};
use std::net::IpAddr;

/// True when the network says that the UE is on one of these lines.
pub(super) fn is_on(register: &Message<'_>, lines: &[&[u8]]) -> bool {
    register.elements(HeaderName::PAccessNetworkInfo).any(|element| {
        let Ok(access) = AccessNetwork::parse(element) else { return false };
        let location = LOCATIONS.iter().find_map(|name| access.params.value(name));
        access.is_network_provided() && location.is_some_and(|line| lines.contains(&line.trim_matches('"').as_bytes()))
    })
}

/// True when the Via of the UE, which is the last, says that it has this address. `received` was written by the P-CSCF
/// where the address in sent-by was another.
pub(super) fn is_at(register: &Message<'_>, address: Option<&[u8]>, prefix: Option<&[u8]>) -> bool {
    let Some(via) = last_via(register) else { return false };
    let address_of_ue = match via.params.value("received") {
        Some(received) => received.trim_matches(['[', ']']).parse().ok(),
        None => via.ip(),
    };
    match address_of_ue {
        Some(IpAddr::V4(v4)) => address == Some(&v4.octets()),
        Some(IpAddr::V6(v6)) => {
            let Some([_, length @ ..=128, octets @ ..]) = prefix else { return false };
            let mut prefix = [0; 16];
            let Some(given) = prefix.get_mut(..octets.len()) else { return false };
            given.copy_from_slice(octets);
            let mask = u128::MAX.checked_shl(128 - u32::from(*length)).unwrap_or(0);
            (u128::from(v6) ^ u128::from_be_bytes(prefix)) & mask == 0
        }
        None => false,
    }
}

fn last_via<'a>(register: &Message<'a>) -> Option<Via<'a>> {
    let mut rest = register.values(HeaderName::Via).last();
    let mut last = None;
    while let Some(text) = rest {
        let (via, behind) = Via::parse(text).ok()?;
        (last, rest) = (Some(via), behind);
    }
    last
}

/// Where the line is named, by kind of access (TS 24.229 clause 7.2A.4.2).
const LOCATIONS: [&str; 3] = ["dsl-location", "eth-location", "fiber-location"];

#[cfg(test)]
mod tests {
    use super::*;

    fn register(via: &str, access: &str) -> String {
        format!(
            "REGISTER sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bKp\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKu\r\n\
             From: <sip:u@x>;tag=a\r\nTo: <sip:u@x>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n{access}Content-Length: 0\r\n\r\n"
        )
    }

    #[test]
    fn the_address_is_that_of_the_last_via() {
        let is = |via: &str, address: Option<&[u8]>, prefix: Option<&[u8]>| {
            is_at(&Message::parse(register(via, "").as_bytes()).unwrap(), address, prefix)
        };
        let own = Some(&[192, 0, 2, 7][..]);
        assert!(is("192.0.2.7:5060", own, None));
        assert!(is("10.9.9.9:5060;received=192.0.2.7", own, None));
        assert!(!is("192.0.2.7:5060;received=192.0.2.8", own, None));
        assert!(!is("192.0.2.8", own, None) && !is("ue.example", own, None) && !is("192.0.2.7", None, None));
        let prefix = &[0, 64, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 1][..];
        assert!(is("[2001:db8:0:1::5]:5060", None, Some(prefix)));
        assert!(is("[2001:db8:0:9::5];received=2001:db8:0:1::7", None, Some(prefix)));
        assert!(!is("[2001:db8:0:2::5]", None, Some(prefix)));
        assert!(is("[2001:db8::5]", None, Some(&[0, 0])) && !is("[2001:db8::5]", None, Some(&[0, 129])));
    }

    #[test]
    fn only_the_network_names_the_line() {
        let is = |access: &str| {
            let text = register("192.0.2.7", &format!("P-Access-Network-Info: {access}\r\n"));
            is_on(&Message::parse(text.as_bytes()).unwrap(), &[b"line-7", b"line-8"])
        };
        assert!(is("xDSL;dsl-location=\"line-8\";network-provided"));
        assert!(is("3GPP-E-UTRAN-FDD, IEEE-802.3;eth-location=\"line-7\";network-provided"));
        assert!(!is("xDSL;dsl-location=\"line-8\""));
        assert!(!is("xDSL;dsl-location=\"line-9\";network-provided"));
        assert!(!is("xDSL;network-provided"));
    }
}
