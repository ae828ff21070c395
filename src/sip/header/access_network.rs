//! P-Access-Network-Info (RFC 7315 clause 4.4, TS 24.229 clause 7.2A.4).

use super::grammar;
use super::params::Params;
use super::{HeaderError, HeaderName};

/// One element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccessNetwork<'a> {
    /// The element as received.
    pub text: &'a str,
    /// `3GPP-E-UTRAN-FDD`, `IEEE-802.11`, ...
    pub access_type: &'a str,
    /// `utran-cell-id-3gpp`, `network-provided`, ...
    pub params: Params<'a>,
}

impl<'a> AccessNetwork<'a> {
    /// Reads one element.
    pub fn parse(text: &'a str) -> Result<Self, HeaderError> {
        let fault = |fault| HeaderError::bad(HeaderName::PAccessNetworkInfo, fault);
        let text = grammar::trim(text);
        let (after, access_type) = grammar::token(text).map_err(|_| fault("expected an access type"))?;
        let (params, rest) = Params::take(after, |_, _| ()).map_err(fault)?;
        if rest.is_empty() {
            Ok(Self { text, access_type, params })
        } else {
            Err(fault("something follows the parameters"))
        }
    }

    /// True when the network, not the UE, wrote it: a P-CSCF removes such an element of a UE.
    pub fn is_network_provided(&self) -> bool {
        self.params.has("network-provided")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cell_and_origin() {
        let own = AccessNetwork::parse("3GPP-E-UTRAN-FDD; utran-cell-id-3gpp=001010001000019B").unwrap();
        assert_eq!((own.access_type, own.is_network_provided()), ("3GPP-E-UTRAN-FDD", false));
        assert_eq!(own.params.value("utran-cell-id-3gpp"), Some("001010001000019B"));
        assert!(AccessNetwork::parse("3GPP-NR;Network-Provided").unwrap().is_network_provided());
    }

    #[test]
    fn a_bare_quoted_string_is_kept() {
        let info = AccessNetwork::parse("IEEE-802.11;i-wlan-node-id=ffffffffffff;\"ETinT\"").unwrap();
        assert_eq!(info.params.iter().last(), Some(("\"ETinT\"", None)));
    }

    #[test]
    fn faults() {
        for text in ["", ";network-provided", "a b", "a;;"] {
            assert!(AccessNetwork::parse(text).is_err(), "{text}");
        }
    }
}
