//! What the HSS records, and what the next one makes of it.

use super::support::*;
use imsreg::aka::vector::SubscriberKeys;
use imsreg::cx::{CxResult, Maa, ReasonCode, Rtr, ServerAssignmentType as Type, UserAuthorizationType};
use imsreg::hss::store::{KeyTemplate, OperatorTemplate, RangeKeys, SubscriberRange};
use imsreg::hss::{HssConfig, RecordFault, Restored, SqnScheme, Store};
use imsreg::random::Random;
use imsreg::time::Duration;

fn store() -> Store {
    let mut store = Store::default();
    for name in NAMES {
        store.add(subscriber(name, &[name])).unwrap();
    }
    store
}

/// An HSS that goes on from `journal`.
fn started_from(config: HssConfig, store: Store, journal: &Journal) -> Lab {
    let mut lab = Lab::new(config, store);
    for (key, value) in journal {
        assert_eq!(lab.hss.restore(key, value), Ok(Restored::Taken));
    }
    lab.hss.record_changes();
    lab.journal = journal.clone();
    lab
}

fn sqn(keys: &SubscriberKeys, answer: &Answer) -> u64 {
    let maa = Maa::decode(&answer.bytes).unwrap();
    let challenge = maa.items[0].authenticate.unwrap();
    let ak = keys.outputs(challenge[..16].try_into().unwrap()).ak;
    (0..6).fold(0, |sqn, i| sqn << 8 | u64::from(challenge[16 + i] ^ ak[i]))
}

#[test]
fn nothing_is_recorded_unless_asked_for() {
    let mut lab = Lab::new(config(), store());
    lab.cx(&mar("alice", "alice"));
    lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    assert!(lab.journal.is_empty());
}

#[test]
fn only_requests_that_change_something_are_recorded() {
    let mut lab = started_from(config(), store(), &Journal::new());
    lab.cx(&uar("alice", "alice"));
    lab.cx(&lir("alice"));
    lab.cx(&mar("alice", "bob"));
    lab.cx(&mar("nobody", "alice"));
    assert!(lab.journal.is_empty());
    lab.cx(&mar("alice", "alice"));
    lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    assert_eq!(lab.journal.len(), 1);
    let before = std::mem::take(&mut lab.journal);
    lab.cx(&sar(Type::NoAssignment, "alice", &["alice"]));
    lab.cx(&sar(Type::Registration, "alice", &["alice"]).by_other());
    assert!(lab.journal.is_empty(), "read, refused");
    assert_eq!(
        before.keys().next().map(|key| String::from_utf8_lossy(key).into_owned()),
        Some(format!("alice@{REALM}"))
    );
}

#[test]
fn the_next_hss_goes_on() {
    let mut lab = started_from(config(), store(), &Journal::new());
    let keys = keys();
    let first = sqn(&keys, &lab.cx(&mar("alice", "alice")));
    lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    lab.cx(&mar("bob", "bob"));

    let mut lab = started_from(config(), store(), &lab.journal);
    let uaa = lab.cx(&uar("alice", "alice"));
    assert_eq!((uaa.result(), uaa.server_name()), (CxResult::SUBSEQUENT_REGISTRATION, Some(SCSCF)));
    let lia = lab.cx(&lir("alice"));
    assert_eq!((lia.result(), lia.server_name()), (CxResult::SUCCESS, Some(SCSCF)));
    assert_eq!(lab.cx(&lir("bob")).result(), CxResult::IDENTITY_NOT_REGISTERED);
    let refused = lab.cx(&sar(Type::Registration, "alice", &["alice"]).by_other());
    assert_eq!(refused.result(), CxResult::IDENTITY_ALREADY_REGISTERED);
    assert_eq!(sqn(&keys, &lab.cx(&mar("alice", "alice"))), first + 32);
    // The challenge of bob is still awaited: its S-CSCF is named to the second REGISTER.
    let uaa = lab.cx(&uar_of(UserAuthorizationType::Registration, "bob", "bob"));
    assert_eq!((uaa.result(), uaa.server_name()), (CxResult::SUBSEQUENT_REGISTRATION, Some(SCSCF)));
}

/// TS 29.228 clause 6.1.3: the S-CSCF that loses a user is told, though the HSS began anew between MAR and SAR.
#[test]
fn who_loses_a_user_is_told_by_the_next_hss() {
    let mut lab = started_from(config(), store(), &Journal::new());
    lab.cx(&mar("alice", "alice"));
    lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    lab.cx(&mar("alice", "alice").by_other());

    let mut lab = started_from(config(), store(), &lab.journal);
    let sent = lab.cx_sends(&sar(Type::Registration, "alice", &["alice"]).by_other());
    let rtr = Rtr::decode(&sent[1]).unwrap();
    assert_eq!((rtr.reason, rtr.envelope.destination_host), (ReasonCode::NewServerAssigned, Some("cscf.example")));

    // It has been told: the one after next does not do it again.
    let mut lab = started_from(config(), store(), &lab.journal);
    assert_eq!(lab.cx_sends(&sar(Type::ReRegistration, "alice", &["alice"]).by_other()).len(), 1);
}

