//! Recordings played in virtual time: the recorded UE against our core, the recorded network against our UE.

use super::link::Links;
use super::world::World;
use crate::aka::vector::SubscriberKeys;
use crate::config::{Elements, Faults, Profile, Subscription};
use crate::cx::user_data::{IdentityType, PublicIdentity, ServiceProfile};
use crate::hss::store::{AuthVectors, DigestCredentials, RecordedDigest, RecordedVector};
use crate::hss::{Hss, Store, Subscriber};
use crate::icscf::Icscf;
use crate::identity::{Impi, impi_from_imsi};
use crate::ims::{AddressTaken, ElementId, Ims, Tap, Wiring};
use crate::pcscf::Pcscf;
use crate::random::Random;
use crate::replay::comparison::Sender;
use crate::replay::{Cue, Identities, Known, Player, PlayerConfig, Report, Script};
use crate::scscf::Scscf;
use crate::sip::header::digest::Digest;
use crate::sip::{HeaderName, Uri};
use crate::time::{Duration, Epoch, Instant};
use crate::ue::Ue;
use data_encoding::BASE64;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

/// What a recording is played against.
#[derive(Clone, Debug)]
pub struct Stage<'p> {
    /// How our elements behave.
    pub profile: &'p Profile,
    /// What is known of the subscriber.
    pub known: Known,
    /// Headers that are not compared.
    pub ignored: Vec<String>,
    /// Timing: 1 as recorded, 0 without any pause.
    pub speed: f64,
    /// What goes over SAs is ESP; needs K.
    pub esp: bool,
    /// Of all chance.
    pub seed: u64,
}

impl Stage<'_> {
    /// Plays the recorded UE against our core, whose HSS has `store`.
    pub fn core<T: Tap>(&self, script: &Script, store: Store, tap: T) -> Result<Report, Faults> {
        let (profile, all, epoch) = (self.profile, Elements::ALL, Epoch::SIMULATION);
        let mut random = Random::seeded(self.seed);
        let mut ims = Ims::new(Wiring::Wire);
        ims.add(Hss::new(profile.hss(epoch)?, store, random.fork())).map_err(taken)?;
        ims.add(Scscf::new(profile.scscf(all, epoch)?, random.fork())).map_err(taken)?;
        ims.add(Icscf::new(profile.icscf(all, epoch)?, random.fork())).map_err(taken)?;
        let config = profile.pcscf(all)?;
        let recorded = script.ue_address();
        let fits = |listener: &&SocketAddr| recorded.is_none_or(|ue| ue.is_ipv4() == listener.is_ipv4());
        let pcscf = config.listen.iter().find(fits).copied().unwrap_or_else(|| config.listen[0]);
        let is_free = |address: &SocketAddr| {
            address.is_ipv4() == pcscf.is_ipv4() && config.listen.iter().all(|listener| listener.ip() != address.ip())
        };
        let local = recorded.filter(is_free).unwrap_or_else(|| of_family(pcscf.ip(), UE_V4, UE_V6));
        ims.add(Pcscf::new(config, random.fork())).map_err(taken)?;
        let player = Player::new(self.player(Sender::Ue, script, local, pcscf), script.clone(), random.fork());
        let player = ims.add(player).map_err(taken)?;
        let mut world = self.world(ims, tap);
        world.command(player, |element, now, out| {
            element.as_player_mut().expect("it was added as one").begin(now, out);
        });
        let until = world.now() + LONGEST;
        world.run_while(until, |ims| ims.element(player).as_player().is_none_or(Player::is_over));
        Ok(conclude(&mut world, player))
    }

    /// Plays the recorded network against our UE, which does what the recorded one did when it did it.
    pub fn ue<T: Tap>(&self, script: &Script, subscription: &Subscription, tap: T) -> Result<Report, Faults> {
        let mut random = Random::seeded(self.seed);
        let mut ims = Ims::new(Wiring::Wire);
        let recorded = (script.ue_address(), script.pcscf_address());
        let local = recorded.0.unwrap_or_else(|| SocketAddr::new(UE_V4.into(), 5060));
        let is_free = |address: &SocketAddr| address.ip() != local.ip() && address.is_ipv4() == local.is_ipv4();
        let pcscf = recorded.1.filter(is_free).unwrap_or_else(|| of_family(local.ip(), PCSCF_V4, PCSCF_V6));
        let mut config = self.profile.ue(subscription, pcscf, local, Epoch::SIMULATION);
        config.subscribe = script.has_subscription();
        let ue = ims.add(Ue::new(config, random.fork())).map_err(taken)?;
        let player = Player::new(self.player(Sender::Network, script, pcscf, pcscf), script.clone(), random.fork());
        let player = ims.add(player).map_err(taken)?;
        let mut world = self.world(ims, tap);
        let until = world.now() + LONGEST;
        let cue_of = |ims: &Ims| ims.element(player).as_player().and_then(Player::cue);
        let is_over = |ims: &Ims| ims.element(player).as_player().is_none_or(Player::is_over);
        let mut given = None;
        while !is_over(world.ims()) && world.now() < until {
            let cue = cue_of(world.ims()).filter(|cue| given != Some(*cue));
            let due = cue.map_or(until, |(due, _)| due.unwrap_or_else(|| world.now()));
            world.run_while(due.min(until), |ims| is_over(ims) || cue_of(ims).filter(|cue| given != Some(*cue)) != cue);
            if let Some((_, what)) = cue
                && cue_of(world.ims()) == cue
                && world.now() >= due
            {
                given = cue;
                world.command(ue, |element, now, out| {
                    let ue = element.as_ue_mut().expect("it was added as one");
                    match what {
                        Cue::Register => ue.register(now, out),
                        Cue::Deregister => ue.deregister(now, out),
                    }
                });
            }
        }
        Ok(conclude(&mut world, player))
    }

    fn world<T: Tap>(&self, ims: Ims, tap: T) -> World<T> {
        let mut world = World::new(ims, Links::default(), self.seed, tap);
        if self.esp {
            world.carry_esp();
        }
        world.start();
        world.run_until(START);
        world
    }

    fn player(&self, side: Sender, script: &Script, local: SocketAddr, pcscf: SocketAddr) -> PlayerConfig {
        PlayerConfig {
            side,
            local,
            pcscf,
            protected_ports: protected_ports(side, script),
            known: self.known.clone(),
            speed: self.speed,
            patience: PATIENCE,
            ignored: self.ignored.clone(),
        }
    }
}

