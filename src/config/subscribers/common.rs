//! What a subscriber and `defaults` may both say: keys above all.

use super::filter_criteria;
use super::value::{ALGORITHM, AMF, ITERATIONS, KEY_16, KEY_32, KEY_K, MNC_DIGITS, RES_LEN, SQN};
use crate::config::fault::Collector;
use crate::config::keys::{KeyText, Keys, Operator};
use crate::config::profile::capabilities;
use crate::config::read::{Fields, Leaf, Path};
use crate::config::value::{NUMBER, REALM, TEXT};
use crate::cx::user_data::InitialFilterCriteria;
use crate::identity::{Realm, home_domain};

/// What a subscriber and `defaults` may both say.
#[derive(Debug, Default)]
pub(super) struct Common {
    algorithm: Option<Algorithm>,
    k: Given<KeyText>,
    /// `op` or `opc`.
    operator: Given<Operator>,
    /// `top` or `topc`.
    tuak_operator: Given<Operator>,
    res_len: Option<u8>,
    iterations: Option<u8>,
    pub(super) amf: Option<[u8; 2]>,
    pub(super) sqn: Option<u64>,
    realm: Option<Box<str>>,
    mnc_digits: Option<usize>,
    pub(super) capabilities: Option<(Vec<u32>, Vec<u32>)>,
    pub(super) visited_networks: Option<Vec<Box<str>>>,
    pub(super) charging: Option<[Option<Box<str>>; 4]>,
    pub(super) media_profile: Option<u32>,
    pub(super) shared_ifc_sets: Option<Vec<u32>>,
    pub(super) filter_criteria: Option<Vec<InitialFilterCriteria>>,
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
pub(super) enum Algorithm {
    Milenage,
    Tuak,
    Xor,
}

impl Common {
    pub(super) fn read(f: &mut Fields<'_>, faults: &mut Collector) -> Self {
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
            filter_criteria: filter_criteria::read(f, faults),
        }
    }

    /// What does not concern keys, completed by `defaults`.
    pub(super) fn over(self, defaults: &Self) -> Self {
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
            filter_criteria: self.filter_criteria.or_else(|| defaults.filter_criteria.clone()),
            ..Self::default()
        }
    }

    pub(super) fn keys(&self, defaults: &Self, f: &Fields<'_>, faults: &mut Collector) -> Option<Keys> {
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

    pub(super) fn realm(&self, imsi: &str, profile_realm: &str) -> Realm {
        match (&self.realm, self.mnc_digits) {
            (Some(realm), _) => Realm::new(realm.clone()),
            (None, Some(digits)) => home_domain(imsi, digits).expect("an IMSI of 6 digits or more, and 2 or 3"),
            (None, None) => Realm::new(profile_realm),
        }
    }
}

impl Common {
    /// The realm of a subscriber without IMSI.
    pub(super) fn own_realm(&self, profile_realm: &str) -> Realm {
        Realm::new(self.realm.as_deref().unwrap_or(profile_realm))
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
