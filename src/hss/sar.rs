//! SAR: an S-CSCF takes, keeps or gives up a user, and reads the profile (TS 29.228 clause 6.1.2.1).

use super::Records;
use super::source::{Member, Place, Source};
use super::state::Registration;
use crate::cx::sar::{Charging, ServerAssignmentType};
use crate::cx::user_data::IdentityType;
use crate::cx::{CxResult, Saa, Sar, ScscfRestorationInfo, VENDOR};
use crate::diameter::{Avps, Fault, dictionary};
use crate::packet::Outbox;

/// A subscription whose S-CSCF has lost it to another one, and the name of the one that lost.
pub(super) type Overtaken = (Member, Box<str>);

pub(super) fn answer<'a>(
    records: &'a mut Records,
    sar: &Sar<'a>,
    message: &[u8],
    out: &mut Outbox,
) -> Result<(Saa<'a>, Option<Overtaken>), Fault> {
    records.states.restorations.begin();
    let outcome = match find(&*records, sar) {
        Ok(found) => {
            has_one_identity(sar, message)?;
            assign(records, found, sar).map(|content| (found.0, content))
        }
        Err(result) => Err(Refusal { result, server: None }),
    };
    let takes = sar.assignment.is_registration() || sar.assignment == ServerAssignmentType::UnregisteredUser;
    let overtaken = match &outcome {
        Ok((member, _)) if takes => {
            records.states.take_overtaken(*member, sar.server_name).map(|before| (*member, before))
        }
        _ => None,
    };
    records.record_change(out);
    if let Ok((member, Content::Profile)) = &outcome {
        records.user_data.clear();
        records.store.write_user_data(*member, &mut records.user_data);
    }
    let records = &*records;
    let mut saa = Saa {
        envelope: records.envelope(&sar.envelope),
        result: CxResult::SUCCESS,
        impi: sar.impi,
        server_name: None,
        user_data: None,
        charging: None,
        // A subscription has one private identity here: there are no others to name.
        associated_identities: Vec::new(),
        supports_restoration: sar.supports_restoration,
        restoration: Vec::new(),
    };
    match outcome {
        Ok((member, Content::Profile)) => {
            saa.user_data = Some(&records.user_data);
            saa.charging = charging(records.store.of(member));
            saa.restoration.extend(restoration(records, member, sar));
        }
        Ok((member, Content::NoProfile)) => saa.restoration.extend(restoration(records, member, sar)),
        Ok((_, Content::Result(result))) => saa.result = result,
        Err(Refusal { result, server }) => {
            saa.result = result;
            saa.server_name = server.and_then(|member| records.states.registration(member).1);
        }
    }
    Ok((saa, overtaken))
}

/// What a granted request is answered with.
enum Content {
    Profile,
    /// The S-CSCF has it.
    NoProfile,
    Result(CxResult),
}

struct Refusal {
    result: CxResult,
    /// The subscription whose stored S-CSCF is to be named.
    server: Option<Member>,
}

impl From<CxResult> for Refusal {
    fn from(result: CxResult) -> Self {
        Self { result, server: None }
    }
}

/// The subscription that all identities of the request belong to, and the place of the first public one.
fn find(records: &Records, sar: &Sar<'_>) -> Result<(Member, Option<Place>), CxResult> {
    let store = &records.store;
    let mut member = sar.impi.map(|impi| store.by_impi(impi).ok_or(CxResult::USER_UNKNOWN)).transpose()?;
    let (mut place, mut is_one) = (None, true);
    for impu in &sar.impus {
        let found = match member {
            Some(member) => store.by_impu_of(member, impu),
            None => store.by_impu(impu),
        };
        let (owner, at) = found.ok_or(CxResult::USER_UNKNOWN)?;
        is_one &= *member.get_or_insert(owner) == owner;
        place.get_or_insert(at);
    }
    if let Some(info) = &sar.restoration {
        is_one &= store.by_impi(info.impi) == member;
    }
    match member {
        Some(member) if is_one => Ok((member, place)),
        Some(_) => Err(CxResult::IDENTITIES_DONT_MATCH),
        None => Err(CxResult::USER_UNKNOWN),
    }
}

fn has_one_identity(sar: &Sar<'_>, message: &[u8]) -> Result<(), Fault> {
    if sar.impus.len() < 2 || !sar.assignment.is_for_one_identity() {
        return Ok(());
    }
    let is_impu = |avp: &crate::diameter::Avp<'_>| (avp.vendor, avp.code) == (VENDOR, dictionary::PUBLIC_IDENTITY);
    let second = Avps::of(message).filter_map(Result::ok).filter(is_impu).nth(1);
    Err(Fault::repeated(&second.expect("two identities were read from this message")))
}

