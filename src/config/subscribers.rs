//! Subscriber files: `hss-data/*.yaml` to [`Store`]. `hss-data/lab.yaml` tells the keys.

use super::duplicates::{At, Identities};
use super::fault::{Collector, Faults};
use super::keys::{KeyText, Keys, Operator};
use super::profile::{Profile, capabilities};
use super::read::{Fields, Leaf, Path};
use super::source::{self, Sources};
use super::ue::Subscription;
use super::value::{HOST, NUMBER, REALM, TEXT};
use super::yaml::{self, Node};
use super::{Origin, mask};
use crate::aka::usim::Usim;
use crate::cx::user_data::{IdentityType, PublicIdentity, ServiceProfile};
use crate::hss::store::{AuthVectors, RecordedVector, SubscriberRange};
use crate::hss::{Store, Subscriber};
use crate::identity::{Impi, Impu, Realm, home_domain, impi_from_imsi};
use std::path::Path as FilePath;

/// What was provisioned.
#[derive(Debug)]
pub struct Subscribers {
    /// For the HSS.
    pub store: Store,
    /// The files, in the order in which they were read.
    pub origins: Vec<Origin>,
    simulated: Vec<Simulated>,
}

/// What a simulated UE needs of one subscriber or range.
#[derive(Debug)]
struct Simulated {
    imsi: Box<str>,
    count: u64,
    impi: Impi,
    impu: Impu,
    realm: Realm,
    sqn: u64,
    keys: Keys,
}

impl Subscribers {
    /// The `index`-th subscriber whose keys are known, ranges counted through.
    pub fn subscription(&self, mut index: u64) -> Option<Subscription> {
        for entry in &self.simulated {
            if index < entry.count {
                return entry.nth(index);
            }
            index -= entry.count;
        }
        None
    }

    /// The subscriber with this IMSI, if its keys are known.
    pub fn subscription_of(&self, imsi: &str) -> Option<Subscription> {
        let number = |imsi: &str| imsi.parse::<u64>().ok();
        let wanted = number(imsi)?;
        self.simulated.iter().find_map(|entry| {
            let index = wanted.checked_sub(number(&entry.imsi)?)?;
            (index < entry.count && entry.imsi.len() == imsi.len()).then(|| entry.nth(index)).flatten()
        })
    }
}

impl Simulated {
    fn nth(&self, index: u64) -> Option<Subscription> {
        let imsi = counted_up(&self.imsi, index)?;
        let renumbered = |text: &str| text.replacen(&*self.imsi, &imsi, 1);
        Some(Subscription {
            impi: Impi::new(renumbered(self.impi.as_str())),
            impu: Impu::new(renumbered(self.impu.as_str())),
            realm: self.realm.clone(),
            usim: Usim::new(self.keys.for_imsi(&imsi)?, self.sqn),
        })
    }
}

/// Reads a file, or all YAML files of a directory. The realm of `profile` is that of subscribers who name none.
pub fn load_subscribers(path: &FilePath, profile: &Profile) -> Result<Subscribers, Faults> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let files = match source::yaml_files(path) {
        Ok(files) => files,
        Err(why) => return Err(Faults::one(path.display().to_string(), "", why)),
    };
    let mut provisions = Vec::new();
    for file in files {
        let node = match source::read(&file) {
            Ok((origin, text)) => {
                let number = sources.add_file(&origin, text);
                yaml::parse(sources.text(number), number).map_err(|e| faults.syntax(number, e)).ok()
            }
            Err(why) => {
                let origin = Origin { path: file.display().to_string(), embedded: false };
                let number = sources.add_file(&origin, String::new());
                faults.whole(number, why);
                None
            }
        };
        if let Some(node) = node {
            read_file(&node, &profile.realm, &mut provisions, &mut faults);
        }
    }
    find_duplicates(&provisions, &mut faults);
    let mut store = Store::default();
    let mut simulated = Vec::new();
    if faults.is_empty() {
        for provision in provisions {
            simulated.extend(provision.simulated());
            let (at, path) = (provision.at, provision.path.clone());
            let added = match provision.range {
                Some(range) => store.add_range(range),
                None => store.add(provision.subscriber),
            };
            if let Err(duplicate) = added {
                faults.at_id(at.0, at.1, path, format!("{} found, another subscriber has it", duplicate.0));
            }
        }
    }
    let origins = sources.origins();
    faults.finish(&sources, Some(Subscribers { store, origins, simulated }))
}

/// A subscriber or a range, checked.
struct Provision {
    at: At,
    path: String,
    imsi: Box<str>,
    realm: Realm,
    keys: Option<Keys>,
    subscriber: Subscriber,
    range: Option<SubscriberRange>,
}

