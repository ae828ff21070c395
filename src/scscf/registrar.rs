//! Who is registered: one entry for each IMPI and implicit registration set, packed.

use super::ScscfConfig;
use super::binding::{Binding, Bindings, Likeness};
use super::compact::Compact;
use super::contacts::{Wanted, Wish};
use super::index::Index;
use super::profile::{Profile, ProfileId, Profiles, UserData};
use super::refresh::DECIDING;
use super::table::{Id, Table};
use crate::cx::sar::Charging;
use crate::cx::user_data::UserDataError;
use crate::sip::{Message, Uri};
use crate::time::Instant;
use foldhash::fast::FixedState;
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::num::NonZeroU16;

/// A registered implicit set of one IMPI.
pub(super) struct Registration {
    /// The SIP URI made from the IMPI, then the identities of the set in order, packed, zero octets between. That URI is
    /// nearly always one of them: there [`OF_IMPI`] stands for it.
    texts: Box<[u8]>,
    /// What is bound to each identity of the set.
    pub(super) bindings: Bindings,
    /// When the last challenge was answered: an age of it is at most a second too large.
    authenticated_at: Second,
    /// The earliest timer set, or [`NO_TIMER`]: one is set only if it must be earlier.
    timer: Second,
    profile: ProfileId,
    /// Re-registrations since then that were not challenged.
    unchallenged: u16,
    hss: Option<HssId>,
}

impl Registration {
    /// The private identity, packed.
    fn impi(&self) -> &[u8] {
        self.uri_of_impi().get(SCHEME..).unwrap_or_default()
    }

    /// The identities of the set in order, packed.
    fn identities(&self) -> impl Iterator<Item = &[u8]> {
        let set = self.pieces().skip(1);
        set.map(|packed| if packed == [OF_IMPI] { self.uri_of_impi() } else { packed })
    }

    fn uri_of_impi(&self) -> &[u8] {
        self.pieces().next().unwrap_or_default()
    }

    /// What lies between the zeros of the texts.
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = Some(&*self.texts);
        std::iter::from_fn(move || {
            let texts = rest?;
            let (piece, behind) = match memchr::memchr(0, texts) {
                Some(end) => (&texts[..end], Some(&texts[end + 1..])),
                None => (texts, None),
            };
            rest = behind;
            Some(piece)
        })
    }
}

/// All registrations of this S-CSCF.
#[derive(Debug)]
pub(super) struct Registrar {
    table: Table<Registration>,
    hasher: FixedState,
    profiles: Profiles,
    hss: Vec<Box<str>>,
    /// Those with an identity that other IMPIs have too, the HSS says: hardly ever any.
    shared: HashSet<Id, FixedState>,
    /// Made when a request for a user first comes.
    by_impu: Option<Box<Index>>,
    /// How their texts are packed.
    pub(super) compact: Compact,
}

/// An HSS by its Origin-Host; that of the first answer is asked ever after (TS 29.228 clause 5.4).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct HssId(NonZeroU16);

impl Registrar {
    /// Nobody is registered.
    pub(super) fn new(seed: u64, home: &str) -> Self {
        Self {
            table: Table::new(seed),
            hasher: FixedState::with_seed(seed),
            profiles: Profiles::default(),
            hss: Vec::new(),
            shared: HashSet::with_hasher(FixedState::with_seed(seed)),
            by_impu: None,
            compact: Compact::new(home),
        }
    }

    /// Nobody is registered with an S-CSCF that is to behave so.
    pub(super) fn of(config: &ScscfConfig, seed: u64) -> Self {
        let table = match config.restoration {
            // Tokens outlive a process then, and must not be mistaken for those of the next one.
            true => Table::with_ids_of_its_own(seed, (seed >> 32) as u32),
            false => Table::new(seed),
        };
        Self { table, profiles: Profiles::new(config.shared_ifc_sets.clone()), ..Self::new(seed, &config.realm) }
    }

    /// The registration of `impi` whose set holds `impu`, which is canonical.
    pub(super) fn find(&self, impi: &str, impu: &str) -> Option<Id> {
        self.of_impi(impi).find(|(_, r)| self.holds(r, impu)).map(|(id, _)| id)
    }

