//! The temporary set of a challenge, and its end without success (TS 33.203 clause 7.4).

use super::selectors::Selector;
use super::{Books, Due, low};
use crate::event::{Event, Role, What};
use crate::ipsec::association::{Mod, Mode, SaSet, SaSetId};
use crate::ipsec::negotiate::Offer;
use crate::packet::{Effect, Outbox, SaFault};
use crate::pcscf::flow::{Challenged, FlowKey, Held, Phase, Place, Set, SetRef, Short};
use crate::pcscf::from_core::Keys;
use crate::pcscf::refusal::Refusal;
use crate::random::Random;
use crate::time::{Duration, Instant};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

/// What a set is made of.
pub(in crate::pcscf) struct Opening {
    pub(in crate::pcscf) flow: FlowKey,
    /// Where the REGISTER came from.
    pub(in crate::pcscf) ue: SocketAddr,
    /// The UE's own address where a NAT shows another.
    pub(in crate::pcscf) inside: Option<IpAddr>,
    pub(in crate::pcscf) here: IpAddr,
    /// The set over which the REGISTER came.
    pub(in crate::pcscf) over: Option<SetRef>,
    /// What the UE offers, and the header that says so.
    pub(in crate::pcscf) offer: Offer,
    pub(in crate::pcscf) client: Rc<str>,
    pub(in crate::pcscf) keys: Keys,
    /// Hash of the nonce.
    pub(in crate::pcscf) nonce: Short,
}

impl Books {
    /// Makes the temporary set of a challenge (TS 33.203 clause 7.4).
    pub(in crate::pcscf) fn open(
        &mut self,
        now: Instant,
        opening: Opening,
        random: &mut Random,
        out: &mut Outbox,
    ) -> Result<SetRef, Refusal> {
        let Opening { flow, ue, inside, here, over, offer, client, keys, nonce } = opening;
        let from_clear = over.is_none();
        let (clear_port, outside) = match over.and_then(|o| self.get(o)) {
            Some(set) => (set.clear_port, self.outside(set)),
            None => (ue.port(), Some(ue.ip())),
        };
        let outside = outside.filter(|_| offer.mode == Mod::UdpEncTun);
        let address = inside.filter(|_| outside.is_some()).unwrap_or_else(|| ue.ip());
        let place = match outside {
            Some(outside) => Place::behind_nat(outside, clear_port),
            None => self.place(SocketAddr::new(address, clear_port)),
        };
        self.make_room(flow, (address, place), over, &offer, out)?;
        let port_c = self
            .allocator
            .port(|ours| {
                let selector = Selector { ue: address, theirs: offer.endpoint.port_s, ours };
                self.selectors.find(&self.sets, selector).is_none()
            })
            .ok_or(Refusal::NoPortLeft)?;
        let (spi_c, spi_s) = self.allocator.spis(random, [offer.endpoint.spi_c, offer.endpoint.spi_s]);
        self.last_id += 1;
        let id = SaSetId(self.last_id);
        let here_index = self.addresses.iter().position(|a| *a == here).unwrap_or_default();
        let set = Set {
            id,
            flow,
            ends: now + SET_UP,
            next: None,
            ue_address: address,
            clear_port,
            here: u16::try_from(here_index).expect("a P-CSCF has fewer than 65,536 addresses"),
            ue: offer.endpoint,
            spi_c,
            spi_s,
            port_c,
            algorithms: offer.algorithms,
            mode: offer.mode,
            phase: Phase::Challenged,
        };
        let pcscf = set.pcscf(self.settings.port_s);
        out.push(Effect::InstallSa(Box::new(SaSet {
            id,
            ue_address: address,
            pcscf_address: self.addresses[here_index],
            ue: offer.endpoint,
            pcscf,
            algorithms: offer.algorithms,
            mode: outside.map_or(Mode::Transport, |outer_ue| Mode::UdpTunnel { outer_ue }),
            ck: keys.ck,
            ik: keys.ik,
            at_ue: false,
        })));
        self.nats.extend(outside.map(|outside| (id, outside)));
        let index = self.insert(set);
        self.challenged.insert(id, Challenged { set: index, client, from_clear, held: None });
        self.nonces.insert(nonce);
        // It finds a later end once the set is made, see `expire`: one timer a set is enough.
        self.timeouts.after(now, SET_UP, Due::Set { index, id: low(id) });
        self.timeouts.after(now, REG_AWAIT_AUTH, Due::Nonce(nonce));
        Ok(SetRef { index, id })
    }

