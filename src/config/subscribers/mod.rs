//! Subscriber files: `hss-data/*.yaml` to [`Store`]. `hss-data/lab.yaml` tells the keys.

mod access;
mod common;
pub(super) mod filter_criteria;
mod subscriber;
pub(super) mod value;

use super::Origin;
use super::duplicates::{At, Identities};
use super::fault::{Collector, Faults};
use super::keys::Keys;
use super::profile::Profile;
use super::read::{Fields, Path};
use super::source::{self, Sources};
use super::ue::Subscription;
use super::yaml::Node;
use crate::aka::usim::Usim;
use crate::hss::store::SubscriberRange;
use crate::hss::{Store, Subscriber};
use crate::identity::{Impi, Impu, Realm};
use crate::ue::Login;
use access::Access;
use common::Common;
use std::path::Path as FilePath;
use subscriber::read_subscriber;

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
    keys: Option<Keys>,
    login: Option<Login>,
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

    /// The subscriber whose first SIP identity this is, if its keys or its password are known. Ranges are not looked
    /// through.
    pub fn subscription_of_impu(&self, impu: &str) -> Option<Subscription> {
        self.simulated.iter().find(|entry| entry.impu.as_str() == impu).and_then(|entry| entry.nth(0))
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
        // Without IMSI there is one only.
        let imsi = if self.imsi.is_empty() { String::new() } else { counted_up(&self.imsi, index)? };
        let renumbered = |text: &str| text.replacen(&*self.imsi, &imsi, 1);
        Some(Subscription {
            impi: Impi::new(renumbered(self.impi.as_str())),
            impu: Impu::new(renumbered(self.impu.as_str())),
            realm: self.realm.clone(),
            usim: match &self.keys {
                Some(keys) => Some(Usim::new(keys.for_imsi(&imsi)?, self.sqn)),
                None => None,
            },
            login: self.login.clone(),
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
                sources.parse(number, &mut faults)
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
    access: Option<Access>,
    subscriber: Subscriber,
    range: Option<SubscriberRange>,
}

impl Provision {
    /// `None` where nobody knows what its UE answers.
    fn simulated(&self) -> Option<Simulated> {
        let access = self.access.as_ref();
        let login = access.and_then(Access::password).map(|password| {
            let username = access.and_then(Access::username).unwrap_or(self.subscriber.impi.as_str());
            Login { username: username.into(), password: password.clone() }
        });
        if login.is_none() && self.keys.is_none() {
            return None;
        }
        let identities = self.subscriber.profiles.iter().flat_map(|p| &p.identities);
        let impu = identities.map(|i| &i.identity).find(|i| i.starts_with("sip:"))?;
        Some(Simulated {
            imsi: self.imsi.clone(),
            count: self.range.as_ref().map_or(1, |r| r.count),
            impi: self.subscriber.impi.clone(),
            impu: Impu::new(impu.as_str()),
            realm: self.realm.clone(),
            sqn: self.subscriber.sqn,
            keys: self.keys.clone(),
            login,
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
            if other == Some(p.at) {
                let message = format!("\"{identity}\" given twice");
                faults.at_id(p.at.0, p.at.1, &p.path, message);
                break;
            }
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

/// `digits` plus `n`, with as many digits.
pub(crate) fn counted_up(digits: &str, n: u64) -> Option<String> {
    let number = digits.parse::<u64>().ok()?.checked_add(n)?;
    let text = format!("{number:0width$}", width = digits.len());
    (text.len() == digits.len()).then_some(text)
}
