//! User data from the HSS: the identities of one subscriber apart from what many subscribers have in common.

use crate::cx::filter::FilterCriteria;
use crate::cx::sar::Charging;
use crate::cx::user_data::{
    IdentityType, ImsSubscription, InitialFilterCriteria, PublicIdentity, ServiceProfile, UserDataError,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};

/// What subscribers of the same shape share: everything but the identities themselves.
#[derive(Debug)]
pub(super) struct Profile {
    /// One for each identity, in order.
    identities: Box<[Identity]>,
    /// Filter criteria and services, without identities.
    services: Box<[ServiceProfile]>,
    /// Of Charging-Information: ecf primary and secondary, ccf primary and secondary.
    charging: [Option<Box<str>>; 4],
    /// The filter criteria of each of `services`, compiled; empty where none has any.
    criteria: Box<[FilterCriteria]>,
}

/// Criteria are made from services, once the profile is found to be new.
impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        self.identities == other.identities && self.services == other.services && self.charging == other.charging
    }
}

/// What is known of one identity besides its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Identity {
    /// Index of its service profile.
    service: u16,
    /// Neither barred nor wildcarded: stated in P-Associated-URI.
    associated: bool,
}

/// User data as an assignment brings them.
#[derive(Debug)]
pub(super) struct UserData<'x> {
    /// The identities of the set, in order.
    pub(super) identities: Vec<Cow<'x, str>>,
    /// The rest; it counts as used once, see [`Profiles::release`].
    pub(super) profile: ProfileId,
}

impl Profile {
    /// True when no identity may be registered (TS 24.229 clause 5.4.1.2.2).
    pub(super) fn is_all_barred(&self) -> bool {
        self.identities.iter().all(|i| !i.associated)
    }

    /// True when the `n`th identity is stated in P-Associated-URI.
    pub(super) fn is_associated(&self, n: usize) -> bool {
        self.identities.get(n).is_some_and(|i| i.associated)
    }

    /// The service profile of the `n`th identity.
    pub(super) fn service_of(&self, n: usize) -> Option<usize> {
        self.identities.get(n).map(|i| i.service.into())
    }

    /// True when application servers may want to see requests.
    pub(super) fn has_criteria(&self) -> bool {
        !self.criteria.is_empty()
    }

    /// The filter criteria of each service profile; none where no service profile has any.
    pub(super) fn criteria(&self) -> &[FilterCriteria] {
        &self.criteria
    }

    /// True when a service profile has criteria for a user who is not registered (ProfilePartIndicator).
    pub(super) fn serves_unregistered(&self, service: usize) -> bool {
        self.criteria.get(service).is_some_and(FilterCriteria::serve_unregistered)
    }

    /// The application servers of all filter criteria.
    pub(super) fn servers(&self) -> impl Iterator<Item = &str> {
        self.criteria.iter().flat_map(FilterCriteria::iter).map(|criterion| criterion.server.server_name.as_str())
    }

    fn compile(&mut self, shared: &SharedSets, faults: &mut Vec<String>) {
        let has_any = |s: &ServiceProfile| !s.filter_criteria.is_empty() || !s.shared_ifc_sets.is_empty();
        if self.services.iter().any(has_any) {
            let mut unreadable = Vec::new();
            let compiled = self.services.iter().map(|service| {
                let mut all = Cow::Borrowed(&*service.filter_criteria);
                for id in &service.shared_ifc_sets {
                    match shared.get(id) {
                        Some(set) => all.to_mut().extend_from_slice(set),
                        None => faults.push(format!("shared iFC set {id} is not known to this S-CSCF")),
                    }
                }
                FilterCriteria::compile(&all, &mut unreadable)
            });
            self.criteria = compiled.collect();
            faults.extend(unreadable.iter().map(ToString::to_string));
        }
    }

    /// Charging addresses: ecf primary and secondary, ccf primary and secondary.
    pub(super) const fn charging_names(&self) -> &[Option<Box<str>>; 4] {
        &self.charging
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
    /// Documents seen lately, without what differs between subscribers: such a document need not be parsed again.
    shapes: VecDeque<Shape>,
    /// The criteria that SharedIFCSetID stands for.
    shared: SharedSets,
    /// Of criteria compiled since the last look.
    faults: Vec<String>,
}

/// A document with the identities taken out.
#[derive(Debug)]
struct Shape {
    skeleton: Skeleton,
    charging: [Option<Box<str>>; 4],
    /// Counts as used once.
    profile: ProfileId,
}

/// One of [`Profiles`].
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct ProfileId(u32);

/// Sets of filter criteria that are known here, by SharedIFCSetID (TS 29.228 annex B.2.1).
type SharedSets = BTreeMap<u32, Vec<InitialFilterCriteria>>;

impl Profiles {
    /// With these shared sets.
    pub(super) fn new(shared: SharedSets) -> Self {
        Self { shared, ..Self::default() }
    }

