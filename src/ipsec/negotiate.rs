//! Choosing and comparing security mechanisms (RFC 3329 clause 2, TS 33.203 clause 7.2).

use super::association::{Algorithms, Endpoint};
use crate::sip::header::sec_agree::{Mechanism, Mechanisms};

/// An element of a security header that can become a set of SAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The pair it names.
    pub algorithms: Algorithms,
    /// SPIs and ports of whoever wrote it.
    pub endpoint: Endpoint,
    /// q in thousandths.
    pub q: u16,
}

/// The elements of `list` that are usable ipsec-3gpp mechanisms: known and valid algorithm pair, `prot=esp` and
/// `mod=trans` by value or default, all SPIs and ports present, SPIs above 255 and distinct, ports distinct and not
/// 5060 or 5061. `skipped` gets the unknown values, for one event.
pub fn usable(_list: &Mechanisms<'_>, _skipped: &mut String) -> Vec<Offer> {
    todo!()
}

/// The P-CSCF's choice: the first pair of its own priority list that the UE offered (sec-agree.md section 3).
pub fn choose_at_pcscf(_priority: &[Algorithms], _offers: &[Offer]) -> Option<Offer> {
    todo!()
}

/// The UE's choice: the first element of Security-Server, by q and then by order, whose pair it offered.
pub fn choose_at_ue(_server: &Mechanisms<'_>, _offered: &[Algorithms]) -> Option<Offer> {
    todo!()
}

/// True when both lists hold the same elements in the same order: mechanism and every parameter as a set, defaults
/// filled in, numbers compared as numbers, tokens in any case.
pub fn same(_a: &Mechanisms<'_>, _b: &Mechanisms<'_>) -> bool {
    todo!()
}

/// Appends one ipsec-3gpp element. `q`: in thousandths.
pub fn write_element(_out: &mut String, _algorithms: Algorithms, _endpoint: &Endpoint, _q: Option<u16>) {
    todo!()
}

/// True for an element that can be compared at all: kept so that callers need not know the grammar.
pub fn is_ipsec_3gpp(mechanism: &Mechanism<'_>) -> bool {
    mechanism.name.eq_ignore_ascii_case("ipsec-3gpp")
}
