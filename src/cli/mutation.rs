//! `--mutate`: a fault made on purpose, out of a file.

use super::Failure;
use crate::config::{MutationCase, PlaneChoice, embedded_cases, load_mutations};
use crate::conformance::Accused;
use crate::event::Role;
use crate::live::obstacle;
use std::path::Path;

/// The id of a case of conformance, or `FILE:ID`; a file of one mutation needs no id.
pub(super) fn load(wanted: &str) -> Result<MutationCase, Failure> {
    if !Path::new(wanted).exists() && !wanted.contains([':', '/', '.']) {
        let all = [Accused::Pcscf, Accused::Ue].into_iter().flat_map(embedded_cases);
        let found = { all }.find(|case| &*case.case.id == wanted).map(|case| case.world);
        return found.ok_or_else(|| {
            let lists = "imsreg check pcscf --list and imsreg check ue --list show them";
            Failure::Usage(format!("--mutate {wanted}: no case of that name, {lists}; FILE:ID is a mutation of a file"))
        });
    }
    let (path, id) = match wanted.rsplit_once(':') {
        Some((path, id)) => (path, Some(id)),
        None => (wanted, None),
    };
    let mut cases = load_mutations(Path::new(path))?;
    let found = match id {
        Some(id) => cases.iter().position(|case| &*case.mutation.id == id),
        None => (cases.len() == 1).then_some(0),
    };
    let ids = || cases.iter().map(|case| &*case.mutation.id).collect::<Vec<_>>().join(", ");
    let Some(found) = found else {
        return Err(Failure::Usage(format!("--mutate {wanted}: one of {path}:ID expected, ID one of {}", ids())));
    };
    Ok(cases.swap_remove(found))
}

/// Refuses what this process cannot do.
pub(super) fn possible(case: &MutationCase, plane: PlaneChoice, roles: &[Role]) -> Result<(), Failure> {
    let is_ue = roles.contains(&Role::Ue);
    let of_ue = || match (case.misbehaviour, case.ue_settings.is_empty()) {
        _ if is_ue => None,
        (None, true) => None,
        _ => Some(format!("the {} is not in this process", Role::Ue)),
    };
    let needs_esp = case.misbehaviour.is_some_and(|how| how.needs_esp());
    let of_plane = || match plane {
        PlaneChoice::None | PlaneChoice::Kernel if needs_esp => {
            Some(format!("plane {plane} has no ESP of our own that could be wrong"))
        }
        _ => None,
    };
    match obstacle(&case.mutation, plane, roles).or_else(of_ue).or_else(of_plane) {
        Some(why) => Err(Failure::Usage(format!("--mutate {}: {why}", case.mutation.id))),
        None => Ok(()),
    }
}
