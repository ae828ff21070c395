//! CER and CEA (RFC 6733 clause 5.3): what they hold, and whether the two sides have an application in common.

use super::NodeConfig;
use crate::diameter::dictionary as d;
use crate::diameter::{Avp, Avps, Fault, Writer};

/// What matters of a CER or CEA.
#[derive(Debug, Default)]
pub(super) struct Capabilities<'a> {
    pub(super) host: &'a str,
    common_application: bool,
    security: Security,
}

/// Inband-Security-Id.
#[derive(Debug, Default, PartialEq, Eq)]
enum Security {
    #[default]
    NotSaid,
    None,
    OnlyOthers,
}

/// Reads a CER.
pub(super) fn read_cer(message: &[u8]) -> Result<Capabilities<'_>, Fault> {
    let (this, missing) = read(message)?;
    if let Some(code) = missing {
        return Err(Fault::missing(code, 0));
    }
    if !this.common_application {
        return Err(Fault::new(5010, "no common application: Cx is served here"));
    }
    if this.security == Security::OnlyOthers {
        return Err(Fault::new(5017, "no common security mechanism"));
    }
    Ok(this)
}

/// Reads a CEA; the fault is why the connection is of no use.
pub(super) fn read_cea(message: &[u8]) -> Result<Capabilities<'_>, Fault> {
    let result = match Avps::of(message).find(d::RESULT_CODE, 0) {
        Some(avp) => avp.u32()?,
        None => return Err(Fault::missing(d::RESULT_CODE, 0)),
    };
    if result / 1000 != 2 {
        return Err(Fault::new(result, "the peer refused the capabilities exchange"));
    }
    let (this, _) = read(message)?;
    if this.host.is_empty() {
        return Err(Fault::missing(d::ORIGIN_HOST, 0));
    }
    if !this.common_application {
        return Err(Fault::new(5010, "no common application"));
    }
    Ok(this)
}

/// Writes the AVPs of a CER, or those of a CEA that follow the result.
pub(super) fn write(config: &NodeConfig, origin_state: u32, w: &mut Writer<'_>) {
    write_identity(config, w);
    w.u32(d::ORIGIN_STATE_ID, 0, true, origin_state);
    for vendor in [d::TGPP, d::ETSI] {
        w.u32(d::SUPPORTED_VENDOR_ID, 0, true, vendor);
    }
    w.group(d::VENDOR_SPECIFIC_APPLICATION_ID, 0, true, |w| {
        w.u32(d::VENDOR_ID, 0, true, d::TGPP).u32(d::AUTH_APPLICATION_ID, 0, true, d::CX);
    });
}

/// Writes the AVPs that even a refusing CEA has.
pub(super) fn write_identity(config: &NodeConfig, w: &mut Writer<'_>) {
    w.octets(d::ORIGIN_HOST, 0, true, config.origin_host.as_bytes());
    w.octets(d::ORIGIN_REALM, 0, true, config.origin_realm.as_bytes());
    w.address(d::HOST_IP_ADDRESS, 0, true, config.address);
    // Our software has no IANA enterprise number.
    w.u32(d::VENDOR_ID, 0, true, 0);
    w.octets(d::PRODUCT_NAME, 0, false, b"imsreg");
}

/// The capabilities, and the first mandatory AVP that is absent.
fn read(message: &[u8]) -> Result<(Capabilities<'_>, Option<u32>), Fault> {
    let mut this = Capabilities::default();
    let mut seen = [false; MANDATORY.len()];
    for avp in Avps::of(message) {
        let avp = avp?;
        if avp.vendor != 0 {
            if avp.mandatory && d::lookup(avp.code, avp.vendor).is_none() {
                return Err(Fault::unsupported(&avp));
            }
            continue;
        }
        if let Some(at) = MANDATORY.iter().position(|code| *code == avp.code) {
            seen[at] = true;
        }
        match avp.code {
            d::ORIGIN_HOST => this.host = avp.utf8()?,
            d::AUTH_APPLICATION_ID | d::ACCT_APPLICATION_ID => this.common_application |= is_common(&avp)?,
            d::VENDOR_SPECIFIC_APPLICATION_ID => {
                for inner in avp.group() {
                    let inner = inner?;
                    if inner.code == d::AUTH_APPLICATION_ID {
                        this.common_application |= is_common(&inner)?;
                    }
                }
            }
            d::INBAND_SECURITY_ID if avp.u32()? == NO_INBAND_SECURITY => this.security = Security::None,
            d::INBAND_SECURITY_ID if this.security == Security::NotSaid => this.security = Security::OnlyOthers,
            code if avp.mandatory && d::lookup(code, 0).is_none() => return Err(Fault::unsupported(&avp)),
            _ => {}
        }
    }
    Ok((this, seen.iter().position(|seen| !seen).map(|at| MANDATORY[at])))
}

fn is_common(application: &Avp<'_>) -> Result<bool, Fault> {
    Ok(matches!(application.u32()?, d::CX | d::RELAY))
}

const MANDATORY: [u32; 5] = [d::ORIGIN_HOST, d::ORIGIN_REALM, d::HOST_IP_ADDRESS, d::VENDOR_ID, d::PRODUCT_NAME];
const NO_INBAND_SECURITY: u32 = 0;