impl Provision {
    fn simulated(&self) -> Option<Simulated> {
        let identities = self.subscriber.profiles.iter().flat_map(|p| &p.identities);
        let impu = identities.map(|i| &i.identity).find(|i| i.starts_with("sip:"))?;
        Some(Simulated {
            imsi: self.imsi.clone(),
            count: self.range.as_ref().map_or(1, |r| r.count),
            impi: self.subscriber.impi.clone(),
            impu: Impu::new(impu.as_str()),
            realm: self.realm.clone(),
            sqn: self.subscriber.sqn,
            keys: self.keys.clone()?,
        })
    }
}

fn read_file(root: &Node, realm: &str, provisions: &mut Vec<Provision>, faults: &mut Collector) {
    let mut f = Fields::new(root, Path::Root, faults);
    let defaults = match f.fields("defaults", faults) {
        Some(mut d) => {
            let common = Common::read(&mut d, faults);
            d.finish(faults);
            common
        }
        None => Common::default(),
    };
    match f.items("subscribers", faults) {
        Some(items) => {
            let path = Path::Key(&Path::Root, "subscribers");
            for (i, item) in items.iter().enumerate() {
                provisions.extend(read_subscriber(item, Path::Index(&path, i), &defaults, realm, faults));
            }
        }
        None if f.get("subscribers").is_none() => f.missing("subscribers", "a list of subscribers", faults),
        None => {}
    }
    f.finish(faults);
}

fn read_subscriber(
    node: &Node,
    path: Path<'_>,
    defaults: &Common,
    profile_realm: &str,
    faults: &mut Collector,
) -> Option<Provision> {
    let mut f = Fields::new(node, path, faults);
    let imsi = f.leaf_at("imsi", IMSI, faults);
    if imsi.is_none() && f.get("imsi").is_none() {
        f.missing("imsi", IMSI.expected, faults);
    }
    let own = Common::read(&mut f, faults);
    let msisdn = f.leaf_at("msisdn", MSISDN, faults);
    let impi = f.leaf("impi", IMPI, faults);
    let impus = f.list("impus", IMPU, faults);
    let barred = f.list("barred", IMPU, faults).unwrap_or_default();
    let range = f.leaf_at("range", RANGE, faults);
    let recorded = recorded(&mut f, faults);
    let keys = match &recorded {
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
    let (imsi_node, imsi) = imsi?;
    let realm = common.realm(&imsi, profile_realm);
    let impi = impi.unwrap_or_else(|| impi_from_imsi(&imsi, &realm));
    let impus = impus.unwrap_or_else(|| implicit_set(&imsi, msisdn.as_ref().map(|(_, m)| &**m), &realm));
    for identity in &barred {
        if !impus.contains(identity) {
            let at = f.get("barred").unwrap_or(node);
            let message = format!("\"{identity}\" found, an identity of the set expected: {}", impus.join(", "));
            faults.at(at, Path::Key(&f.path, "barred"), message);
        }
    }
    if impus.is_empty() || impus.iter().all(|i| barred.contains(i)) {
        let at = f.get("barred").or_else(|| f.get("impus")).unwrap_or(node);
        let key = if impus.is_empty() { "impus" } else { "barred" };
        faults.at(at, Path::Key(&f.path, key), "nothing left to register, one identity that is not barred expected");
    }
    if keys.as_ref().is_some_and(Keys::have_hole) && imsi.len() != 15 {
        let message = format!("\"{imsi}\" found, 15 digits expected because a key holds {{imsi}}");
        faults.at(imsi_node, Path::Key(&f.path, "imsi"), message);
        return None;
    }
    let auth = match (&recorded, &keys) {
        (Some(vectors), _) => Some(AuthVectors::Recorded(vectors.clone())),
        (None, Some(keys)) => keys.for_imsi(&imsi).map(AuthVectors::Algorithm),
        (None, None) => None,
    };
    let identity = |identity: &Box<str>| PublicIdentity {
        identity: identity.to_string(),
        barred: barred.contains(identity),
        kind: IdentityType::PublicUserIdentity,
        wildcard: None,
        display_name: None,
    };
    let profile = ServiceProfile {
        identities: impus.iter().map(identity).collect(),
        media_profile: common.media_profile,
        filter_criteria: Vec::new(),
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
    Some(Provision { at, path: shown, imsi, realm, keys, subscriber, range })
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
    ) -> Option<(crate::hss::store::RangeKeys, u64)> {
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
        }
    }

    fn fault<T>(&mut self, message: String) -> Option<T> {
        self.faults.at(self.at, Path::Key(&self.f.path, "range"), message);
        None
    }
}