    /// The registrations, of whatever IMPI, whose sets hold `impu`, which is canonical.
    pub(super) fn serving(&mut self, impu: &str) -> Vec<Id> {
        if self.by_impu.is_none() {
            let mut index = Index::new(self.hasher.clone());
            for (id, registration) in self.table.iter() {
                self.identities(registration).for_each(|(impu, _)| index.insert(&canonical(impu), id));
            }
            self.by_impu = Some(Box::new(index));
        }
        let found = self.by_impu.iter().flat_map(|index| index.find(impu)).filter_map(|slot| self.table.at(slot));
        found.filter(|(_, r)| self.holds(r, impu)).map(|(id, _)| id).collect()
    }

    /// True when the set of this registration holds `impu`, which is canonical.
    pub(super) fn is_of(&self, id: Id, impu: &str) -> bool {
        self.table.get(id).is_some_and(|r| self.holds(r, impu))
    }

    /// The identities of a set in order, and whether each is stated in P-Associated-URI (it is not barred).
    pub(super) fn identities<'r>(
        &'r self,
        registration: &'r Registration,
    ) -> impl Iterator<Item = (String, bool)> + 'r {
        let profile = self.profiles.get(registration.profile);
        let identities = registration.identities().enumerate();
        identities.map(|(n, packed)| (self.compact.text(packed), profile.is_associated(n)))
    }

    /// The registrations of `impi`.
    pub(super) fn all_of_impi(&self, impi: &str) -> Vec<Id> {
        self.of_impi(impi).map(|(id, _)| id).collect()
    }

    /// The next re-registration is challenged, whatever the policy.
    pub(super) fn challenge_next(&mut self, id: Id) {
        if let Some(r) = self.table.get_mut(id) {
            r.unchallenged = MUST_BE_CHALLENGED;
        }
    }

    /// True when [`Registrar::challenge_next`] was called since the last challenge that was answered.
    pub(super) fn must_be_challenged(&self, id: Id) -> bool {
        self.table.get(id).is_some_and(|r| r.unchallenged == MUST_BE_CHALLENGED)
    }

    /// Charging addresses as pushed: ecf primary and secondary, ccf primary and secondary.
    pub(super) fn charging_names(&self, registration: &Registration) -> [Option<Box<str>>; 4] {
        self.profiles.get(registration.profile).charging_names().clone()
    }

    /// Other charging addresses count from now on.
    pub(super) fn set_charging(&mut self, id: Id, charging: Charging<'_>) {
        let Some(registration) = self.table.get_mut(id) else { return };
        let profile = self.profiles.charged_otherwise(registration.profile, charging);
        self.profiles.release(std::mem::replace(&mut registration.profile, profile));
    }

    /// True when `impi` has registered any identity.
    pub(super) fn knows(&self, impi: &str) -> bool {
        self.of_impi(impi).next().is_some()
    }

    /// The registration, if it is still there.
    pub(super) fn get(&self, id: Id) -> Option<&Registration> {
        self.table.get(id)
    }

    /// All registrations.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Id, &Registration)> {
        self.table.iter()
    }

    /// How many sets are registered.
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// True when a REGISTER of this Call-ID and CSeq is older than a binding.
    pub(super) fn refuses(&self, id: Id, call_id: &str, cseq: u32) -> bool {
        self.bindings(id).iter().any(|b| b.refuses(call_id, cseq, &self.compact))
    }

    /// When the last challenge was answered, and how many re-registrations went without since.
    pub(super) fn authentication(&self, id: Id) -> Option<(Instant, u32)> {
        self.table.get(id).map(|r| (Instant::from_secs(r.authenticated_at.into()), r.unchallenged.into()))
    }

    /// One more re-registration without challenge.
    pub(super) fn count_unchallenged(&mut self, id: Id) {
        if let Some(r) = self.table.get_mut(id) {
            r.unchallenged = r.unchallenged.saturating_add(1).min(MUST_BE_CHALLENGED - 1);
        }
    }

    /// The challenge was answered.
    pub(super) fn authenticated(&mut self, id: Id, now: Instant) {
        if let Some(r) = self.table.get_mut(id) {
            (r.authenticated_at, r.unchallenged) = (second_before(now), 0);
        }
    }

    /// True unless `wish` binds a Contact that is neither bound already nor a flow of its own.
    pub(super) fn knows_contacts(&self, id: Id, wish: &Wish<'_>) -> bool {
        let Wish::Bind(wanted) = wish else { return true };
        let new = |w: &&Wanted<'_>| !w.expires.is_zero() && w.flow.is_none();
        wanted.iter().filter(new).all(|w| self.bindings(id).iter().any(|b| b.is_of(&w.key(), &self.compact)))
    }

    /// The bindings of a registration.
    pub(super) fn bindings(&self, id: Id) -> &[Binding] {
        self.table.get(id).map_or(&[], |r| r.bindings.as_slice())
    }

    /// The only binding of each registration of `impi` that has but one.
    pub(super) fn bound_alone(&self, impi: &str) -> impl Iterator<Item = (Id, &Binding)> {
        self.of_impi(impi).filter_map(|(id, registration)| match &registration.bindings {
            Bindings::One(binding) => Some((id, binding)),
            Bindings::Many(_) => None,
        })
    }

    /// The only binding of a registration.
    pub(super) fn only_binding(&mut self, id: Id) -> Option<&mut Binding> {
        match &mut self.table.get_mut(id)?.bindings {
            Bindings::One(binding) => Some(binding),
            Bindings::Many(_) => None,
        }
    }

    /// A keyed hash of what decides what a REGISTER asks for.
    pub(super) fn likeness(&self, register: &Message<'_>) -> Likeness {
        let mut hasher = self.hasher.build_hasher();
        register.write_lines(DECIDING, &mut hasher);
        Likeness::new(hasher.finish()).unwrap_or(Likeness::MIN)
    }

    /// Takes the bindings out, to be changed and [`Registrar::bind`]ed again.
    pub(super) fn take_bindings(&mut self, id: Id) -> Vec<Binding> {
        self.table.get_mut(id).map_or_else(Vec::new, |r| r.bindings.take())
    }

    /// Replaces the bindings. Returns the deadline that needs a timer, if one is needed.
    pub(super) fn bind(&mut self, id: Id, bindings: Vec<Binding>) -> Option<Instant> {
        self.table.get_mut(id)?.bindings = bindings.into();
        self.deadline(id)
    }

    /// When the first binding ends, if that needs a timer.
    pub(super) fn deadline(&mut self, id: Id) -> Option<Instant> {
        let registration = self.table.get_mut(id)?;
        let next = registration.bindings.next_expiry()?;
        if registration.timer <= second_before(next) {
            return None;
        }
        registration.timer = second_before(next).saturating_add(1);
        Some(next)
    }

    /// Something other than a binding comes due at `at`. Returns the deadline that needs a timer, if one is needed.
    pub(super) fn wake(&mut self, id: Id, at: Instant) -> Option<Instant> {
        let registration = self.table.get_mut(id)?;
        // The first binding has its timer, whatever its fraction of a second.
        let is_after_binding = registration.bindings.next_expiry().is_some_and(|next| next <= at);
        if is_after_binding || registration.timer <= second_before(at) {
            return None;
        }
        registration.timer = second_before(at).saturating_add(1);
        Some(at)
    }

    /// The head of the list of watchers; [`super::table::NONE`] where nobody watches.
    pub(super) fn watchers(&self, id: Id) -> u32 {
        self.table.mark(id)
    }

    /// The list of watchers has another head.
    pub(super) fn set_watchers(&mut self, id: Id, head: u32) {
        self.table.set_mark(id, head);
    }

    /// A timer of the registration has run down.
    pub(super) fn timer_over(&mut self, id: Id) {
        if let Some(r) = self.table.get_mut(id) {
            r.timer = NO_TIMER;
        }
    }

    /// Adds a registration without bindings.
    pub(super) fn insert(&mut self, now: Instant, impi: &str, data: UserData<'_>) -> Id {
        let registration = Registration {
            texts: self.pack(impi, &data.identities),
            bindings: Bindings::Many(Vec::new()),
            authenticated_at: second_before(now),
            timer: NO_TIMER,
            profile: data.profile,
            unchallenged: 0,
            hss: None,
        };
        let hash = self.hasher.hash_one(impi);
        let id = self.table.insert(hash, registration);
        self.index(id, Index::insert);
        id
    }

    /// Takes newer user data.
    pub(super) fn update(&mut self, id: Id, impi: &str, data: UserData<'_>) {
        let texts = self.pack(impi, &data.identities);
        self.index(id, Index::remove);
        let Some(registration) = self.table.get_mut(id) else { return self.discard(data) };
        registration.texts = texts;
        // The identity that a REGISTER names may be in it no more.
        if let Bindings::One(binding) = &mut registration.bindings {
            binding.forget_likeness();
        }
        self.profiles.release(std::mem::replace(&mut registration.profile, data.profile));
        self.index(id, Index::insert);
    }

    /// Reads user data, which must then be inserted, updated or discarded.
    pub(super) fn user_data<'x>(
        &mut self,
        xml: &'x [u8],
        charging: Option<Charging<'_>>,
    ) -> Result<UserData<'x>, UserDataError> {
        self.profiles.read(xml, charging)
    }

    /// Gives up user data.
    pub(super) fn discard(&mut self, data: UserData<'_>) {
        self.profiles.release(data.profile);
    }

    /// True when no identity of the set may be registered.
    pub(super) fn is_all_barred(&self, data: &UserData<'_>) -> bool {
        self.profiles.get(data.profile).is_all_barred()
    }

    /// Ends a registration.
    pub(super) fn remove(&mut self, id: Id) -> Option<Registration> {
        self.index(id, Index::remove);
        self.shared.remove(&id);
        let registration = self.table.remove(id)?;
        self.profiles.release(registration.profile);
        Some(registration)
    }

    /// The private identity of a registration.
    pub(super) fn impi(&self, registration: &Registration) -> String {
        self.compact.text(registration.impi())
    }

    /// The default public identity: the first that is stated in P-Associated-URI. Where all are barred, which only an
    /// emergency registration may be, the first of the set.
    pub(super) fn default_impu(&self, registration: &Registration) -> String {
        let first = || registration.identities().next();
        self.associated(registration).next().or_else(first).map_or_else(String::new, |packed| self.compact.text(packed))
    }

    /// Appends the identities of the set as P-Associated-URI states them, the default first. False: none is stated.
    pub(super) fn write_associated(&self, registration: &Registration, out: &mut Vec<u8>) -> bool {
        let mut states_any = false;
        for packed in self.associated(registration) {
            out.extend_from_slice(if states_any { b", <" } else { b"<" });
            self.compact.unpack(packed, out);
            out.push(b'>');
            states_any = true;
        }
        states_any
    }

    /// The identity by which application servers know a service profile of a registration: the first that is not barred.
    pub(super) fn identity_of_service(&self, registration: &Registration, service: usize) -> Option<String> {
        let profile = self.profiles.get(registration.profile);
        let set = registration.identities().enumerate();
        let mut named = set.filter(|(n, _)| profile.is_associated(*n) && profile.service_of(*n) == Some(service));
        named.next().map(|(_, packed)| self.compact.text(packed))
    }

    /// The service profile of an identity of the set, which is canonical.
    pub(super) fn service_of(&self, registration: &Registration, impu: &str) -> Option<usize> {
        let n = self.identities(registration).position(|(identity, _)| is_canonically(&identity, impu))?;
        self.profiles.get(registration.profile).service_of(n)
    }

    /// What is wrong with the filter criteria of user data read since the last look.
    pub(super) fn take_criteria_faults(&mut self) -> Vec<String> {
        self.profiles.take_faults()
    }

    /// The profile of a registration.
    pub(super) fn profile(&self, registration: &Registration) -> &Profile {
        self.profiles.get(registration.profile)
    }

    /// The profile of user data that were read.
    pub(super) fn profile_of(&self, profile: ProfileId) -> &Profile {
        self.profiles.get(profile)
    }

    /// Counts one user of a profile less.
    pub(super) fn release(&mut self, profile: ProfileId) {
        self.profiles.release(profile);
    }

    /// Remembers the HSS that answered.
    pub(super) fn hss_named(&mut self, host: &str) -> HssId {
        let at = self.hss.iter().position(|h| **h == *host).unwrap_or_else(|| {
            self.hss.push(host.into());
            self.hss.len() - 1
        });
        // HSSs beyond 65,535 share a name here; Destination-Host is a hint then.
        HssId(u16::try_from(at + 1).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MAX))
    }

    /// Origin-Host of an HSS.
    pub(super) fn hss_host(&self, id: HssId) -> Option<&str> {
        self.hss.get(usize::from(id.0.get()) - 1).map(|h| &**h)
    }

    /// Which HSS serves a registration.
    pub(super) fn hss_of(&self, id: Id) -> Option<HssId> {
        self.table.get(id)?.hss
    }

    /// An HSS has answered for a registration, or the one known is not reached any more.
    pub(super) fn set_hss(&mut self, id: Id, hss: Option<HssId>) {
        if let Some(r) = self.table.get_mut(id) {
            r.hss = hss;
        }
    }

    /// True when the last SAA named other IMPIs that share an identity.
    pub(super) fn is_shared(&self, id: Id) -> bool {
        self.shared.contains(&id)
    }

    /// Whether the SAA names other IMPIs that share an identity.
    pub(super) fn set_shared(&mut self, id: Id, is_shared: bool) {
        if is_shared {
            self.shared.insert(id);
        } else {
            self.shared.remove(&id);
        }
    }

    /// Enters or takes out the identities of a registration, if there is an index.
    fn index(&mut self, id: Id, change: impl Fn(&mut Index, &str, Id)) {
        let Some(mut index) = self.by_impu.take() else { return };
        if let Some(registration) = self.table.get(id) {
            self.identities(registration).for_each(|(impu, _)| change(&mut index, &canonical(impu), id));
        }
        self.by_impu = Some(index);
    }

    fn of_impi(&self, impi: &str) -> impl Iterator<Item = (Id, &Registration)> {
        self.table.chain(self.hasher.hash_one(impi)).filter(move |(_, r)| self.compact.is(r.impi(), impi))
    }

    fn holds(&self, registration: &Registration, impu: &str) -> bool {
        let mut set = registration.identities();
        set.any(|packed| self.compact.is(packed, impu))
            || registration.identities().any(|packed| is_canonically(&self.compact.text(packed), impu))
    }

    fn associated<'r>(&'r self, registration: &'r Registration) -> impl Iterator<Item = &'r [u8]> {
        let profile = self.profiles.get(registration.profile);
        let identities = registration.identities().enumerate();
        identities.filter(|(n, _)| profile.is_associated(*n)).map(|(_, packed)| packed)
    }

    fn pack(&self, impi: &str, identities: &[Cow<'_, str>]) -> Box<[u8]> {
        let mut texts = Vec::with_capacity(128);
        self.compact.pack("sip:", &mut texts);
        self.compact.pack(impi, &mut texts);
        for identity in identities {
            texts.push(0);
            match identity.strip_prefix("sip:") {
                Some(rest) if rest == impi => texts.push(OF_IMPI),
                _ => self.compact.pack(identity, &mut texts),
            }
        }
        // A copy of the final size: to cut the buffer down would leave holes in memory.
        texts.as_slice().into()
    }
}

