//! Users who are not registered, and for whom application servers do something all the same (TS 24.229 clauses 5.4.3.2
//! and 5.4.3.3, TS 23.228 clause 5.12.1): the HSS has given their profile, which is kept for a while.

use super::bind::Assignment;
use super::profile::ProfileId;
use super::refusal::Refusal;
use super::registrar::{HssId, is_canonically};
use super::restoration::LostUser;
use super::table::{Id, Table};
use super::{Awaited, Due, Scscf};
use crate::cx::user_data::ImsSubscription;
use crate::cx::{CxResult, Ppr, Saa, ServerAssignmentType};
use crate::identity::Shortened;
use crate::packet::Outbox;
use crate::time::{Duration, Instant};
use foldhash::fast::FixedState;
use std::fmt;
use std::hash::BuildHasher;

/// The profiles that are kept.
#[derive(Debug)]
pub(super) struct Unregistered {
    users: Table<User>,
    hasher: FixedState,
}

/// One identity, with the service profile that it has.
pub(super) struct User {
    impi: Box<str>,
    /// Canonical.
    pub(super) impu: Box<str>,
    pub(super) profile: ProfileId,
    /// Which service profile.
    pub(super) service: usize,
    hss: HssId,
    /// Nobody has asked for it since [`KEPT_FOR`] before.
    until: Instant,
}

impl Default for Unregistered {
    /// Without a seed: only identities of the HSS are kept, and not many.
    fn default() -> Self {
        Self { users: Table::new(0), hasher: FixedState::default() }
    }
}

impl Unregistered {
    /// The profile of `impu`, which is canonical.
    pub(super) fn find(&self, impu: &str) -> Option<Id> {
        if self.users.len() == 0 {
            return None;
        }
        self.users.chain(self.hasher.hash_one(impu)).find(|(_, user)| *user.impu == *impu).map(|(id, _)| id)
    }

    /// The user, if the profile is still kept.
    pub(super) fn get(&self, id: Id) -> Option<&User> {
        self.users.get(id)
    }

    /// The profile has been of use.
    pub(super) fn touch(&mut self, now: Instant, id: Id) {
        if let Some(user) = self.users.get_mut(id) {
            user.until = now + KEPT_FOR;
        }
    }

    fn of_impi(&self, impi: &str) -> Vec<Id> {
        self.users.iter().filter(|(_, user)| *user.impi == *impi).map(|(id, _)| id).collect()
    }
}

impl Scscf {
    /// Keeps the profile of an SAA for UNREGISTERED_USER. Without criteria for such a user there is nothing to do for him.
    pub(super) fn keep_unregistered(
        &mut self,
        now: Instant,
        user: &LostUser,
        saa: &Saa<'_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let nothing = || user.otherwise.clone();
        let xml = saa.user_data.ok_or_else(nothing)?;
        let impi = ImsSubscription::parse(xml).map_err(|_| Refusal::BadUserData)?.private_id.into();
        let data = self.user_data(saa, &user.impu, false, out)?.ok_or_else(nothing)?;
        let place = data.identities.iter().position(|identity| is_canonically(identity, &user.impu));
        let profile = self.registrar.profile_of(data.profile);
        let service = place.filter(|n| profile.is_associated(*n)).and_then(|n| profile.service_of(n));
        let service = service.filter(|service| profile.serves_unregistered(*service));
        let Some(service) = service.filter(|_| self.unregistered.users.len() < MOST_KEPT) else {
            self.registrar.discard(data);
            return Err(nothing());
        };
        let hss = self.registrar.hss_named(saa.envelope.origin_host);
        let (impu, until) = (user.impu.as_str().into(), now + KEPT_FOR);
        let hash = self.unregistered.hasher.hash_one(user.impu.as_str());
        let kept = User { impi, impu, profile: data.profile, service, hss, until };
        let id = self.unregistered.users.insert(hash, kept);
        self.timeouts.at(until, Due::Unregistered(id));
        Ok(())
    }

    /// Who has not been asked for is given back to the HSS.
    pub(super) fn on_unregistered_due(&mut self, now: Instant, id: Id, out: &mut Outbox) {
        match self.unregistered.get(id) {
            Some(user) if user.until > now => self.timeouts.at(user.until, Due::Unregistered(id)),
            Some(_) => {
                let Some(User { impu, hss, .. }) = self.forget_unregistered(id) else { return };
                self.give_back_unregistered(now, &impu, hss, out);
            }
            None => {}
        }
    }

    /// The HSS need not hold us for the S-CSCF of a user who is not registered.
    pub(super) fn give_back_unregistered(&mut self, now: Instant, impu: &str, hss: HssId, out: &mut Outbox) {
        let kind = ServerAssignmentType::TimeoutDeregistration;
        let assignment =
            Assignment { impi: None, impu, kind, known: false, hss: Some(hss), multiple: false, left: &[] };
        self.send_sar(now, &assignment, Awaited::Deregistering, out);
    }

    /// The set that holds `impu` is registered now.
    pub(super) fn forget_unregistered_set(&mut self, registration: Id) {
        if self.unregistered.users.len() == 0 {
            return;
        }
        let Some(entry) = self.registrar.get(registration) else { return };
        let set: Vec<String> = self.registrar.identities(entry).map(|(impu, _)| impu).collect();
        let is_of = |user: &User| set.iter().any(|impu| is_canonically(impu, &user.impu));
        let users = self.unregistered.users.iter();
        let gone: Vec<Id> = users.filter(|(_, user)| is_of(user)).map(|(id, _)| id).collect();
        for id in gone {
            self.forget_unregistered(id);
        }
    }

    /// The HSS ends what is kept (RTR). True where there was something.
    pub(super) fn end_unregistered(&mut self, impi: &str) -> bool {
        let gone = self.unregistered.of_impi(impi);
        for id in &gone {
            self.forget_unregistered(*id);
        }
        !gone.is_empty()
    }

    /// The HSS pushes another profile for what is kept.
    pub(super) fn take_unregistered_profile(&mut self, ppr: &Ppr<'_>) -> Result<(), CxResult> {
        let kept = self.unregistered.of_impi(ppr.impi);
        if kept.is_empty() {
            return Err(CxResult::USER_UNKNOWN);
        }
        let Some(xml) = ppr.user_data else { return Ok(()) };
        for id in kept {
            let data = self.registrar.user_data(xml, ppr.charging).map_err(|_| CxResult::NOT_SUPPORTED_USER_DATA)?;
            let Some(user) = self.unregistered.users.get_mut(id) else { continue };
            let place = data.identities.iter().position(|identity| is_canonically(identity, &user.impu));
            let service = place.and_then(|n| self.registrar.profile_of(data.profile).service_of(n));
            let Some(service) = service else {
                self.registrar.discard(data);
                continue;
            };
            let before = std::mem::replace(&mut user.profile, data.profile);
            user.service = service;
            self.registrar.release(before);
        }
        Ok(())
    }

    fn forget_unregistered(&mut self, id: Id) -> Option<User> {
        let user = self.unregistered.users.remove(id)?;
        self.registrar.release(user.profile);
        Some(user)
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("impu", &Shortened(&self.impu)).finish_non_exhaustive()
    }
}

/// Longer than a request may be with an application server (timer C, RFC 3261 clause 16.6).
const KEPT_FOR: Duration = Duration::from_secs(300);

/// Whoever calls many who are not there fills no more than this.
const MOST_KEPT: usize = 10_000;
