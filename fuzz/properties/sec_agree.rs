//! What holds for every text taken as a list of security mechanisms. The fuzz target and `tests/sip_properties.rs` call it.

use imsreg::sip::HeaderName;
use imsreg::sip::header::sec_agree::{Mechanism, Mechanisms};

/// Security-Client, Security-Server, Security-Verify: an element that parses reads the same from its own text, and a
/// list is the sum of its elements.
pub(crate) fn sec_agree(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(Mechanisms(list)) = Mechanisms::parse(HeaderName::SecurityClient, std::iter::once(text)) else { return };
    for element in &list {
        let again = Mechanism::parse(HeaderName::SecurityClient, element.text).expect("an element parses alone");
        assert_eq!(format!("{again:?}"), format!("{element:?}"));
        assert!(element.q <= 1000);
        if !element.text.contains('"') {
            let spaced = element.text.replace(';', " ; ");
            let again = Mechanism::parse(HeaderName::SecurityClient, &spaced).expect("white space is allowed");
            assert_eq!(fields(&again), fields(element));
        }
    }
    let joined = list.iter().map(|element| element.text).collect::<Vec<_>>().join(",");
    let again = Mechanisms::parse(HeaderName::SecurityClient, std::iter::once(joined.as_str()));
    assert_eq!(again.expect("a joined list parses").0.len(), list.len());
}

/// What an element says, whatever its white space.
fn fields(m: &Mechanism<'_>) -> String {
    let values = (m.name, m.q, m.alg, m.ealg, m.prot, m.mode, m.spi_c, m.spi_s, m.port_c, m.port_s);
    format!("{values:?} {:?}", m.params.iter().collect::<Vec<_>>())
}