    /// Keeps the 401 back until the plane has answered.
    pub(in crate::pcscf) fn hold(&mut self, set: SetRef, held: Held) {
        if let Some(challenged) = self.challenged.get_mut(&set.id) {
            challenged.held = Some(held);
        }
    }

    /// The plane has made a set: it lives for the answer of the UE from now on. Gives the 401 back.
    pub(in crate::pcscf) fn set_up(&mut self, now: Instant, id: SaSetId, out: &mut Outbox) -> Option<Held> {
        let challenged = self.challenged.get_mut(&id)?;
        let held = challenged.held.take()?;
        let set = self.sets[challenged.set.at()].as_mut().expect("what is awaited goes with its set");
        set.ends = now + REG_AWAIT_AUTH;
        let set = self.sets[challenged.set.at()].as_ref().expect("it was there just now");
        out.event(|| Event {
            role: Role::Pcscf,
            what: What::SaInstalled {
                set: id,
                ue: SocketAddr::new(set.ue_address, set.clear_port),
                algorithms: match self.outside(set) {
                    None => set.algorithms.to_string(),
                    Some(outside) => format!("{}, {} by {outside}", set.algorithms, set.mode),
                },
                spis: (set.spi_c, set.spi_s),
                ports: (set.port_c, self.settings.port_s),
            },
        });
        Some(held)
    }

    /// The plane could not make a set: its attempt is over, and nothing takes its place. Its 401 is
    /// [unheard](Books::unheard).
    pub(in crate::pcscf) fn set_up_failed(&mut self, id: SaSetId, cause: SaFault, out: &mut Outbox) {
        if let Some(challenged) = self.challenged.get_mut(&id) {
            let (set, held) = (challenged.set, challenged.held.take());
            self.unheard.extend(held.map(|held| (held, cause)));
            self.remove(set, "it could not be set up", out);
        }
    }

    /// The attempt of a temporary set is over: it stays for retransmissions of the answer that says so.
    pub(in crate::pcscf) fn fail(&mut self, now: Instant, set: SetRef) {
        let ends = now + self.settings.grace;
        if let Some(this) = self.get_mut(set).filter(|s| matches!(s.phase, Phase::Challenged)) {
            this.phase = Phase::Failed;
            self.challenged.remove(&set.id);
            self.shorten(set.index, ends);
        }
    }

    /// Removes what stands in the way of a new set, as far as it may: an unanswered attempt of the same UE, and, for a
    /// UE that starts again in clear, its own old sets with the same numbers. Everything else refuses the offer.
    fn make_room(
        &mut self,
        flow: FlowKey,
        (address, place): (IpAddr, Place),
        over: Option<SetRef>,
        offer: &Offer,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let theirs = offer.endpoint;
        let is_over = |set: &Set| over.is_some_and(|o| o.id == set.id);
        let mut doomed = Vec::new();
        let mut alive = 0;
        let mut oldest_attempt = None;
        let mut oldest_replaced = None;
        let mut next = self.flows.get(&flow).and_then(|f| f.newest);
        while let Some(index) = next {
            let set = self.sets[index.at()].as_ref().expect("the chain holds sets alive");
            next = set.next;
            let spis = [set.ue.spi_c, set.ue.spi_s];
            let same_address = set.ue_address == address;
            let clashes = same_address
                && (spis.contains(&theirs.spi_c) || spis.contains(&theirs.spi_s) || set.ue.port_c == theirs.port_c);
            let temporary = matches!(set.phase, Phase::Challenged | Phase::Failed);
            let here = self.place_of(set) == place;
            if is_over(set) && (clashes || temporary) {
                return Err(Refusal::OfferInUse);
            }
            if temporary && here {
                doomed.push((index, "a newer challenge took its place"));
            } else if clashes {
                if over.is_some() {
                    return Err(Refusal::OfferInUse);
                }
                doomed.push((index, "the UE started again"));
            } else {
                alive += 1;
                // The chain begins with the newest: the last seen is the oldest.
                if temporary {
                    oldest_attempt = Some(index);
                } else if matches!(set.phase, Phase::Replaced | Phase::Deregistered) && !is_over(set) {
                    oldest_replaced = Some(index);
                }
            }
        }
        if alive >= MAX_SETS {
            // Somebody else may have asked for a challenge in this name: that must not lock the subscriber out.
            let victim = match over {
                None => oldest_attempt.or(oldest_replaced),
                Some(_) => oldest_attempt,
            };
            let victim = victim.ok_or(Refusal::TooManySets)?;
            doomed.push((victim, "more than three sets"));
        }
        let selector = Selector { ue: address, theirs: theirs.port_c, ours: self.settings.port_s };
        let taken = self.selectors.find(&self.sets, selector);
        if taken.is_some_and(|index| !doomed.iter().any(|(d, _)| *d == index)) {
            return Err(Refusal::OfferInUse);
        }
        for (index, cause) in doomed {
            self.remove(index, cause, out);
        }
        Ok(())
    }
}

