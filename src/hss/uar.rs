//! UAR: may this user register here, and which S-CSCF serves it (TS 29.228 clause 6.1.1.1).

use super::Records;
use super::source::{Member, Source};
use super::state::Registration;
use crate::cx::user_data::IdentityType;
use crate::cx::{Capabilities, CxResult, Uaa, Uar, UserAuthorizationType};

pub(super) fn answer<'a>(records: &'a Records, uar: &Uar<'a>) -> Uaa<'a> {
    let mut uaa = Uaa {
        envelope: records.envelope(&uar.envelope),
        result: CxResult::SUCCESS,
        server_name: None,
        capabilities: None,
    };
    match judge(records, uar) {
        Ok((result, Target::Server(name))) => (uaa.result, uaa.server_name) = (result, Some(name)),
        Ok((result, Target::Any(capabilities))) => (uaa.result, uaa.capabilities) = (result, capabilities),
        Err(result) => uaa.result = result,
    }
    uaa
}

/// The I-CSCF lets another S-CSCF take the user over (TS 29.228 clause 6.1.1.1, TS 23.380 clause 4.2).
pub(super) fn await_reassignment(records: &mut Records, uar: &Uar<'_>) {
    if judge(records, uar).is_ok()
        && let Some(member) = records.store.by_impi(uar.impi)
    {
        records.await_reassignment(member);
    }
}

/// Where the I-CSCF is to send the REGISTER.
enum Target<'a> {
    Server(&'a str),
    Any(Option<Capabilities<'a>>),
}

/// The checks in the order of the clause.
fn judge<'a>(records: &'a Records, uar: &Uar<'_>) -> Result<(CxResult, Target<'a>), CxResult> {
    use UserAuthorizationType as Type;
    let store = &records.store;
    let owner = store.by_impi(uar.impi).ok_or(CxResult::USER_UNKNOWN)?;
    let (member, place) = store.by_impu_of(owner, uar.impu).ok_or(CxResult::USER_UNKNOWN)?;
    let source = store.of(member);
    if !is_distinct(source.kind(place)) {
        return Err(CxResult::USER_UNKNOWN);
    }
    if owner != member {
        return Err(CxResult::IDENTITIES_DONT_MATCH);
    }
    if !uar.emergency && source.is_barred(place) && source.is_wholly_barred() {
        return Err(CxResult::AUTHORIZATION_REJECTED);
    }
    let may_be_anywhere = uar.emergency || uar.authorization_type == Type::DeRegistration;
    if !may_be_anywhere && !is_roaming_allowed(records, source, uar.visited_network) {
        return Err(CxResult::ROAMING_NOT_ALLOWED);
    }
    if uar.authorization_type == Type::RegistrationAndCapabilities {
        return Ok((CxResult::SUCCESS, Target::Any(Some(records.capabilities(member)))));
    }
    by_state(records, member, uar.authorization_type)
}

fn by_state(
    records: &Records,
    member: Member,
    authorization: UserAuthorizationType,
) -> Result<(CxResult, Target<'_>), CxResult> {
    let deregisters = authorization == UserAuthorizationType::DeRegistration;
    match records.states.registration(member) {
        (Registration::NotRegistered, _) if deregisters => Err(CxResult::IDENTITY_NOT_REGISTERED),
        // The name of a subscription that is not registered is that of a pending authentication.
        (_, Some(name)) if deregisters => Ok((CxResult::SUCCESS, Target::Server(name))),
        (_, Some(name)) => Ok((CxResult::SUBSEQUENT_REGISTRATION, Target::Server(name))),
        (_, None) => Ok((CxResult::FIRST_REGISTRATION, Target::Any(records.needed_capabilities(member)))),
    }
}

/// A wildcard stands for many identities, none of which can register by it (TS 29.228 clause 6.1.1.1).
fn is_distinct(kind: IdentityType) -> bool {
    matches!(kind, IdentityType::PublicUserIdentity | IdentityType::DistinctPsi)
}

fn is_roaming_allowed(records: &Records, source: &Source, visited: &[u8]) -> bool {
    let config = &records.config;
    let is_visited = |network: &str| network.as_bytes().eq_ignore_ascii_case(visited);
    let allowed = match &source.visited_networks {
        Some(own) => own,
        None if config.visited_networks.is_empty() => return true,
        None => &config.visited_networks,
    };
    is_visited(&config.realm) || allowed.iter().any(|network| is_visited(network))
}
