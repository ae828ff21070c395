//! Event and Subscription-State (RFC 6665 clause 8.2).

use super::grammar;
use super::params::Params;
use super::{HeaderError, HeaderName};

/// `package *( ; parameter )`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Event<'a> {
    /// `reg`, ... with its templates.
    pub package: &'a str,
    /// `id`, ...
    pub params: Params<'a>,
}

impl<'a> Event<'a> {
    /// Reads the value.
    pub fn parse(value: &'a str) -> Result<Self, HeaderError> {
        let (package, params) = token_with_params(HeaderName::Event, value)?;
        Ok(Self { package, params })
    }
}

/// `state *( ; parameter )`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriptionState<'a> {
    /// `active`, `pending`, `terminated`, ...
    pub state: &'a str,
    /// `expires`, `reason`, `retry-after`, ...
    pub params: Params<'a>,
}

impl<'a> SubscriptionState<'a> {
    /// Reads the value.
    pub fn parse(value: &'a str) -> Result<Self, HeaderError> {
        let (state, params) = token_with_params(HeaderName::SubscriptionState, value)?;
        Ok(Self { state, params })
    }

    /// `expires` in seconds.
    pub fn expires(&self) -> Option<u32> {
        self.params.value("expires").and_then(grammar::seconds)
    }
}

fn token_with_params(header: HeaderName, value: &str) -> Result<(&str, Params<'_>), HeaderError> {
    let fault = |fault| HeaderError::bad(header, fault);
    let (after, token) = grammar::token(grammar::trim(value)).map_err(|_| fault("expected a token"))?;
    match Params::take(after, |_, _| ()).map_err(fault)? {
        (params, "") => Ok((token, params)),
        _ => Err(fault("something follows the parameters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_and_state() {
        let event = Event::parse("reg ; id=7").unwrap();
        assert_eq!((event.package, event.params.value("id")), ("reg", Some("7")));
        let state = SubscriptionState::parse("active;expires=600000").unwrap();
        assert_eq!((state.state, state.expires()), ("active", Some(600_000)));
        assert!(Event::parse("").is_err());
        assert!(SubscriptionState::parse("active, x").is_err());
    }
}
