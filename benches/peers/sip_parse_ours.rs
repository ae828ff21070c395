//! What is timed of our SIP parser. `benches/sip_parse.rs` runs it alone; `check.sh bench` copies it to `src/ours.rs` of
//! the peers' bench, so that all parsers run in one process. To splice it in:
//!
//! ```text
//! Cargo.toml, [features]      ours = ["dep:imsreg"]
//! Cargo.toml, [dependencies]  imsreg = { path = "<repository>", default-features = false, optional = true }
//! src/main.rs                 mod ours;
//! src/peers.rs, before the last `v`:
//!     v.push(Peer { name: "imsreg", depth: "frame", run: crate::ours::frame });
//!     v.push(Peer { name: "imsreg", depth: "typed", run: crate::ours::typed });
//! ```
//!
//! Both calls fail unless the values are those of the two REGISTERs of the seed document.

use imsreg::sip::header::contact::Contacts;
use imsreg::sip::header::sec_agree::Mechanism;
use imsreg::sip::{HeaderName, Message, Method};

/// Bytes to the table of lines.
pub(crate) fn frame(bytes: &[u8]) -> Result<usize, String> {
    let message = Message::parse(bytes).map_err(text)?;
    match (message.method(), message.header(HeaderName::ContentLength)) {
        (Some(Method::Register), Some("0")) => Ok(message.bytes().len()),
        _ => Err("not the REGISTER of the seed document".into()),
    }
}

/// Framing, then every header that a registration reads as its typed value, compared with what it must be.
pub(crate) fn typed(bytes: &[u8]) -> Result<usize, String> {
    let message = Message::parse(bytes).map_err(text)?;
    let cseq = message.cseq().map_err(text)?;
    let expected = EXPECTED.iter().find(|e| e.cseq == cseq.number).ok_or("CSeq")?;
    expect(cseq.method == Method::Register, "CSeq")?;
    let via = message.via().map_err(text)?;
    expect(via.transport == "UDP" && via.host == HOST && via.port == Some(expected.port), "Via")?;
    expect(via.branch() == Some(expected.branch) && via.params.has("rport"), "Via")?;
    let (from, to) = (message.from().map_err(text)?, message.to().map_err(text)?);
    expect(from.tag() == Some(expected.from_tag) && from.uri.text == AOR, "From")?;
    expect(to.tag().is_none() && to.uri.user == Some(USER) && to.uri.host == REALM, "To")?;
    expect(message.call_id().map_err(text)? == CALL_ID, "Call-ID")?;
    expect(message.max_forwards().map_err(text)? == Some(70), "Max-Forwards")?;
    expect(message.expires() == Some(600_000), "Expires")?;
    let Contacts::List(contacts) = message.contacts().map_err(text)? else { return Err("Contact".into()) };
    let [contact] = &contacts[..] else { return Err("Contact".into()) };
    expect(contact.address.uri.host == HOST && contact.address.uri.port == Some(expected.port), "Contact")?;
    expect(contact.instance() == Some("<urn:gsma:imei:86774304-000024-0>"), "Contact")?;
    expect(contact.address.params.has("audio") && contact.address.params.has("+g.3gpp.smsip"), "Contact")?;
    expect(contact.expires.is_none() && contact.reg_id().is_none(), "Contact")?;
    let digest = message.authorization().map_err(text)?.ok_or("Authorization")?;
    expect(digest.username.is_some_and(|name| name.starts_with(USER)) && digest.realm == Some(REALM), "Authorization")?;
    expect(digest.nonce == Some(expected.nonce) && digest.response == Some(expected.response), "Authorization")?;
    for name in [HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Supported] {
        expect(message.has_option(name, "sec-agree"), "option tags")?;
    }
    let client = message.security(HeaderName::SecurityClient).map_err(text)?.0;
    expect(client.len() == ALGORITHMS.len() && client.iter().zip(ALGORITHMS).all(is_offer), "Security-Client")?;
    let verify = message.security(HeaderName::SecurityVerify).map_err(text)?.0;
    expect(verify.len() == expected.verify && verify.iter().all(is_server), "Security-Verify")?;
    Ok(client.len() + verify.len())
}

fn is_offer((m, (alg, ealg)): (&Mechanism<'_>, (&str, &str))) -> bool {
    m.name == "ipsec-3gpp"
        && (m.alg, m.ealg, m.prot, m.mode) == (Some(alg), Some(ealg), Some("esp"), Some("trans"))
        && (m.spi_c, m.spi_s, m.port_c, m.port_s) == (Some(26157848), Some(69326023), Some(31100), Some(31800))
}

fn is_server(m: &Mechanism<'_>) -> bool {
    (m.alg, m.ealg, m.q) == (Some("hmac-sha-1-96"), Some("aes-cbc"), 1000)
        && (m.spi_c, m.spi_s, m.port_c, m.port_s) == (Some(2605593363), Some(3790665812), Some(9950), Some(9900))
}

fn expect(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what} is not as in the seed document")) }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What differs between the two messages.
struct Expected {
    cseq: u32,
    port: u16,
    branch: &'static str,
    from_tag: &'static str,
    nonce: &'static str,
    response: &'static str,
    verify: usize,
}

const EXPECTED: [Expected; 2] = [
    Expected {
        cseq: 1,
        port: 5060,
        branch: "z9hG4bKZ3fcb1DXaWVqLBkaaaUO",
        from_tag: "Y2fcb1D",
        nonce: "",
        response: "",
        verify: 0,
    },
    Expected {
        cseq: 2,
        port: 31800,
        branch: "z9hG4bKX5fcb1DXaWVqLBkaaGUO",
        from_tag: "W4fcb1D",
        nonce: "nTD5NZXcGXhEIzR7Y5CL7l6EMyJYfRERnE3UeQOjxgs=",
        response: "01b656a14d1bc707e362cfb27a8accdb",
        verify: 1,
    },
];

const ALGORITHMS: [(&str, &str); 6] = [
    ("hmac-sha-1-96", "des-ede3-cbc"),
    ("hmac-sha-1-96", "aes-cbc"),
    ("hmac-sha-1-96", "null"),
    ("hmac-md5-96", "des-ede3-cbc"),
    ("hmac-md5-96", "aes-cbc"),
    ("hmac-md5-96", "null"),
];

const USER: &str = "460600100049906";
const REALM: &str = "ims.mnc060.mcc460.3gppnetwork.org";
const AOR: &str = "sip:460600100049906@ims.mnc060.mcc460.3gppnetwork.org";
const HOST: &str = "[2001:683:890:1942:1::9e0b:baea]";
const CALL_ID: &str = "X1fcb1DXa@[2001:683:890:1942:1::9e0b:baea]";