    /// Reads user data.
    pub(super) fn read<'x>(
        &mut self,
        xml: &'x [u8],
        charging: Option<Charging<'_>>,
    ) -> Result<UserData<'x>, UserDataError> {
        let charging = names(charging.unwrap_or_default());
        let charged_so = |s: &&Shape| s.charging.iter().map(Option::as_deref).eq(charging);
        let mut known = self.shapes.iter().filter(charged_so);
        let text = simdutf8::basic::from_utf8(xml).ok();
        if let Some((identities, profile)) = known.find_map(|s| Some((s.skeleton.identities(text?)?, s.profile))) {
            self.slots[profile.0 as usize].1 += 1;
            return Ok(UserData { identities, profile });
        }
        let split = text.and_then(split);
        let (identities, profile) = parse(xml, charging)?;
        let profile = self.share(profile);
        if let Some((skeleton, _)) = split.filter(|(_, found)| identities.iter().eq(found)) {
            self.slots[profile.0 as usize].1 += 1;
            self.shapes.push_front(Shape { skeleton, charging: charging.map(|name| name.map(Into::into)), profile });
            if self.shapes.len() > SHAPES {
                let oldest = self.shapes.pop_back().expect("there are more than none");
                self.release(oldest.profile);
            }
        }
        Ok(UserData { identities: identities.into_iter().map(Cow::Owned).collect(), profile })
    }

    /// Counts one more user of `profile`.
    fn share(&mut self, mut profile: Profile) -> ProfileId {
        // Networks have few shapes. Where they have many, a bounded search only costs some memory.
        let known = self.slots.iter().rev().take(SEARCHED).position(|(p, _)| p.as_ref() == Some(&profile));
        let at = match known {
            Some(back) => self.slots.len() - 1 - back,
            None => {
                profile.compile(&self.shared, &mut self.faults);
                match self.slots.iter().position(|(p, _)| p.is_none()) {
                    Some(at) => {
                        self.slots[at].0 = Some(profile);
                        at
                    }
                    None => {
                        self.slots.push((Some(profile), 0));
                        self.slots.len() - 1
                    }
                }
            }
        };
        self.slots[at].1 += 1;
        ProfileId(u32::try_from(at).expect("fewer profiles than registrations"))
    }

    /// What is wrong with criteria compiled since the last look.
    pub(super) fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// The same profile with other charging addresses; it counts as used once more.
    pub(super) fn charged_otherwise(&mut self, id: ProfileId, charging: Charging<'_>) -> ProfileId {
        let Profile { identities, services, .. } = self.get(id);
        let charging = names(charging).map(|name| name.map(Into::into));
        let profile =
            Profile { identities: identities.clone(), services: services.clone(), charging, criteria: Box::default() };
        self.share(profile)
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

/// In the order in which a profile has them.
const fn names<'a>(charging: Charging<'a>) -> [Option<&'a str>; 4] {
    [charging.primary_event, charging.secondary_event, charging.primary_collection, charging.secondary_collection]
}

/// Identities in order, and the rest.
fn parse(xml: &[u8], charging: [Option<&str>; 4]) -> Result<(Vec<String>, Profile), UserDataError> {
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
    let charging = charging.map(|name| name.map(Into::into));
    let criteria = Box::default();
    Ok((texts, Profile { identities: identities.into(), services: services.into(), charging, criteria }))
}

/// A document without PrivateID and identities.
#[derive(Debug)]
struct Skeleton {
    text: String,
    /// Where a text was taken out, and whether it is an identity.
    gaps: Vec<(usize, bool)>,
}

impl Skeleton {
    /// The identities of a document of this shape; `None` for other documents.
    fn identities<'x>(&self, xml: &'x str) -> Option<Vec<Cow<'x, str>>> {
        let mut identities = Vec::with_capacity(self.gaps.len());
        let (mut rest, mut from) = (xml, 0);
        for &(gap, is_identity) in &self.gaps {
            let (text, behind) = plain_text(rest.strip_prefix(self.text.get(from..gap)?)?)?;
            if is_identity {
                identities.push(Cow::Borrowed(text));
            }
            (rest, from) = (behind, gap);
        }
        (Some(rest) == self.text.get(from..)).then_some(identities)
    }
}

/// The text up to the next tag, and what follows; `None` for references, white space and wildcards, which are for the
/// parser.
fn plain_text(xml: &str) -> Option<(&str, &str)> {
    let (text, behind) = xml.split_at(memchr::memchr(b'<', xml.as_bytes())?);
    let is_plain = text.bytes().fold(true, |plain, b| plain & (b != b'&') & (b != b'!') & (b > b' '));
    is_plain.then_some((text, behind))
}

