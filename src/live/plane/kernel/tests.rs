//! A kernel that keeps its tables in memory and refuses what it is told to refuse.

use super::*;
use crate::ipsec::association::Endpoint;
use netlink_packet_xfrm::XfrmMessage;
use netlink_packet_xfrm::policy::ModifyMessage as Policy;
use netlink_packet_xfrm::state::ModifyMessage as State;

#[derive(Default)]
struct Fake {
    states: Vec<State>,
    policies: Vec<Policy>,
    /// Which request is refused, counted from 1.
    refuse: Option<usize>,
    asked: usize,
}

impl Xfrm for Fake {
    fn ask(&mut self, request: XfrmMessage) -> io::Result<()> {
        self.asked += 1;
        if self.refuse == Some(self.asked) {
            return Err(io::Error::from_raw_os_error(93));
        }
        let absent = || io::Error::from_raw_os_error(ESRCH);
        let same = |a: &Policy, b: &Policy| {
            let key = |p: &Policy| (p.user_policy_info.selector, p.user_policy_info.direction);
            key(a) == key(b)
        };
        match request {
            XfrmMessage::AddSa(new) => {
                let taken = |s: &State| s.user_sa_info.id == new.user_sa_info.id;
                if self.states.iter().any(taken) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.states.push(new);
            }
            XfrmMessage::UpdateSa(new) => {
                let old =
                    self.states.iter_mut().find(|s| s.user_sa_info.id == new.user_sa_info.id).ok_or_else(absent)?;
                old.user_sa_info.lifetime_cfg = new.user_sa_info.lifetime_cfg;
            }
            XfrmMessage::DeleteSa(which) => {
                let named = |s: &State| {
                    (s.user_sa_info.id.daddr, s.user_sa_info.id.spi) == (which.user_sa_id.daddr, which.user_sa_id.spi)
                };
                let at = self.states.iter().position(named).ok_or_else(absent)?;
                self.states.remove(at);
            }
            XfrmMessage::AddPolicy(new) => {
                if self.policies.iter().any(|p| same(p, &new)) {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                self.policies.push(new);
            }
            XfrmMessage::UpdatePolicy(new) => {
                self.policies.retain(|p| !same(p, &new));
                self.policies.push(new);
            }
            XfrmMessage::DeletePolicy(which) => {
                let named = |p: &Policy| {
                    let info = &p.user_policy_info;
                    (info.selector, info.direction) == (which.user_policy_id.selector, which.user_policy_id.direction)
                };
                let at = self.policies.iter().position(named).ok_or_else(|| io::Error::from_raw_os_error(2))?;
                self.policies.remove(at);
            }
            other => panic!("nobody asks for {}", other.message_type()),
        }
        Ok(())
    }

    fn state(&mut self, request: XfrmMessage) -> io::Result<State> {
        let XfrmMessage::GetSa(which) = request else { panic!("nobody asks for {}", request.message_type()) };
        let named = |s: &&State| {
            (s.user_sa_info.id.daddr, s.user_sa_info.id.spi) == (which.user_sa_id.daddr, which.user_sa_id.spi)
        };
        self.states.iter().find(named).cloned().ok_or_else(|| io::Error::from_raw_os_error(ESRCH))
    }

    fn states(&mut self) -> io::Result<Vec<State>> {
        Ok(self.states.clone())
    }

    fn policies(&mut self) -> io::Result<Vec<Policy>> {
        Ok(self.policies.clone())
    }
}

fn tables(range: u32) -> Tables<Fake> {
    Tables::new(Fake::default(), Range(range))
}

fn set(id: u64) -> SaSet {
    let at = u16::try_from(id).expect("few sets");
    let endpoint = |spi: u32, port_c, port_s| Endpoint { spi_c: Spi(spi), spi_s: Spi(spi + 1), port_c, port_s };
    SaSet {
        id: SaSetId(id),
        ue_address: "192.0.2.7".parse().expect("an address"),
        pcscf_address: "192.0.2.1".parse().expect("an address"),
        ue: endpoint(10_000 + 2 * u32::from(at), 31_000 + 2 * at, 31_001 + 2 * at),
        pcscf: endpoint(20_000 + 2 * u32::from(at), 5_100 + at, 6_100),
        algorithms: Algorithms { integrity: Integrity::HmacSha1, encryption: Encryption::AesCbc },
        mode: Mode::Transport,
        ck: Ck([1; 16]),
        ik: Ik([2; 16]),
        at_ue: false,
    }
}

#[test]
fn a_set_is_four_states_and_four_policies() {
    let mut tables = tables(0);
    tables.install(Instant::now(), &set(1)).expect("nothing is refused");
    tables.install(Instant::now(), &set(1)).expect("the same again");
    assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (4, 4));
    let reqid = tables.range.reqid(0);
    for (state, policy) in tables.xfrm.states.iter().zip(&tables.xfrm.policies) {
        // The kernel compares neither addresses nor ports unless both say them (docs/planes.md).
        assert_eq!(state.user_sa_info.selector, policy.user_policy_info.selector);
        assert_eq!(state.user_sa_info.selector.proto, 0, "UDP and TCP share an SA");
        assert_eq!(state.user_sa_info.reqid, reqid);
        let XfrmAttrs::Template(templates) = &policy.nlas[0] else { panic!("a template") };
        assert_eq!((templates[0].id.spi, templates[0].reqid), (state.user_sa_info.id.spi, reqid));
    }
    // TS 33.203 clause 7.1: SA 1 is port_uc to port_ps under spi_ps, SA 2 port_pc to port_us under spi_us.
    let ends = |at: usize| {
        let info = &tables.xfrm.states[at].user_sa_info;
        (info.selector.sport, info.selector.dport, info.id.spi)
    };
    assert_eq!(ends(0), (31_002, 6_100, 20_003));
    assert_eq!(ends(1), (31_003, 5_101, 20_002));
    assert_eq!(ends(2), (5_101, 31_003, 10_003));
    assert_eq!(ends(3), (6_100, 31_002, 10_002));
    tables.remove(SaSetId(1));
    assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (0, 0));
}

