//! One entry of a subscriber file.

use super::access::Access;
use super::common::Common;
use super::value::{IMPI, IMPU, IMSI, MSISDN, NONCE, OCTETS_16, RANGE, RESPONSE};
use super::{Provision, counted_up};
use crate::config::fault::Collector;
use crate::config::keys::Keys;
use crate::config::mask;
use crate::config::read::{Fields, Path};
use crate::config::yaml::Node;
use crate::cx::user_data::{IdentityType, PublicIdentity, ServiceProfile};
use crate::hss::Subscriber;
use crate::hss::store::{AuthVectors, RangeKeys, RecordedVector, SubscriberRange};
use crate::identity::{Impi, Realm, impi_from_imsi};
use crate::sip::Uri;

/// Reads one subscriber or range; what is wrong is noted.
pub(super) fn read_subscriber(
    node: &Node,
    path: Path<'_>,
    defaults: &Common,
    profile_realm: &str,
    faults: &mut Collector,
) -> Option<Provision> {
    let before = faults.len();
    let mut f = Fields::new(node, path, faults);
    let imsi = f.leaf_at("imsi", IMSI, faults);
    let access = Access::read(&mut f, faults);
    let impus = f.list("impus", IMPU, faults);
    // Without USIM the identities may say all.
    let has_no_imsi = f.get("imsi").is_none() && access.is_some() && impus.as_ref().is_some_and(|i| !i.is_empty());
    if f.get("imsi").is_none() && !has_no_imsi {
        f.missing("imsi", IMSI.expected, faults);
    }
    let own = Common::read(&mut f, faults);
    let msisdn = f.leaf_at("msisdn", MSISDN, faults);
    let impi = f.leaf("impi", IMPI, faults);
    let barred = f.list("barred", IMPU, faults).unwrap_or_default();
    let range = f.leaf_at("range", RANGE, faults);
    let recorded = if access.is_none() { recorded(&mut f, faults) } else { None };
    let keys = match &recorded {
        _ if access.is_some() => None,
        Some(_) => {
            for key in mask::SECRET_KEYS {
                if let Some(node) = f.get(key) {
                    let path = Path::Key(&f.path, key);
                    faults.at(node, path, "found beside recorded, one of the two expected".to_owned());
                }
            }
            None
        }
        None => own.keys(defaults, &f, faults),
    };
    let common = own.over(defaults);
    let (imsi_node, imsi) = if has_no_imsi { (node, Box::default()) } else { imsi? };
    let first_impu = impus.as_ref().and_then(|i| i.first()).filter(|_| has_no_imsi);
    let realm = match first_impu {
        Some(impu) => common.own_realm(Uri::parse(impu).map_or(profile_realm, |uri| uri.host)),
        None => common.realm(&imsi, profile_realm),
    };
    let impi = impi.unwrap_or_else(|| match first_impu {
        Some(impu) => Impi::new(Uri::parse(impu).map_or(&impu[4..], |uri| uri.implied_impi())),
        None => impi_from_imsi(&imsi, &realm),
    });
    let impus = impus.unwrap_or_else(|| implicit_set(&imsi, msisdn.as_ref().map(|(_, m)| &**m), &realm));
    // With a fault already found the set may lack what the file has.
    let sound = faults.len() == before;
    for identity in barred.iter().filter(|_| sound) {
        if !impus.contains(identity) {
            let at = f.get("barred").unwrap_or(node);
            let message = format!("\"{identity}\" found, an identity of the set expected: {}", impus.join(", "));
            faults.at(at, Path::Key(&f.path, "barred"), message);
        }
    }
    if sound && impus.is_empty() {
        let at = f.get("impus").unwrap_or(node);
        faults.at(at, Path::Key(&f.path, "impus"), "nothing to register, one identity expected");
    }
    if keys.as_ref().is_some_and(Keys::have_hole) && imsi.len() != 15 {
        let message = format!("\"{imsi}\" found, 15 digits expected because a key holds {{imsi}}");
        faults.at(imsi_node, Path::Key(&f.path, "imsi"), message);
        return None;
    }
    let auth = match (&recorded, &keys) {
        (Some(vectors), _) => Some(AuthVectors::Recorded(vectors.clone())),
        (None, Some(keys)) => keys.for_imsi(&imsi).map(AuthVectors::Algorithm),
        (None, None) => access.as_ref().and_then(|a| a.vectors(impi.as_str(), realm.as_str())),
    };
    let identity = |identity: &str| PublicIdentity {
        identity: identity.to_owned(),
        barred: barred.iter().any(|b| **b == *identity),
        kind: IdentityType::PublicUserIdentity,
        wildcard: None,
        display_name: None,
    };
    let profile = ServiceProfile {
        identities: impus.iter().map(|i| identity(i)).collect(),
        media_profile: common.media_profile,
        filter_criteria: common.filter_criteria.clone().unwrap_or_default(),
        shared_ifc_sets: common.shared_ifc_sets.clone().unwrap_or_default(),
    };
    let subscriber = auth.map(|auth| Subscriber {
        impi,
        profiles: vec![profile],
        auth,
        amf: common.amf.unwrap_or([0x80, 0x00]),
        sqn: common.sqn.unwrap_or(0),
        capabilities: common.capabilities.clone(),
        visited_networks: common.visited_networks.clone(),
        charging: common.charging.clone().unwrap_or_default(),
    });
    let range = range.map(|(at, count)| {
        let mut checker = RangeCheck { f: &f, at, count, imsi: &imsi, faults };
        checker.check(msisdn.as_ref(), subscriber.as_ref(), keys.as_ref())
    });
    let at = (node.source, node.id);
    let shown = f.path.to_string();
    f.finish(faults);
    let subscriber = subscriber?;
    let range = match range {
        Some(None) => return None,
        Some(Some((keys, count))) => Some(SubscriberRange {
            first: subscriber.clone(),
            imsi: imsi.clone(),
            msisdn: msisdn.map(|(_, m)| m),
            count,
            keys,
        }),
        None => None,
    };
    Some(Provision { at, path: shown, imsi, realm, keys, access, subscriber, range })
}