/// Checks and changes the state, by Server-Assignment-Type.
fn assign(records: &mut Records, (member, place): (Member, Option<Place>), sar: &Sar<'_>) -> Result<Content, Refusal> {
    use ServerAssignmentType as Type;
    let Records { config, store, states, .. } = records;
    let source = store.of(member);
    let (registration, server) = states.registration(member);
    let is_elsewhere = server.is_some_and(|server| server != sar.server_name);
    let served_elsewhere = Refusal { result: CxResult::IDENTITY_ALREADY_REGISTERED, server: Some(member) };
    match sar.assignment {
        Type::NoAssignment if server == Some(sar.server_name) => {}
        Type::NoAssignment => return Err(CxResult::UNABLE_TO_COMPLY.into()),
        Type::Registration | Type::ReRegistration => {
            if place.is_some_and(|place| is_psi(source.kind(place))) {
                return Err(CxResult::IN_ASSIGNMENT_TYPE.into());
            }
            if is_elsewhere && !states.restorations.is_reassignment_pending(member) {
                return Err(served_elsewhere);
            }
            states.assign(member, source, sar.server_name);
            states.restorations.end_reassignment(member);
            match &sar.restoration {
                Some(info) => states.restorations.store(member, info),
                // Whoever begins anew and leaves nothing cannot mean what was left before.
                None if sar.assignment == Type::Registration => states.restorations.forget(member),
                None => {}
            }
            let state = states.of(member, source);
            state.registration = Registration::Registered;
            state.authentication_pending = false;
        }
        Type::UnregisteredUser => {
            let is_registered = registration == Registration::Registered;
            if is_registered && is_elsewhere && !states.restorations.is_reassignment_pending(member) {
                return Err(served_elsewhere);
            }
            states.assign(member, source, sar.server_name);
            states.restorations.end_reassignment(member);
            // The user is registered, it is the S-CSCF that has lost it.
            let is_restored = is_registered && sar.supports_restoration && states.restorations.has(member);
            if !is_restored {
                states.restorations.forget(member);
                states.of(member, source).registration = Registration::Unregistered;
            }
        }
        Type::TimeoutDeregistration
        | Type::UserDeregistration
        | Type::AdministrativeDeregistration
        | Type::DeregistrationTooMuchData => {
            states.restorations.forget(member);
            states.clear(member);
            states.of(member, source).registration = Registration::NotRegistered;
            return Ok(Content::Result(CxResult::SUCCESS));
        }
        Type::TimeoutDeregistrationStoreServerName | Type::UserDeregistrationStoreServerName => {
            states.restorations.forget(member);
            return Ok(Content::Result(if config.store_server_name {
                states.assign(member, source, sar.server_name);
                states.of(member, source).registration = Registration::Unregistered;
                CxResult::SUCCESS
            } else {
                states.clear(member);
                states.of(member, source).registration = Registration::NotRegistered;
                CxResult::SERVER_NAME_NOT_STORED
            }));
        }
        Type::AuthenticationFailure | Type::AuthenticationTimeout => {
            if registration == Registration::NotRegistered {
                states.clear(member);
            }
            states.of(member, source).authentication_pending = false;
            return Ok(Content::Result(CxResult::SUCCESS));
        }
    }
    let is_known = sar.user_data_already_available;
    Ok(if is_known { Content::NoProfile } else { Content::Profile })
}

/// What an S-CSCF gets back that has lost the registration: with the profile that it reads, or takes over, or with one
/// more Contact of a user whose others it has lost.
fn restoration<'a>(records: &'a Records, member: Member, sar: &Sar<'_>) -> Option<ScscfRestorationInfo<'a>> {
    use ServerAssignmentType as Type;
    let restorations = &records.states.restorations;
    match sar.assignment {
        _ if !sar.supports_restoration => None,
        Type::NoAssignment | Type::UnregisteredUser => restorations.find(member),
        // It does not know of the other Contacts, or the user would not be new to it.
        Type::Registration if sar.multiple_registration => restorations.replaced(),
        _ => None,
    }
}

/// A public service identity is nobody's to register.
fn is_psi(kind: IdentityType) -> bool {
    matches!(kind, IdentityType::DistinctPsi | IdentityType::WildcardedPsi)
}

/// Charging-Information, where there is one of the two primary names that it must hold (TS 29.229 clause 6.3.19).
pub(super) fn charging(source: &Source) -> Option<Charging<'_>> {
    let [primary_event, secondary_event, primary_collection, secondary_collection] =
        source.charging.each_ref().map(Option::as_deref);
    let is_whole = primary_event.is_some() || primary_collection.is_some();
    is_whole.then_some(Charging { primary_event, secondary_event, primary_collection, secondary_collection })
}