#[test]
fn whatever_is_refused_nothing_is_left() {
    for refuse in 1..=8 {
        let mut tables = tables(0);
        tables.xfrm.refuse = Some(refuse);
        let cause = tables.install(Instant::now(), &set(1)).expect_err("one of eight was refused");
        assert!(cause.contains("refuses a"), "{cause}");
        assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (0, 0), "request {refuse}");
        tables.install(Instant::now(), &set(1)).expect("nothing is in its way");
    }
}

#[test]
fn a_sweep_takes_what_bears_the_mark_and_nothing_else() {
    let mut earlier = tables(3);
    earlier.install(Instant::now(), &set(1)).expect("nothing is refused");
    earlier.wall_in("192.0.2.1:6100".parse().expect("an address")).expect("nothing is refused");
    let mut tables = Tables::new(earlier.xfrm, Range(0));
    tables.install(Instant::now(), &set(2)).expect("nothing is refused");
    let mut foreign = request::walls("192.0.2.1:500".parse().expect("an address"), 77, None);
    tables.xfrm.policies.append(&mut foreign.to_vec());
    foreign[0].user_policy_info.priority = 78;
    assert_eq!(tables.sweep(Range(3)).expect("swept"), Swept { states: 4, policies: 6 });
    assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (4, 6));
    assert_eq!(tables.sweep(Range(3)).expect("swept"), Swept::default());
    assert_eq!(tables.sweep(Range(0)).expect("swept"), Swept { states: 4, policies: 4 });
    assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (0, 2));
}

#[test]
fn walls_stand_until_no_state_is_left() {
    let mut tables = tables(0);
    tables.wall_in("192.0.2.1:6100".parse().expect("an address")).expect("nothing is refused");
    tables.install(Instant::now(), &set(1)).expect("nothing is refused");
    // Four policies, four states, and the first wall is refused.
    tables.xfrm.refuse = Some(tables.xfrm.asked + 9);
    tables.sweep(Range(0)).expect_err("a request was refused");
    assert_eq!((tables.xfrm.states.len(), tables.xfrm.policies.len()), (0, 2));
}

#[test]
fn a_longer_life_counts_from_the_beginning_of_a_state() {
    let mut tables = tables(0);
    let start = Instant::now();
    tables.install(start, &set(1)).expect("nothing is refused");
    let later = start + Duration::from_secs(100);
    tables.extend(later, SaSetId(1), Duration::from_secs(600)).expect("both are there");
    let states = tables.xfrm.states.iter().map(|s| s.user_sa_info.lifetime_cfg.hard_add_expires_seconds);
    let policies = tables.xfrm.policies.iter().map(|p| p.user_policy_info.lifetime_cfg.hard_add_expires_seconds);
    assert!(states.eq([701; 4]) && policies.eq([601; 4]));
}

#[test]
fn a_set_has_the_sums_of_its_states() {
    let mut tables = tables(0);
    assert_eq!(tables.counters(SaSetId(1)), None);
    tables.install(Instant::now(), &set(1)).expect("nothing is refused");
    // In the order of `request::four`: two inbound, two outbound.
    for (state, packets) in tables.xfrm.states.iter_mut().zip([1, 10, 100, 1_000]) {
        state.user_sa_info.lifetime_cur.packets = packets;
        state.user_sa_info.lifetime_cur.bytes = 100 * packets;
        state.user_sa_info.stats.replay = 2;
    }
    tables.xfrm.states[0].user_sa_info.stats.integrity_failed = 3;
    tables.xfrm.states[1].user_sa_info.stats.replay_window = 4;
    let counted = tables.counters(SaSetId(1)).expect("it is alive");
    assert_eq!((counted.opened, counted.opened_octets), (11, 1_100));
    assert_eq!((counted.sealed, counted.sealed_octets), (1_100, 110_000));
    let drops: Vec<_> = counted.drops().collect();
    assert_eq!(drops, [(esp::Drop::Replayed, 8), (esp::Drop::TooOld, 4), (esp::Drop::Icv, 3)]);
    // The kernel has ended them by itself.
    tables.xfrm.states.clear();
    assert_eq!(tables.counters(SaSetId(1)), Some(Counters::default()));
}