impl fmt::Debug for Registration {
    /// Shows no identity.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("next_expiry", &self.bindings.next_expiry()).finish_non_exhaustive()
    }
}

/// Whole seconds since the run began.
pub(super) type Second = u32;

/// The last whole second at or before `at`. A run of a century stops here.
pub(super) fn second_before(at: Instant) -> Second {
    Second::try_from(at.as_micros() / 1_000_000).unwrap_or(Second::MAX - 1)
}

/// Octets of `sip:`, packed.
const SCHEME: usize = 1;

/// Never in what [`Compact`] has packed.
const OF_IMPI: u8 = 0x1d;

/// In place of a number of re-registrations without challenge.
const MUST_BE_CHALLENGED: u16 = u16::MAX;

/// Later than any.
const NO_TIMER: Second = Second::MAX;

pub(super) fn canonical(identity: String) -> String {
    let mut canonical = String::with_capacity(identity.len());
    match Uri::parse(&identity) {
        Ok(uri) => uri.canonical(&mut canonical),
        Err(_) => return identity,
    }
    canonical
}

/// True when `identity` in its canonical form is `impu`.
pub(super) fn is_canonically(identity: &str, impu: &str) -> bool {
    if identity == impu {
        return true;
    }
    let mut canonical = String::with_capacity(identity.len());
    Uri::parse(identity).is_ok_and(|uri| {
        uri.canonical(&mut canonical);
        canonical == impu
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_made_from_the_impi_is_kept_once() {
        let registrar = Registrar::new(1, "home.example");
        for impi in ["001010000000001@home.example", "user@else.where", "sip:odd@x"] {
            let own = format!("sip:{impi}");
            let identities = [Cow::Borrowed("tel:+1"), Cow::Owned(own.clone()), Cow::Borrowed("sip:+1@home.example")];
            let texts = registrar.pack(impi, &identities);
            assert_eq!(texts.iter().filter(|b| **b == OF_IMPI).count(), 1, "{impi}");
            let bindings = Bindings::Many(Vec::new());
            let registration = Registration {
                texts,
                bindings,
                authenticated_at: 0,
                timer: NO_TIMER,
                profile: ProfileId::default(),
                unchallenged: 0,
                hss: None,
            };
            assert_eq!(registrar.impi(&registration), impi);
            let set: Vec<String> = registration.identities().map(|packed| registrar.compact.text(packed)).collect();
            assert_eq!(set, identities);
        }
    }

    #[test]
    fn an_entry_is_small() {
        // Issue 3: at most 1 kB for a registered subscriber over all elements. This is the fixed part here.
        assert!(size_of::<Registration>() <= 80, "{}", size_of::<Registration>());
    }
}