/// What a subscriber and `defaults` may both say.
#[derive(Debug, Default)]
struct Common {
    algorithm: Option<Algorithm>,
    k: Given<KeyText>,
    /// `op` or `opc`.
    operator: Given<Operator>,
    /// `top` or `topc`.
    tuak_operator: Given<Operator>,
    res_len: Option<u8>,
    iterations: Option<u8>,
    amf: Option<[u8; 2]>,
    sqn: Option<u64>,
    realm: Option<Box<str>>,
    mnc_digits: Option<usize>,
    capabilities: Option<(Vec<u32>, Vec<u32>)>,
    visited_networks: Option<Vec<Box<str>>>,
    charging: Option<[Option<Box<str>>; 4]>,
    media_profile: Option<u32>,
    shared_ifc_sets: Option<Vec<u32>>,
}

/// A value that must be there in the end: absent, wrong (which is noted already), or right.
#[derive(Clone, Debug, Default)]
enum Given<T> {
    #[default]
    No,
    Wrong,
    Right(T),
}

impl<T: Clone> Given<T> {
    fn or(&self, defaults: &Self) -> Self {
        if matches!(self, Self::No) { defaults.clone() } else { self.clone() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Algorithm {
    Milenage,
    Tuak,
    Xor,
}

impl Common {
    fn read(f: &mut Fields<'_>, faults: &mut Collector) -> Self {
        let k = match f.get("k") {
            None => Given::No,
            Some(_) => f.leaf("k", KEY_K, faults).map_or(Given::Wrong, Given::Right),
        };
        let (ecf, ccf) = match f.fields("charging", faults) {
            Some(mut c) => {
                let lists = (pair(&mut c, "ecf", faults), pair(&mut c, "ccf", faults));
                c.finish(faults);
                (Some(lists.0), Some(lists.1))
            }
            None => (None, None),
        };
        Self {
            algorithm: f.leaf("algorithm", ALGORITHM, faults),
            k,
            operator: operator(f, ["op", "opc"], KEY_16, faults),
            tuak_operator: operator(f, ["top", "topc"], KEY_32, faults),
            res_len: f.leaf("res_len", RES_LEN, faults),
            iterations: f.leaf("iterations", ITERATIONS, faults),
            amf: f.leaf("amf", AMF, faults),
            sqn: f.leaf("sqn", SQN, faults),
            realm: f.leaf("realm", REALM, faults),
            mnc_digits: f.leaf("mnc_digits", MNC_DIGITS, faults),
            capabilities: capabilities(f, faults),
            visited_networks: f.list("visited_networks", TEXT, faults),
            charging: ecf.zip(ccf).map(|([e1, e2], [c1, c2])| [e1, e2, c1, c2]),
            media_profile: f.leaf("media_profile", NUMBER, faults),
            shared_ifc_sets: f.list("shared_ifc_sets", NUMBER, faults),
        }
    }

    /// What does not concern keys, completed by `defaults`.
    fn over(self, defaults: &Self) -> Self {
        // A realm of its own beats an inherited mnc_digits, and the other way round.
        let (realm, mnc_digits) = match (&self.realm, self.mnc_digits) {
            (None, None) => (defaults.realm.clone(), defaults.mnc_digits),
            own => (own.0.clone(), own.1),
        };
        Self {
            amf: self.amf.or(defaults.amf),
            sqn: self.sqn.or(defaults.sqn),
            realm,
            mnc_digits,
            capabilities: self.capabilities.or_else(|| defaults.capabilities.clone()),
            visited_networks: self.visited_networks.or_else(|| defaults.visited_networks.clone()),
            charging: self.charging.or_else(|| defaults.charging.clone()),
            media_profile: self.media_profile.or(defaults.media_profile),
            shared_ifc_sets: self.shared_ifc_sets.or_else(|| defaults.shared_ifc_sets.clone()),
            ..Self::default()
        }
    }

    fn keys(&self, defaults: &Self, f: &Fields<'_>, faults: &mut Collector) -> Option<Keys> {
        let algorithm = self.algorithm.or(defaults.algorithm).unwrap_or(Algorithm::Milenage);
        let k = required(self.k.or(&defaults.k), "k", KEY_16.expected, f, faults);
        if algorithm != Algorithm::Tuak
            && let Some(k) = &k
            && !k.is_short()
        {
            let message = format!("\"..\" (64 characters) found, {} expected", KEY_16.expected);
            faults.at(f.node_of("k"), Path::Key(&f.path, "k"), message);
            return None;
        }
        match algorithm {
            Algorithm::Xor => Some(Keys::Xor { k: k? }),
            Algorithm::Milenage => {
                let operator = self.operator.or(&defaults.operator);
                let operator = required(operator, "opc", "opc or op of 32 hexadecimal digits", f, faults);
                Some(Keys::Milenage { k: k?, operator: operator? })
            }
            Algorithm::Tuak => {
                let operator = self.tuak_operator.or(&defaults.tuak_operator);
                let operator = required(operator, "topc", "topc or top of 64 hexadecimal digits", f, faults);
                let res_len = self.res_len.or(defaults.res_len).unwrap_or(8);
                let iterations = self.iterations.or(defaults.iterations).unwrap_or(1);
                Some(Keys::Tuak { k: k?, operator: operator?, res_len, iterations })
            }
        }
    }

    fn realm(&self, imsi: &str, profile_realm: &str) -> Realm {
        match (&self.realm, self.mnc_digits) {
            (Some(realm), _) => Realm::new(realm.clone()),
            (None, Some(digits)) => home_domain(imsi, digits).expect("an IMSI of 6 digits or more, and 2 or 3"),
            (None, None) => Realm::new(profile_realm),
        }
    }
}

fn required<T>(given: Given<T>, key: &str, expected: &str, f: &Fields<'_>, faults: &mut Collector) -> Option<T> {
    match given {
        Given::Right(value) => Some(value),
        Given::Wrong => None,
        Given::No => {
            f.missing(key, expected, faults);
            None
        }
    }
}

/// `op` or `opc`, `top` or `topc`: one of the two.
fn operator(
    f: &mut Fields<'_>,
    [plain, computed]: [&'static str; 2],
    leaf: Leaf<KeyText>,
    faults: &mut Collector,
) -> Given<Operator> {
    match (f.get(plain), f.get(computed)) {
        (None, None) => Given::No,
        (Some(_), None) => f.leaf(plain, leaf, faults).map_or(Given::Wrong, |k| Given::Right(Operator::Plain(k))),
        (None, Some(_)) => f.leaf(computed, leaf, faults).map_or(Given::Wrong, |k| Given::Right(Operator::Computed(k))),
        (Some(node), Some(_)) => {
            let message = format!("found beside {computed}, one of the two expected");
            faults.at(node, Path::Key(&f.path, plain), message);
            Given::Wrong
        }
    }
}

/// Primary and secondary.
fn pair(f: &mut Fields<'_>, key: &'static str, faults: &mut Collector) -> [Option<Box<str>>; 2] {
    let mut names = f.list(key, TEXT, faults).unwrap_or_default().into_iter();
    let pair = [names.next(), names.next()];
    if names.next().is_some() {
        let message = "more than two found, a primary and a secondary expected";
        faults.at(f.node_of(key), Path::Key(&f.path, key), message);
    }
    pair
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

/// `digits` plus `n`, with as many digits.
fn counted_up(digits: &str, n: u64) -> Option<String> {
    let number = digits.parse::<u64>().ok()?.checked_add(n)?;
    let text = format!("{number:0width$}", width = digits.len());
    (text.len() == digits.len()).then_some(text)
}

fn find_duplicates(provisions: &[Provision], faults: &mut Collector) {
    // A range is compared with all singles at once when it comes behind them.
    let (ranges, singles): (Vec<&Provision>, Vec<&Provision>) = provisions.iter().partition(|p| p.range.is_some());
    let (mut impis, mut impus) = (Identities::default(), Identities::default());
    for p in singles.into_iter().chain(ranges) {
        let identities = p.subscriber.profiles.iter().flat_map(|p| &p.identities).map(|i| i.identity.as_str());
        let impi = p.subscriber.impi.as_str();
        let all = std::iter::once((impi, true)).chain(identities.map(|i| (i, false)));
        for (identity, is_impi) in all {
            let seen = if is_impi { &mut impis } else { &mut impus };
            let other = match &p.range {
                None => seen.add(identity, p.at),
                Some(range) => {
                    let msisdn = range.msisdn.as_deref().map(|m| &m[1..]);
                    let counted = match msisdn {
                        Some(msisdn) if !identity.contains(&*p.imsi) => msisdn,
                        _ => &p.imsi,
                    };
                    seen.add_range(identity, counted, range.count, p.at)
                }
            };
            if let Some(other) = other {
                let what = if is_impi { "IMPI" } else { "IMPU" };
                let message = match &p.range {
                    None => format!("{what} \"{identity}\" found, one subscriber only expected: it is also at"),
                    Some(_) => format!("an {what} like \"{identity}\" found twice, it is also at"),
                };
                // The place further down is the one at fault.
                let (at, other) = if p.at < other { (other, p.at) } else { (p.at, other) };
                faults.at_with_other(at, &p.path, message, other);
                break;
            }
        }
    }
}

pub(super) const IMSI: Leaf<Box<str>> = Leaf {
    read: |t| ((6..=15).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_digit())).then(|| t.into()),
    expected: "6 to 15 digits",
};

/// With `+`, whether it was written or not.
const MSISDN: Leaf<Box<str>> = Leaf {
    read: |t| {
        let digits = t.strip_prefix('+').unwrap_or(t);
        let sound = (3..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        sound.then(|| format!("+{digits}").into())
    },
    expected: "+ and 3 to 15 digits",
};

pub(super) const IMPI: Leaf<Impi> = Leaf {
    read: |t| {
        let (user, realm) = t.rsplit_once('@')?;
        let sound = !user.is_empty() && (HOST.read)(realm).is_some() && !realm.is_empty() && is_plain(t);
        sound.then(|| Impi::from(t))
    },
    expected: "user@realm",
};

pub(super) const IMPU: Leaf<Box<str>> = Leaf {
    read: |t| {
        let rest = t.strip_prefix("sip:").or_else(|| t.strip_prefix("tel:"))?;
        (!rest.is_empty() && !rest.contains('!') && is_plain(t)).then(|| t.into())
    },
    expected: "a SIP or tel URI without wildcard",
};

/// Fit for a header field and for XML without quoting.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\",".contains(&b))
}

pub(super) const KEY_16: Leaf<KeyText> = Leaf { read: |t| KeyText::read(t, 16), expected: "32 hexadecimal digits" };

const KEY_32: Leaf<KeyText> = Leaf { read: |t| KeyText::read(t, 32), expected: "64 hexadecimal digits" };

/// TUAK has long ones too; for the other algorithms the length is looked at when the algorithm is known.
const KEY_K: Leaf<KeyText> =
    Leaf { read: |t| KeyText::read(t, 16).or_else(|| KeyText::read(t, 32)), expected: "32 hexadecimal digits" };

const ALGORITHM: Leaf<Algorithm> = Leaf {
    read: |t| match t {
        "milenage" => Some(Algorithm::Milenage),
        "tuak" => Some(Algorithm::Tuak),
        "xor" => Some(Algorithm::Xor),
        _ => None,
    },
    expected: "milenage, tuak or xor",
};

const RES_LEN: Leaf<u8> =
    Leaf { read: |t| t.parse().ok().filter(|n| matches!(n, 4 | 8 | 16 | 32)), expected: "4, 8, 16 or 32 octets" };

const ITERATIONS: Leaf<u8> = Leaf { read: |t| t.parse().ok().filter(|n| *n > 0), expected: "a number from 1 to 255" };

const AMF: Leaf<[u8; 2]> = Leaf {
    read: |t| {
        let sound = t.len() == 4 && t.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| u16::from_str_radix(t, 16).ok()).flatten().map(u16::to_be_bytes)
    },
    expected: "4 hexadecimal digits",
};

pub(super) const SQN: Leaf<u64> = Leaf {
    read: |t| {
        let sound = (1..=12).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_hexdigit());
        sound.then(|| u64::from_str_radix(t, 16).ok()).flatten()
    },
    expected: "1 to 12 hexadecimal digits",
};

const MNC_DIGITS: Leaf<usize> = Leaf { read: |t| t.parse().ok().filter(|n| matches!(n, 2 | 3)), expected: "2 or 3" };

const RANGE: Leaf<u64> = Leaf {
    read: |t| t.parse().ok().filter(|n| (1..=100_000_000).contains(n)),
    expected: "a number from 1 to 100000000",
};

const OCTETS_16: Leaf<[u8; 16]> = Leaf { read: octets_16, expected: "32 hexadecimal digits" };

const NONCE: Leaf<([u8; 16], [u8; 16])> = Leaf {
    read: |t| {
        let octets = data_encoding::BASE64.decode(t.as_bytes()).ok()?;
        let (rand, autn) = octets.split_at_checked(16)?;
        Some((rand.try_into().ok()?, autn.try_into().ok()?))
    },
    expected: "base64 of 32 octets, RAND and AUTN",
};

const RESPONSE: Leaf<Box<str>> = Leaf {
    read: |t| (t.len() == 32 && t.bytes().all(|b| b.is_ascii_hexdigit())).then(|| t.into()),
    expected: "32 hexadecimal digits",
};

fn octets_16(text: &str) -> Option<[u8; 16]> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?.try_into().ok()
}