/// What only holds for a range.
struct RangeCheck<'a, 'n> {
    f: &'a Fields<'n>,
    at: &'n Node,
    count: u64,
    imsi: &'a str,
    faults: &'a mut Collector,
}

impl RangeCheck<'_, '_> {
    fn check(
        &mut self,
        msisdn: Option<&(&Node, Box<str>)>,
        subscriber: Option<&Subscriber>,
        keys: Option<&Keys>,
    ) -> Option<(RangeKeys, u64)> {
        let last = self.count - 1;
        if counted_up(self.imsi, last).is_none() {
            return self.fault(format!("{} found, fewer expected: the IMSI would need another digit", self.count));
        }
        if let Some((_, msisdn)) = msisdn
            && counted_up(&msisdn[1..], last).is_none()
        {
            return self.fault(format!("{} found, fewer expected: the MSISDN would need another digit", self.count));
        }
        let subscriber = subscriber?;
        let msisdn = msisdn.map(|(_, m)| &m[1..]);
        let counts = |text: &str| text.contains(self.imsi) || msisdn.is_some_and(|m| text.contains(m));
        let identities = subscriber.profiles.iter().flat_map(|p| &p.identities).map(|i| i.identity.as_str());
        let fixed = std::iter::once(subscriber.impi.as_str()).chain(identities).find(|i| !counts(i));
        if let Some(identity) = fixed {
            return self
                .fault(format!("\"{identity}\" would be the same for all, the digits of the IMSI expected in it"));
        }
        match (keys.map(Keys::range), &subscriber.auth) {
            (Some(Some(keys)), _) => Some((keys, self.count)),
            (Some(None), _) => self.fault("a range with tuak found, milenage or xor expected".to_owned()),
            (None, AuthVectors::Recorded(_)) => {
                self.fault("a range with recorded vectors found, keys expected".to_owned())
            }
            (None, AuthVectors::Algorithm(_)) => None,
            (None, _) => self.fault("a range without keys found, keys expected".to_owned()),
        }
    }

    fn fault<T>(&mut self, message: String) -> Option<T> {
        self.faults.at(self.at, Path::Key(&self.f.path, "range"), message);
        None
    }
}

fn recorded(f: &mut Fields<'_>, faults: &mut Collector) -> Option<Vec<RecordedVector>> {
    let items = f.items("recorded", faults)?;
    let path = Path::Key(&f.path, "recorded");
    if items.is_empty() {
        faults.at(f.node_of("recorded"), path, "an empty list found, one vector at least expected");
    }
    let mut vectors = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let mut v = Fields::new(item, Path::Index(&path, i), faults);
        let challenge = match v.get("nonce") {
            Some(_) => v.leaf("nonce", NONCE, faults),
            None => {
                let halves = (v.leaf("rand", OCTETS_16, faults), v.leaf("autn", OCTETS_16, faults));
                for (key, half) in [("rand", halves.0), ("autn", halves.1)] {
                    if half.is_none() && v.get(key).is_none() {
                        v.missing(key, "nonce, or rand and autn,", faults);
                    }
                }
                halves.0.zip(halves.1)
            }
        };
        let response = v.leaf("response", RESPONSE, faults);
        if response.is_none() && v.get("response").is_none() {
            v.missing("response", RESPONSE.expected, faults);
        }
        v.finish(faults);
        if let (Some((rand, autn)), Some(response)) = (challenge, response) {
            vectors.push(RecordedVector { rand, autn, response });
        }
    }
    Some(vectors)
}

/// What TS 23.003 clause 13 makes of an IMSI and an MSISDN.
fn implicit_set(imsi: &str, msisdn: Option<&str>, realm: &Realm) -> Vec<Box<str>> {
    let mut set = vec![format!("sip:{imsi}@{realm}").into()];
    if let Some(msisdn) = msisdn {
        set.push(format!("sip:{msisdn}@{realm}").into());
        set.push(format!("tel:{msisdn}").into());
    }
    set
}