/// How long a plane may take to make a set: before the UE repeats its REGISTER for the second time (TS 24.229
/// table 7.7.1).
const SET_UP: Duration = Duration::from_secs(5);

/// TS 24.229 clause 5.2.2.1: lifetime of a temporary set.
const REG_AWAIT_AUTH: Duration = Duration::from_secs(240);

/// TS 33.203 clause 7.4: six SAs in each direction for one IMPI.
const MAX_SETS: usize = 3;

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::*;
    use crate::ipsec::association::{Algorithms, Encryption, Endpoint, Integrity};
    use crate::ipsec::table::SaTable;
    use crate::pcscf::allocate::Allocator;
    use foldhash::quality::FixedState;

    const PCSCF: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    /// The set number `round` of UE `n`: four UEs share an address, and all of them offer the same ports again and again.
    fn opening(n: u32, round: u16, over: Option<SetRef>) -> Opening {
        let ip = IpAddr::V4(std::net::Ipv4Addr::from_bits(0x0a00_0000 + n / 4));
        let base = 20_000 + 100 * u16::try_from(n % 4).unwrap();
        let spi = 1_000 + (n % 4) * 100 + u32::from(round) * 2;
        let endpoint = Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c: base + 2 * round, port_s: base + 99 };
        let algorithms = Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc };
        let offer = Offer { algorithms, mode: Mod::Trans, endpoint, q: 1_000 };
        Opening {
            flow: FlowKey::of(&FixedState::with_seed(1), &format!("{n}@x")),
            ue: SocketAddr::new(ip, base),
            inside: None,
            here: PCSCF,
            over,
            offer,
            client: "".into(),
            keys: Keys::unknown(),
            nonce: Short::new(u64::from(n) << 8 | u64::from(round)),
        }
    }

    /// Field lesson 19: 100,000 UEs with two sets each, in 64 port_pc. No SPI and no pair of ports meets another.
    #[test]
    fn lesson_19_numbers_neither_collide_nor_run_dry_at_100_000_ues() {
        let settings = Settings { port_s: 6_100, grace: Duration::from_secs(128), many_ues_per_address: true };
        let mut books = Books::new([PCSCF].into(), Allocator::new(5_100..=5_163), settings);
        let (mut plane, mut random, mut out) = (SaTable::default(), Random::seeded(19), Outbox::without_events());
        let (mut first, mut spis) = (Vec::new(), std::collections::HashSet::new());
        for round in 0..2 {
            for n in 0..UES {
                let over = first.get(n as usize).copied().filter(|_| round > 0);
                let set = books.open(Instant::ZERO, opening(n, round, over), &mut random, &mut out);
                let set = set.unwrap_or_else(|refusal| panic!("{n} {round}: {refusal:?}"));
                books.establish(Instant::ZERO, set, Duration::from_secs(3_600), &mut out);
                for effect in out.take().1 {
                    if let Effect::InstallSa(set) = effect {
                        assert!(spis.insert(set.pcscf.spi_c) && spis.insert(set.pcscf.spi_s), "an SPI given twice");
                        plane.install(&set).expect("no selectors of a set alive");
                    }
                }
                if round == 0 {
                    first.push(set);
                }
            }
        }
        let sets = 2 * UES as usize;
        assert_eq!((plane.len(), books.set_count(), spis.len()), (sets, sets, 2 * sets));
        books.handle_timeout(Instant::from_secs(3_631), &mut out);
        assert_eq!((books.set_count(), books.next_timeout()), (0, None), "all numbers are free again");
    }

    const UES: u32 = 100_000;

    use crate::identity::Spi;
}