/// The document without PrivateID and identities, and the identities; `None` where one of them is not plain text.
/// Whether every text found is an identity is for the caller to check: comments may hold anything.
fn split(xml: &str) -> Option<(Skeleton, Vec<&str>)> {
    let mut skeleton = Skeleton { text: String::with_capacity(xml.len()), gaps: Vec::new() };
    let mut identities = Vec::with_capacity(4);
    let mut rest = xml;
    while let Some(start) = memchr::memchr(b'I', rest.as_bytes()) {
        let (before, behind) = rest.split_at(start);
        skeleton.text.push_str(before);
        let (tag, is_identity) = match behind {
            _ if behind.starts_with(IDENTITY) && before.ends_with('<') => (IDENTITY, true),
            _ if behind.starts_with(PRIVATE_ID) && before.ends_with("<Private") => (PRIVATE_ID, false),
            _ => {
                skeleton.text.push('I');
                rest = &behind[1..];
                continue;
            }
        };
        skeleton.text.push_str(tag);
        skeleton.gaps.push((skeleton.text.len(), is_identity));
        let (text, behind) = plain_text(&behind[tag.len()..])?;
        if is_identity {
            identities.push(text);
        }
        rest = behind;
    }
    skeleton.text.push_str(rest);
    Some((skeleton, identities))
}

/// Barred identities are registered implicitly but never stated; neither are wildcarded ones.
fn is_associated(identity: &PublicIdentity) -> bool {
    let wildcarded = matches!(identity.kind, IdentityType::WildcardedPsi | IdentityType::WildcardedPublicUserIdentity);
    !identity.barred && !wildcarded && identity.wildcard.is_none()
}

const IDENTITY: &str = "Identity>";
const PRIVATE_ID: &str = "ID>";

/// How many documents are remembered.
const SHAPES: usize = 16;

/// How many profiles are compared before one counts as new.
const SEARCHED: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(impi: &str, impu: &str, more: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><IMSSubscription><PrivateID>{impi}</PrivateID><ServiceProfile><PublicIdentity>\
             <BarringIndication>1</BarringIndication><Identity>sip:{impi}</Identity></PublicIdentity><PublicIdentity>\
             <Identity>{impu}</Identity></PublicIdentity>{more}</ServiceProfile></IMSSubscription>"
        )
    }

    #[test]
    fn subscribers_of_one_shape_share_all_but_their_identities() {
        let mut profiles = Profiles::default();
        let (first, second) = (xml("a@x", "tel:+1", ""), xml("bb@x", "sip:b@y", ""));
        let first = profiles.read(first.as_bytes(), None).unwrap();
        let second = profiles.read(second.as_bytes(), None).unwrap();
        assert_eq!(
            (first.profile, &second.identities[..]),
            (second.profile, &["sip:bb@x".into(), "sip:b@y".into()][..])
        );
        assert!(second.identities.iter().all(|i| matches!(i, Cow::Borrowed(_))), "it was not parsed again");
        let profile = profiles.get(first.profile);
        assert_eq!((profile.is_associated(0), profile.is_associated(1), profile.is_all_barred()), (false, true, false));
        let third = xml("c@x", "tel:+3", "").replace("<BarringIndication>1", "<BarringIndication>0");
        let third = profiles.read(third.as_bytes(), None).unwrap();
        assert_ne!(third.profile, first.profile);
        assert!(profiles.get(third.profile).is_associated(0));
        let charging = Charging { primary_collection: Some("aaa://ccf"), ..Charging::default() };
        let fourth = xml("d@x", "tel:+4", "");
        let fourth = profiles.read(fourth.as_bytes(), Some(charging)).unwrap();
        assert_eq!(profiles.get(fourth.profile).charging().collect::<Vec<_>>(), [("ccf", "aaa://ccf")]);
    }

    #[test]
    fn what_a_comment_holds_is_no_identity() {
        let mut profiles = Profiles::default();
        for (comment, impu) in
            [("<!--<Identity>sip:evil@x</Identity>-->", "tel:+1"), ("<!--<Identity>sip:e@x</Identity>-->", "tel:+2")]
        {
            let xml = xml("a@x", impu, comment);
            let data = profiles.read(xml.as_bytes(), None).unwrap();
            assert_eq!(data.identities, ["sip:a@x", impu]);
        }
    }

    #[test]
    fn references_are_resolved() {
        let mut profiles = Profiles::default();
        for impu in ["sip:a&amp;b@x", "sip:c&amp;d@x"] {
            let xml = xml("a@x", impu, "");
            let data = profiles.read(xml.as_bytes(), None).unwrap();
            assert_eq!(data.identities[1], impu.replace("&amp;", "&"));
        }
    }

    #[test]
    fn a_profile_ends_with_its_last_user_and_the_memory_of_it_is_bounded() {
        let mut profiles = Profiles::default();
        for n in 0..100 {
            let more = format!("<Extension><SharedIFCSetID>{n}</SharedIFCSetID></Extension>");
            let xml = xml("a@x", "tel:+1", &more);
            let data = profiles.read(xml.as_bytes(), None).unwrap();
            profiles.release(data.profile);
        }
        assert!(profiles.slots.iter().filter(|(p, _)| p.is_some()).count() <= SHAPES);
    }
}