/// The recorded ports of one side where they serve, else those of a lab.
pub fn protected_ports(side: Sender, script: &Script) -> (RangeInclusive<u16>, u16) {
    let lab = if side == Sender::Ue { (31_000, 31_001) } else { (5_100, 6_100) };
    let (count, (port_c, port_s)) = script.protected_ports(side).unwrap_or((1, lab));
    let serves = |port: u16| port > 1_023 && !matches!(port, 5_060 | 5_061);
    let (mut first, server) = if serves(port_c) && serves(port_s) && port_c != port_s { (port_c, port_s) } else { lab };
    let last = |first: u16| first.saturating_add(count.max(1) - 1);
    if (first..=last(first)).contains(&server) {
        first = server.saturating_add(1);
    }
    (first..=last(first), server)
}

/// The subscriber of a recording: with K or the password where they are known, else with its recorded vectors.
pub fn subscriber(script: &Script, known: &Known) -> Option<Store> {
    let Identities { impi, impus, barred } = script.identities();
    let first = impus.first()?;
    let auth = vectors(script, known, impi.as_deref());
    // A user name of SIP digest is no private identity: that follows from the public one.
    let impi = impi.filter(|_| !matches!(auth, AuthVectors::Digest(_)));
    let impi = impi.unwrap_or_else(|| Uri::parse(first).map_or(first.as_str(), |uri| uri.implied_impi()).to_owned());
    let impi = match impi.contains('@') || impi.parse::<u64>().is_err() {
        true => Impi::new(impi),
        false => impi_from_imsi(&impi, &script.realm().unwrap_or_default().into()),
    };
    let identity = |identity: &String| PublicIdentity {
        identity: identity.clone(),
        barred: barred.contains(identity),
        kind: IdentityType::PublicUserIdentity,
        wildcard: None,
        display_name: None,
    };
    let profile = ServiceProfile {
        identities: impus.iter().map(identity).collect(),
        media_profile: None,
        filter_criteria: Vec::new(),
        shared_ifc_sets: Vec::new(),
    };
    let subscriber = Subscriber {
        auth,
        impi,
        profiles: vec![profile],
        amf: [0x80, 0],
        sqn: 0,
        capabilities: None,
        visited_networks: None,
        charging: Default::default(),
    };
    let mut store = Store::default();
    store.add(subscriber).ok()?;
    Some(store)
}