#[test]
fn a_higher_sqn_of_the_subscriber_file_counts() {
    let mut lab = started_from(config(), store(), &Journal::new());
    lab.cx(&mar("alice", "alice"));
    let mut store = Store::default();
    store.add(imsreg::hss::Subscriber { sqn: 0x1000, ..subscriber("alice", &["alice"]) }).unwrap();
    let mut lab = started_from(config(), store, &lab.journal);
    assert_eq!(sqn(&keys(), &lab.cx(&mar("alice", "alice"))), 0x1020);
}

#[test]
fn a_member_of_a_range_is_found_by_its_name() {
    let range = || {
        let mut first = subscriber("001010000000001", &["001010000000001", "tel:+999000001"]);
        first.sqn = 0x40;
        let key = |octet| KeyTemplate { octets: [octet; 16], imsi_at: Some(0) };
        let keys = RangeKeys { k: key(1), operator: OperatorTemplate::Opc(key(2)) };
        let (imsi, msisdn) = ("001010000000001".into(), Some("+999000001".into()));
        SubscriberRange { first, imsi, msisdn, count: 1000, keys }
    };
    let mut lab = started_from(
        config(),
        {
            let mut s = Store::default();
            s.add_range(range()).unwrap();
            s
        },
        &Journal::new(),
    );
    // Asked by public identity alone: the record has the private one.
    lab.cx(&sar(Type::UnregisteredUser, "", &["001010000000777"]));
    let key = format!("001010000000777@{REALM}").into_bytes();
    assert_eq!(lab.journal.keys().collect::<Vec<_>>(), [&key]);
    // Somebody else comes first in the file now: records go by name, not by place.
    let mut store = store();
    store.add_range(range()).unwrap();
    let mut lab = started_from(config(), store, &lab.journal);
    assert_eq!(lab.cx(&lir("001010000000777")).server_name(), Some(SCSCF));
    assert_eq!(lab.cx(&lir("001010000000001")).result(), CxResult::IDENTITY_NOT_REGISTERED);
}

#[test]
fn records_of_strangers_and_damaged_ones_are_told() {
    let mut lab = started_from(config(), store(), &Journal::new());
    lab.cx(&mar("alice", "alice"));
    let (key, value) = lab.journal.pop_first().unwrap();
    let hss = &mut lab.hss;
    assert_eq!(hss.restore(b"carol@example", &value), Ok(Restored::UnknownSubscriber));
    assert_eq!(hss.restore(&key, &value[..9]), Err(RecordFault::Truncated("SQN")));
    assert_eq!(hss.restore(b"\xff", &value), Err(RecordFault::Key));
}

/// The process may die at any moment: before the record is on the disk, between record and answer, after the answer.
#[test]
fn whenever_it_dies_no_sqn_comes_twice_and_no_answered_sar_is_forgotten() {
    for scheme in [SqnScheme::Counter, SqnScheme::TimeBased] {
        for seed in 0..20 {
            one_life_after_another(HssConfig { sqn: scheme, ..config() }, seed);
        }
    }
}

fn one_life_after_another(config: HssConfig, seed: u64) {
    let mut random = Random::seeded(seed);
    let mut lab = started_from(config.clone(), store(), &Journal::new());
    let keys = keys();
    let mut given = [0; NAMES.len()];
    // What the last answered SAR said; `None` after one whose answer was lost.
    let mut promised = [Some(false); NAMES.len()];
    for step in 0..300 {
        let who = random.below(NAMES.len() as u32) as usize;
        let name = NAMES[who];
        let before = lab.journal.clone();
        lab.now += Duration::from_millis(random.below(3_000).into());
        let death = random.below(10);
        let answered = death != 0 && death != 1;
        if random.below(2) == 0 {
            let answer = lab.cx(&mar(name, name));
            let sqn = sqn(&keys, &answer);
            if answered {
                assert!(sqn > given[who], "seed {seed}, step {step}: {sqn:x} after {:x}", given[who]);
                given[who] = sqn;
            }
        } else {
            let registers = random.below(2) == 0;
            let kind = if registers { Type::Registration } else { Type::UserDeregistration };
            assert_eq!(lab.cx(&sar(kind, name, &[name])).result(), CxResult::SUCCESS);
            promised[who] = answered.then_some(registers);
        }
        let (now, journal) = match death {
            // Not even the record was written.
            0 => (lab.now, before),
            // Written, not answered; or answered.
            1 | 2 => (lab.now, lab.journal.clone()),
            _ => continue,
        };
        lab = started_from(config.clone(), store(), &journal);
        lab.now = now;
        for (name, promised) in NAMES.iter().zip(&promised) {
            let is_registered = lab.cx(&lir(name)).result() == CxResult::SUCCESS;
            assert!(promised.is_none_or(|promised| promised == is_registered), "seed {seed}, step {step}: {name}");
        }
    }
}

const NAMES: [&str; 3] = ["alice", "bob", "chris"];
