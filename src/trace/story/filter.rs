//! Which messages to show: `method=REGISTER status=4xx interface=gm,mw`.
//!
//! A filter is terms with blanks between; a message must fit all. A term is a key, `=` or `!=`, and values with commas
//! between, of which one must fit (with `!=`: none). Case does not count.
//!
//! | key | fits |
//! | --- | --- |
//! | `method` | the method of a request and of its answers; for Diameter the command: `UAR`, `MAA` or both by `MA` |
//! | `status` | the status of a SIP response: `401`, `4xx` |
//! | `identity` | a part of From, To, P-Asserted-Identity, the user name of Authorization, User-Name or Public-Identity |
//! | `call-id` | a part of Call-ID |
//! | `interface` | `gm`, `mw`, `isc`, `cx`, `diameter`, `unknown` |
//! | `role` | one of its ends: `ue`, `p-cscf`, `i-cscf`, `s-cscf`, `hss`, `as` |

use super::message::Message;
use super::names::DiameterNames;
use crate::diameter::dictionary::command_names;
use crate::sip::HeaderName;
use std::str::FromStr;
use thiserror::Error;

/// Which messages fit.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Filter {
    terms: Vec<Term>,
}

/// Why a text is no filter.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FilterFault {
    /// No `=`.
    #[error("{0}: expected KEY=VALUE")]
    Term(String),
    /// Another key.
    #[error("{0}: no such key; method, status, identity, call-id, interface and role are")]
    Key(String),
    /// A status that is none.
    #[error("{0}: expected a status such as 401 or 4xx")]
    Status(String),
    /// No such interface.
    #[error("{0}: expected gm, mw, isc, cx, diameter or unknown")]
    Interface(String),
    /// No such role.
    #[error("{0}: expected ue, p-cscf, i-cscf, s-cscf, hss or as")]
    Role(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Term {
    key: Key,
    /// In lower case.
    values: Vec<String>,
    is_not: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Method,
    Status,
    Identity,
    CallId,
    Interface,
    Role,
}

impl Filter {
    /// True where a message fits.
    pub fn fits(&self, message: Message<'_>) -> bool {
        self.terms.iter().all(|term| term.values.iter().any(|value| term.key.fits(value, message)) != term.is_not)
    }

    /// True where every message fits.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

impl FromStr for Filter {
    type Err = FilterFault;

    fn from_str(text: &str) -> Result<Self, FilterFault> {
        let terms = text.split_whitespace().map(Term::read).collect::<Result<_, _>>()?;
        Ok(Self { terms })
    }
}

impl Term {
    fn read(text: &str) -> Result<Self, FilterFault> {
        let (key, values) = text.split_once('=').ok_or_else(|| FilterFault::Term(text.to_owned()))?;
        let (key, is_not) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
        let key = Key::read(key)?;
        let values: Vec<String> = values.split(',').filter(|v| !v.is_empty()).map(str::to_ascii_lowercase).collect();
        if values.is_empty() {
            return Err(FilterFault::Term(text.to_owned()));
        }
        values.iter().try_for_each(|value| key.check(value))?;
        Ok(Self { key, values, is_not })
    }
}

impl Key {
    fn read(text: &str) -> Result<Self, FilterFault> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "method" => Self::Method,
            "status" => Self::Status,
            "identity" => Self::Identity,
            "call-id" => Self::CallId,
            "interface" => Self::Interface,
            "role" => Self::Role,
            _ => return Err(FilterFault::Key(text.to_owned())),
        })
    }

    fn check(self, value: &str) -> Result<(), FilterFault> {
        let is_status = |value: &str| {
            let bytes = value.as_bytes();
            bytes.len() == 3
                && matches!(bytes[0], b'1'..=b'6')
                && bytes[1..].iter().all(|b| b.is_ascii_digit() || *b == b'x')
        };
        match self {
            Self::Status if !is_status(value) => Err(FilterFault::Status(value.to_owned())),
            Self::Interface if !INTERFACES.contains(&value) => Err(FilterFault::Interface(value.to_owned())),
            Self::Role if !ROLES.contains(&value) => Err(FilterFault::Role(value.to_owned())),
            _ => Ok(()),
        }
    }

    fn fits(self, value: &str, message: Message<'_>) -> bool {
        let holds = |text: &str| text.to_ascii_lowercase().contains(value);
        match self {
            Self::Method => method_fits(value, message),
            Self::Status => message.status().is_some_and(|status| {
                let digits = status.to_string();
                digits.bytes().zip(value.bytes()).all(|(digit, wanted)| wanted == b'x' || wanted == digit)
            }),
            Self::Identity => identities(message).iter().any(|identity| holds(identity)),
            Self::CallId => message.sip().and_then(|sip| sip.call_id().ok()).is_some_and(holds),
            Self::Interface => message.interface().as_str().eq_ignore_ascii_case(value),
            Self::Role => {
                let ends = [message.from(), message.to()];
                ends.into_iter().flatten().any(|role| role.as_str().eq_ignore_ascii_case(value))
            }
        }
    }
}

fn method_fits(value: &str, message: Message<'_>) -> bool {
    if let Some(method) = message.method() {
        return method.as_str().eq_ignore_ascii_case(value);
    }
    let Some(header) = message.diameter() else { return false };
    let Some((request, answer)) = command_names(header.command) else { return header.command.to_string() == value };
    let name = if header.request { request } else { answer };
    name.eq_ignore_ascii_case(value) || name.get(..2).is_some_and(|both| both.eq_ignore_ascii_case(value))
}

fn identities(message: Message<'_>) -> Vec<&str> {
    if let Some(sip) = message.sip() {
        let ends = [sip.from(), sip.to()].into_iter().flatten().map(|end| end.uri.text);
        let user = sip.authorization().ok().flatten().and_then(|digest| digest.username);
        return ends.chain(user).chain(sip.elements(HeaderName::PAssertedIdentity)).collect();
    }
    let names = DiameterNames::of(&message.record().bytes);
    names.map_or_else(Vec::new, |names| [names.impi, names.impu].into_iter().flatten().collect())
}

const INTERFACES: [&str; 6] = ["gm", "mw", "isc", "cx", "diameter", "unknown"];
const ROLES: [&str; 6] = ["ue", "p-cscf", "i-cscf", "s-cscf", "hss", "as"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_filter_is_told() {
        let fault = |text: &str| text.parse::<Filter>().unwrap_err().to_string();
        assert_eq!(fault("REGISTER"), "REGISTER: expected KEY=VALUE");
        assert_eq!(fault("method="), "method=: expected KEY=VALUE");
        assert!(fault("methode=x").starts_with("methode: no such key"));
        assert!(fault("status=700").starts_with("700: expected a status"));
        assert!(fault("interface=gn").starts_with("gn: expected gm"));
        assert!(fault("role=pcscf").starts_with("pcscf: expected ue"));
        assert!("".parse::<Filter>().unwrap().is_empty());
        assert!(!"status!=1xx,401 Method=register".parse::<Filter>().unwrap().is_empty());
    }
}
