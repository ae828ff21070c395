//! P-Charging-Vector (RFC 7315 clause 4.6, TS 24.229 clause 7.2A.5).

use super::grammar;
use super::params::Params;
use super::{HeaderError, HeaderName};

/// The parameters that a registration uses; the others are in `params`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ChargingVector<'a> {
    /// `icid-value`
    pub icid: &'a str,
    /// `icid-generated-at`
    pub generated_at: Option<&'a str>,
    /// `orig-ioi`
    pub orig_ioi: Option<&'a str>,
    /// `term-ioi`
    pub term_ioi: Option<&'a str>,
    /// Everything after `icid-value`.
    pub params: Params<'a>,
}

impl<'a> ChargingVector<'a> {
    /// Reads the value. `icid-value` comes first by the grammar; any place is accepted.
    pub fn parse(value: &'a str) -> Result<Self, HeaderError> {
        let fault = |fault| HeaderError::bad(HeaderName::PChargingVector, fault);
        let mut this = Self::default();
        let mut icid = None;
        let mut see = |name: &str, value: Option<&'a str>| {
            let is = |known: &str| name.eq_ignore_ascii_case(known);
            if is("icid-value") {
                icid = value;
            } else if is("icid-generated-at") {
                this.generated_at = value;
            } else if is("orig-ioi") {
                this.orig_ioi = value;
            } else if is("term-ioi") {
                this.term_ioi = value;
            }
        };
        let (after, (name, first)) =
            grammar::parameter(grammar::trim(value)).map_err(|_| fault("expected a parameter"))?;
        see(name, first);
        let (params, rest) = Params::take(after, see).map_err(fault)?;
        if !rest.is_empty() {
            return Err(fault("something follows the parameters"));
        }
        let icid = icid.ok_or_else(|| fault("no icid-value"))?;
        Ok(Self { icid, params, ..this })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_in_both_forms() {
        let text = "icid-value=\"P-CSCFabcd\"; icid-generated-at=192.0.2.1;orig-ioi=\"home1.net\" ;other";
        let vector = ChargingVector::parse(text).unwrap();
        assert_eq!((vector.icid, vector.generated_at), ("P-CSCFabcd", Some("192.0.2.1")));
        assert_eq!((vector.orig_ioi, vector.term_ioi, vector.params.has("other")), (Some("home1.net"), None, true));
    }

    #[test]
    fn faults() {
        for text in ["", "orig-ioi=x", "icid-value", "icid-value=a b", "icid-value=a;;"] {
            assert!(ChargingVector::parse(text).is_err(), "{text}");
        }
    }
}
