//! LIR: which S-CSCF serves a public identity (TS 29.228 clause 6.1.4.1).

use super::Records;
use super::state::Registration;
use crate::cx::user_data::ServiceProfile;
use crate::cx::{CxResult, Lia, Lir, UserAuthorizationType};

pub(super) fn answer<'a>(records: &'a Records, lir: &Lir<'a>) -> Lia<'a> {
    let mut lia = Lia {
        envelope: records.envelope(&lir.envelope),
        result: CxResult::SUCCESS,
        server_name: None,
        capabilities: None,
    };
    let Some((member, place)) = records.store.by_impu(lir.impu) else {
        lia.result = CxResult::USER_UNKNOWN;
        return lia;
    };
    let (registration, name) = records.states.registration(member);
    let is_served = registration != Registration::NotRegistered
        || lir.originating
        || has_unregistered_services(records.store.of(member).profile(place));
    let wants_another = lir.authorization_type == Some(UserAuthorizationType::RegistrationAndCapabilities);
    match name {
        _ if !is_served => lia.result = CxResult::IDENTITY_NOT_REGISTERED,
        Some(_) if wants_another => lia.capabilities = Some(records.capabilities(member)),
        Some(name) => lia.server_name = Some(name),
        None => {
            lia.result = CxResult::UNREGISTERED_SERVICE;
            lia.capabilities = records.needed_capabilities(member);
        }
    }
    lia
}

/// The I-CSCF lets another S-CSCF take the user over (TS 29.228 clause 6.1.4.1).
pub(super) fn await_reassignment(records: &mut Records, lir: &Lir<'_>) {
    if let Some((member, _)) = records.store.by_impu(lir.impu) {
        records.await_reassignment(member);
    }
}

/// Filter criteria without ProfilePartIndicator hold for both parts (TS 29.228 annex B.2.2).
fn has_unregistered_services(profile: &ServiceProfile) -> bool {
    // What is in a shared set only the S-CSCF knows.
    !profile.shared_ifc_sets.is_empty() || profile.filter_criteria.iter().any(|c| c.registered_part != Some(true))
}