fn vectors(script: &Script, known: &Known, username: Option<&str>) -> AuthVectors {
    let challenge = script.challenge();
    let name = HeaderName::WwwAuthenticate;
    let challenge = challenge.as_deref().and_then(|value| Digest::parse(name, value).ok().flatten());
    let of = |text: Option<&str>, default: &str| text.unwrap_or(default).to_owned();
    let (realm, qop, states_md5) = challenge.map_or_else(
        || (script.realm().unwrap_or_default(), "auth".to_owned(), true),
        |challenge| (of(challenge.realm, ""), of(challenge.qop, ""), challenge.algorithm.is_some()),
    );
    let recorded = script.vectors();
    let aka = |nonce: &str| {
        let octets = BASE64.decode(nonce.as_bytes()).ok()?;
        Some((*octets.first_chunk::<16>()?, *octets.get(16..)?.first_chunk::<16>()?))
    };
    match known {
        Known::Keys(keys) => AuthVectors::Algorithm(SubscriberKeys::clone(keys)),
        Known::Password(password) => {
            let username = username.unwrap_or_default();
            let credentials = DigestCredentials::of_password(username, &realm, &qop, password, None);
            AuthVectors::Digest(Box::new(DigestCredentials { states_md5, ..credentials }))
        }
        Known::Nothing => {
            let vectors: Vec<RecordedVector> = recorded
                .iter()
                .filter_map(|(nonce, response)| {
                    let (rand, autn) = aka(nonce)?;
                    Some(RecordedVector { rand, autn, response: response.as_str().into() })
                })
                .collect();
            if !vectors.is_empty() {
                return AuthVectors::Recorded(vectors);
            }
            let of = |(nonce, response): &(String, String)| RecordedDigest {
                nonce: nonce.as_str().into(),
                response: response.as_str().into(),
            };
            let recorded = recorded.iter().map(of).collect();
            let (realm, qop) = (realm.into(), qop.into());
            let credentials = DigestCredentials { realm, qop, states_md5, ha1: None, alternate: None, recorded };
            AuthVectors::Digest(Box::new(credentials))
        }
    }
}

/// What is found in the end, a little after the last step.
fn conclude<T: Tap>(world: &mut World<T>, player: ElementId) -> Report {
    let end = world.now();
    world.run_until(end + AFTERWARDS);
    world.command(player, |element, now, _| {
        element.as_player_mut().expect("it was added as one").give_up(now, "the time is over");
    });
    let player = world.ims().element(player).as_player();
    player.map(|player| player.report().clone()).unwrap_or_default()
}

fn of_family(other: IpAddr, four: Ipv4Addr, six: Ipv6Addr) -> SocketAddr {
    SocketAddr::new(if other.is_ipv4() { four.into() } else { six.into() }, 5060)
}

fn taken(taken: AddressTaken) -> Faults {
    Faults::one("replay", "", taken.to_string())
}

/// When elements have connected.
const START: Instant = Instant::from_secs(1);
/// Beyond the recorded time, for every message.
const PATIENCE: Duration = Duration::from_secs(130);
/// Nobody records longer.
const LONGEST: Duration = Duration::from_secs(60 * 24 * 3600);
/// What comes then was not recorded.
const AFTERWARDS: Duration = Duration::from_secs(5);
const UE_V4: Ipv4Addr = Ipv4Addr::new(10, 64, 0, 1);
const UE_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x64, 0, 0, 0, 0, 0, 1);
const PCSCF_V4: Ipv4Addr = Ipv4Addr::new(10, 65, 0, 1);
const PCSCF_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x65, 0, 0, 0, 0, 0, 1);
