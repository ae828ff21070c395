//! What matters in a Cx message.

use super::{Summary, identity, key, short};
use crate::cx::{AuthItem, Capabilities, CxResult, Lia, Lir, Maa, Mar, Ppa, Ppr, Rta, Rtr, Saa, Sar, Uaa, Uar};
use crate::diameter::dictionary::{self, command_names};
use crate::diameter::{Avps, Fault, Header};
use crate::event::Role;
use data_encoding::{BASE64, HEXLOWER};

/// Who asks and who answers a command; `None`: it is no Cx command.
pub const fn asks(command: u32) -> Option<(Role, Role)> {
    match command {
        dictionary::USER_AUTHORIZATION | dictionary::LOCATION_INFO => Some((Role::Icscf, Role::Hss)),
        dictionary::MULTIMEDIA_AUTH | dictionary::SERVER_ASSIGNMENT => Some((Role::Scscf, Role::Hss)),
        dictionary::REGISTRATION_TERMINATION | dictionary::PUSH_PROFILE => Some((Role::Hss, Role::Scscf)),
        _ => None,
    }
}

pub(super) fn summary(message: &[u8], header: &Header, show_keys: bool) -> Summary {
    let name = match command_names(header.command) {
        Some((request, answer)) => (if header.request { request } else { answer }).to_owned(),
        None => format!("Diameter {} {}", header.command, if header.request { "request" } else { "answer" }),
    };
    let mut s = Summary::new(name);
    if let Err(fault) = fill(message, header, show_keys, &mut s) {
        let code = Avps::of(message).find(dictionary::RESULT_CODE, 0).and_then(|avp| avp.u32().ok());
        match code {
            Some(code) => outcome(CxResult::Base(code), &mut s),
            None => s.say(Some(format!("malformed: {}", fault.code))),
        }
    }
    s
}

fn fill(message: &[u8], header: &Header, show_keys: bool, s: &mut Summary) -> Result<(), Fault> {
    match (header.command, header.request) {
        (Uar::COMMAND, true) => {
            let uar = Uar::decode(message)?;
            s.say(Some(identity(uar.impu)));
            s.say(Some(format!("{:?}", uar.authorization_type)));
            s.say(Some(format!("visited {}", String::from_utf8_lossy(uar.visited_network))));
        }
        (Uar::COMMAND, false) => {
            let uaa = Uaa::decode(message)?;
            outcome(uaa.result, s);
            found(uaa.server_name, uaa.capabilities.as_ref(), s);
        }
        (Lir::COMMAND, true) => s.say(Some(identity(Lir::decode(message)?.impu))),
        (Lir::COMMAND, false) => {
            let lia = Lia::decode(message)?;
            outcome(lia.result, s);
            found(lia.server_name, lia.capabilities.as_ref(), s);
        }
        (Mar::COMMAND, true) => {
            let mar = Mar::decode(message)?;
            s.say(Some(identity(mar.impi)));
            s.say(Some(mar.scheme.to_owned()));
            s.say(mar.resync.map(|octets| format!("RAND and AUTS {}", short(&HEXLOWER.encode(octets)))));
        }
        (Mar::COMMAND, false) => {
            let maa = Maa::decode(message)?;
            outcome(maa.result, s);
            maa.items.iter().for_each(|item| vector(item, show_keys, s));
        }
        (Sar::COMMAND, true) => {
            let sar = Sar::decode(message)?;
            s.say(Some(format!("{:?}", sar.assignment)));
            s.say(sar.impus.first().map(|impu| identity(impu)));
            s.say((sar.impus.len() > 1).then(|| format!("+{} identities", sar.impus.len() - 1)));
        }
        (Sar::COMMAND, false) => {
            let saa = Saa::decode(message)?;
            outcome(saa.result, s);
            s.say(saa.user_data.map(|xml| format!("User-Data {} octets", xml.len())));
            s.say(saa.server_name.map(ToOwned::to_owned));
        }
        (Rtr::COMMAND, true) => {
            let rtr = Rtr::decode(message)?;
            s.say(Some(format!("{:?}", rtr.reason)));
            s.say(Some(identity(rtr.impi)));
        }
        (Rtr::COMMAND, false) => outcome(Rta::decode(message)?.result, s),
        (Ppr::COMMAND, true) => {
            let ppr = Ppr::decode(message)?;
            s.say(Some(identity(ppr.impi)));
            s.say(ppr.user_data.map(|xml| format!("User-Data {} octets", xml.len())));
        }
        (Ppr::COMMAND, false) => outcome(Ppa::decode(message)?.result, s),
        _ => {}
    }
    Ok(())
}

