//! User data from the HSS: the identities of one subscriber apart from what many subscribers have in common.

use crate::cx::sar::Charging;
use crate::cx::user_data::{IdentityType, ImsSubscription, PublicIdentity, ServiceProfile, UserDataError};

/// What subscribers of the same shape share: everything but the identities themselves.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Profile {
    /// One for each identity, in order.
    identities: Box<[Identity]>,
    /// Filter criteria and services, without identities.
    services: Box<[ServiceProfile]>,
    /// Of Charging-Information: ecf primary and secondary, ccf primary and secondary.
    charging: [Option<Box<str>>; 4],
}

/// What is known of one identity besides its text.
#[derive(PartialEq, Eq, Debug)]
struct Identity {
    /// Index of its service profile.
    service: u16,
    /// Neither barred nor wildcarded: stated in P-Associated-URI.
    associated: bool,
}

impl Profile {
    /// Reads user data: the identities in order, and the rest.
    pub(super) fn read(xml: &[u8], charging: Option<Charging<'_>>) -> Result<(Vec<String>, Self), UserDataError> {
        let mut services = ImsSubscription::parse(xml)?.profiles;
        let mut texts = Vec::new();
        let mut identities = Vec::new();
        for (n, service) in services.iter_mut().enumerate() {
            for identity in std::mem::take(&mut service.identities) {
                let service = u16::try_from(n).unwrap_or(u16::MAX);
                identities.push(Identity { service, associated: is_associated(&identity) });
                texts.push(identity.identity);
            }
        }
        let Charging { primary_event, secondary_event, primary_collection, secondary_collection } =
            charging.unwrap_or_default();
        let charging = [primary_event, secondary_event, primary_collection, secondary_collection];
        let profile = Self {
            identities: identities.into(),
            services: services.into(),
            charging: charging.map(|name| name.map(Into::into)),
        };
        Ok((texts, profile))
    }

    /// True when no identity may be registered (TS 24.229 clause 5.4.1.2.2).
    pub(super) fn is_all_barred(&self) -> bool {
        self.identities.iter().all(|i| !i.associated)
    }

    /// True when the `n`th identity is stated in P-Associated-URI.
    pub(super) fn is_associated(&self, n: usize) -> bool {
        self.identities.get(n).is_some_and(|i| i.associated)
    }

    /// P-Charging-Function-Addresses: parameter name and value (`ccf` offline, `ecf` online).
    pub(super) fn charging(&self) -> impl Iterator<Item = (&'static str, &str)> {
        const PARAMS: [&str; 4] = ["ecf", "ecf", "ccf", "ccf"];
        let named = PARAMS.into_iter().zip(&self.charging);
        named.filter_map(|(param, name)| name.as_deref().map(|name| (param, name)))
    }
}

/// Profiles, each kept once however many registrations have it.
#[derive(Debug, Default)]
pub(super) struct Profiles {
    slots: Vec<(Option<Profile>, usize)>,
}

/// One of [`Profiles`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ProfileId(u32);

impl Profiles {
    /// Counts one more user of `profile`.
    pub(super) fn share(&mut self, profile: Profile) -> ProfileId {
        // Networks have few shapes. Where they have many, a bounded search only costs some memory.
        let known = self.slots.iter().rev().take(SEARCHED).position(|(p, _)| p.as_ref() == Some(&profile));
        let at = match known {
            Some(back) => self.slots.len() - 1 - back,
            None => match self.slots.iter().position(|(p, _)| p.is_none()) {
                Some(at) => {
                    self.slots[at].0 = Some(profile);
                    at
                }
                None => {
                    self.slots.push((Some(profile), 0));
                    self.slots.len() - 1
                }
            },
        };
        self.slots[at].1 += 1;
        ProfileId(u32::try_from(at).expect("fewer profiles than registrations"))
    }

    /// Counts one user less.
    pub(super) fn release(&mut self, id: ProfileId) {
        if let Some(slot) = self.slots.get_mut(id.0 as usize) {
            slot.1 = slot.1.saturating_sub(1);
            if slot.1 == 0 {
                slot.0 = None;
            }
        }
    }

    /// The profile.
    pub(super) fn get(&self, id: ProfileId) -> &Profile {
        self.slots[id.0 as usize].0.as_ref().expect("a profile in use is kept")
    }
}

/// Barred identities are registered implicitly but never stated; neither are wildcarded ones.
fn is_associated(identity: &PublicIdentity) -> bool {
    let wildcarded = matches!(identity.kind, IdentityType::WildcardedPsi | IdentityType::WildcardedPublicUserIdentity);
    !identity.barred && !wildcarded && identity.wildcard.is_none()
}

/// How many profiles are compared before one counts as new.
const SEARCHED: usize = 64;
