//! What an S-CSCF shows of itself on request: who is registered.

use super::Scscf;
use crate::time::Instant;

/// A registered implicit registration set.
#[derive(Clone, Debug)]
pub struct RegistrationView {
    /// Private identity.
    pub impi: String,
    /// The public identities in order, the default first among those not barred; true: barred.
    pub identities: Vec<(String, bool)>,
    /// What is bound to all of them.
    pub contacts: Vec<ContactView>,
}

/// One binding.
#[derive(Clone, Debug)]
pub struct ContactView {
    /// The Contact URI.
    pub uri: String,
    /// Path as one list, empty where there is none.
    pub path: String,
    /// When it ends.
    pub expires_at: Instant,
}

impl Scscf {
    /// All registrations, or those whose sets hold `impu`, which is canonical.
    pub fn registration_views(&self, impu: Option<&str>) -> Vec<RegistrationView> {
        let registrar = &self.registrar;
        let all = registrar.iter().map(|(_, registration)| RegistrationView {
            impi: registrar.impi(registration),
            identities: registrar.identities(registration).map(|(impu, associated)| (impu, !associated)).collect(),
            contacts: registration
                .bindings
                .as_slice()
                .iter()
                .map(|binding| ContactView {
                    uri: binding.contact(&registrar.compact),
                    path: binding.path(&registrar.compact),
                    expires_at: binding.expires_at,
                })
                .collect(),
        });
        all.filter(|view| impu.is_none_or(|impu| view.identities.iter().any(|(own, _)| own == impu))).collect()
    }
}