fn found(server_name: Option<&str>, capabilities: Option<&Capabilities<'_>>, s: &mut Summary) {
    s.say(server_name.map(ToOwned::to_owned));
    if let Some(c) = capabilities {
        s.say((!c.mandatory.is_empty()).then(|| format!("mandatory capabilities {:?}", c.mandatory)));
        s.say((!c.optional.is_empty()).then(|| format!("optional capabilities {:?}", c.optional)));
        s.say((!c.server_names.is_empty()).then(|| c.server_names.join(" ")));
    }
}

fn vector(item: &AuthItem<'_>, show_keys: bool, s: &mut Summary) {
    s.say(item.scheme.map(ToOwned::to_owned));
    if let Some(digest) = &item.digest {
        s.say(Some(format!("realm {}", digest.realm)));
        s.say((!digest.qop.is_empty()).then(|| format!("qop {}", digest.qop)));
        s.say(Some(format!("HA1 {}", key(show_keys, digest.ha1))));
        return;
    }
    // As the nonce of the 401 will show it.
    s.say(item.authenticate.map(|octets| format!("RAND AUTN {}", short(&BASE64.encode(octets)))));
    for (name, octets) in [("XRES", item.xres), ("CK", item.ck), ("IK", item.ik)] {
        s.say(octets.map(|octets| format!("{name} {}", key(show_keys, &HEXLOWER.encode(octets)))));
    }
}

/// The number beside the name of the command, its meaning behind.
fn outcome(result: CxResult, s: &mut Summary) {
    let (CxResult::Base(code) | CxResult::Experimental(code)) = result;
    s.label = format!("{} {code}", s.label);
    s.say(Some(meaning(result).map_or_else(|| result.to_string(), ToOwned::to_owned)));
}

/// RFC 6733 clause 7.1, TS 29.229 clause 6.2.
const fn meaning(result: CxResult) -> Option<&'static str> {
    Some(match result {
        CxResult::SUCCESS => "DIAMETER_SUCCESS",
        CxResult::LIMITED_SUCCESS => "DIAMETER_LIMITED_SUCCESS",
        CxResult::AUTHORIZATION_REJECTED => "DIAMETER_AUTHORIZATION_REJECTED",
        CxResult::AVP_OCCURS_TOO_MANY_TIMES => "DIAMETER_AVP_OCCURS_TOO_MANY_TIMES",
        CxResult::UNABLE_TO_COMPLY => "DIAMETER_UNABLE_TO_COMPLY",
        CxResult::Base(3002) => "DIAMETER_UNABLE_TO_DELIVER",
        CxResult::Base(3004) => "DIAMETER_TOO_BUSY",
        CxResult::Base(5005) => "DIAMETER_MISSING_AVP",
        CxResult::FIRST_REGISTRATION => "DIAMETER_FIRST_REGISTRATION",
        CxResult::SUBSEQUENT_REGISTRATION => "DIAMETER_SUBSEQUENT_REGISTRATION",
        CxResult::UNREGISTERED_SERVICE => "DIAMETER_UNREGISTERED_SERVICE",
        CxResult::SERVER_NAME_NOT_STORED => "DIAMETER_SUCCESS_SERVER_NAME_NOT_STORED",
        CxResult::USER_UNKNOWN => "DIAMETER_ERROR_USER_UNKNOWN",
        CxResult::IDENTITIES_DONT_MATCH => "DIAMETER_ERROR_IDENTITIES_DONT_MATCH",
        CxResult::IDENTITY_NOT_REGISTERED => "DIAMETER_ERROR_IDENTITY_NOT_REGISTERED",
        CxResult::ROAMING_NOT_ALLOWED => "DIAMETER_ERROR_ROAMING_NOT_ALLOWED",
        CxResult::IDENTITY_ALREADY_REGISTERED => "DIAMETER_ERROR_IDENTITY_ALREADY_REGISTERED",
        CxResult::AUTH_SCHEME_NOT_SUPPORTED => "DIAMETER_ERROR_AUTH_SCHEME_NOT_SUPPORTED",
        CxResult::IN_ASSIGNMENT_TYPE => "DIAMETER_ERROR_IN_ASSIGNMENT_TYPE",
        CxResult::TOO_MUCH_DATA => "DIAMETER_ERROR_TOO_MUCH_DATA",
        CxResult::NOT_SUPPORTED_USER_DATA => "DIAMETER_ERROR_NOT_SUPPORTED_USER_DATA",
        CxResult::FEATURE_UNSUPPORTED => "DIAMETER_ERROR_FEATURE_UNSUPPORTED",
        _ => return None,
    })
}