#[test]
fn a_port_has_its_walls_once() {
    let mut tables = tables(0);
    let port = "[2001:db8::1]:6100".parse().expect("an address");
    tables.wall_in(port).expect("nothing is refused");
    tables.wall_in(port).expect("nothing is refused");
    assert_eq!(tables.xfrm.policies.len(), 2);
    let [inward, outward] = [0, 1].map(|at| tables.xfrm.policies[at].user_policy_info);
    assert_eq!((inward.selector.dport, inward.selector.prefixlen_d, inward.selector.prefixlen_s), (6_100, 128, 0));
    assert_eq!((outward.selector.sport, outward.selector.prefixlen_s, outward.selector.prefixlen_d), (6_100, 128, 0));
    tables.tear_down(port);
    assert_eq!(ends(&tables), [1, 1], "they end one second later");
    // Opened again, the port has walls without an end.
    tables.wall_in(port).expect("nothing is refused");
    assert_eq!(ends(&tables), [0, 0]);
}

fn ends(tables: &Tables<Fake>) -> Vec<u64> {
    tables.xfrm.policies.iter().map(|p| p.user_policy_info.lifetime_cfg.hard_add_expires_seconds).collect()
}

#[test]
fn walls_of_somebody_else_keep_their_end() {
    let mut tables = tables(0);
    let port = "192.0.2.1:6100".parse().expect("an address");
    tables.xfrm.policies = request::walls(port, 77, Some(Duration::from_secs(9))).to_vec();
    tables.wall_in(port).expect("it is walled in already");
    assert_eq!(ends(&tables), [10, 10]);
}

/// What the kernel had opened before the states went is delivered by a queue of work, and would be answered in clear.
#[test]
fn at_a_stop_walls_stand_for_a_while_when_states_are_gone() {
    for (sets, waited_for) in [(1, vec![(0, 2)]), (0, vec![])] {
        let mut made = tables(0);
        made.wall_in("192.0.2.1:6100".parse().expect("an address")).expect("nothing is refused");
        for id in 1..=sets {
            made.install(Instant::now(), &set(id)).expect("nothing is refused");
            made.remove(SaSetId(id));
        }
        let tables = Rc::new(RefCell::new(made));
        let left = || (tables.borrow().xfrm.states.len(), tables.borrow().xfrm.policies.len());
        let mut seen = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(stop(Rc::clone(&tables), async { seen.push(left()) }));
        assert_eq!((seen, left()), (waited_for, (0, 0)), "{sets} sets");
    }
}

#[test]
fn the_probe_leaves_nothing_and_tells_what_the_kernel_said() {
    let mut tables = tables(0);
    tables.probe().expect("this kernel has ESP");
    assert!(tables.xfrm.states.is_empty());
    // Another process is in the middle of the same.
    let mut other = self::tables(1);
    other.xfrm.refuse = Some(3);
    other.probe().expect_err("its state stays");
    assert_eq!(other.xfrm.states.len(), 1);
    let state = other.xfrm.states.clone();
    tables.xfrm.states.clone_from(&state);
    tables.probe().expect("its own state is another");
    assert_eq!(tables.xfrm.states, state);
    tables.xfrm = Fake { refuse: Some(2), ..Fake::default() };
    assert_eq!(tables.probe().expect_err("and this one has none").raw_os_error(), Some(93));
}

#[test]
fn ends_on_one_host_are_refused() {
    let mut own = set(1);
    own.ue_address = "127.0.0.9".parse().expect("an address");
    own.pcscf_address = "127.0.0.1".parse().expect("an address");
    assert!(cannot_carry(&own).is_some_and(|cause| cause.contains("127.0.0.9")));
    assert!(is_own("127.0.0.1".parse().expect("an address")));
    assert_eq!(cannot_carry(&set(1)), None);
    // Nor are tunnels carried, and the cause names who does.
    let mode = Mode::UdpTunnel { outer_ue: set(1).ue_address };
    let cause = cannot_carry(&SaSet { mode, ..set(1) }).expect("no tunnels");
    assert!(cause.contains("UDP-enc-tun") && cause.contains("userspace"), "{cause}");
}
