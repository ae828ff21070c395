//! One row for each cell of the behaviour of TS 29.228 clause 6 (UAR, MAR, SAR, LIR): what went before, the request,
//! the answer.

use super::support::*;
use imsreg::cx::user_data::IdentityType;
use imsreg::cx::{CxResult, ServerAssignmentType as Type, UserAuthorizationType as Authorization};
use imsreg::diameter::dictionary as d;
use imsreg::hss::{HssConfig, Store};

struct Row {
    cell: &'static str,
    before: Vec<Ask>,
    ask: Ask,
    result: CxResult,
    /// Of AVPs that may be there, those that must: the others must not.
    holds: Vec<Holds>,
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Holds {
    Server(&'static str),
    Capabilities,
    UserData,
    Charging,
    Vectors,
}

fn row(cell: &'static str, before: &[Ask], ask: Ask, result: CxResult, holds: &[Holds]) -> Row {
    Row { cell, before: before.to_vec(), ask, result, holds: holds.to_vec() }
}

#[test]
fn uar() {
    use Authorization as A;
    let uar_of = |kind| uar_of(kind, "alice", "alice");
    let registered = sar(Type::Registration, "alice", &["alice"]);
    let unregistered = sar(Type::UnregisteredUser, "alice", &["alice"]);
    let (mine, first) = ([Holds::Server(SCSCF)], [Holds::Capabilities]);
    check(
        config(),
        vec![
            row("IMPI unknown", &[], super::support::uar("nobody", "alice"), CxResult::USER_UNKNOWN, &[]),
            row("IMPU unknown", &[], super::support::uar("alice", "nobody"), CxResult::USER_UNKNOWN, &[]),
            row("IMPU not distinct", &[], super::support::uar("psi", "chat!.*!"), CxResult::USER_UNKNOWN, &[]),
            row("no match", &[], super::support::uar("alice", "dave"), CxResult::IDENTITIES_DONT_MATCH, &[]),
            row("all barred", &[], super::support::uar("bob", "bob"), CxResult::AUTHORIZATION_REJECTED, &[]),
            row(
                "barred beats roaming",
                &[],
                super::support::uar("bob", "bob").in_network("far.example"),
                CxResult::AUTHORIZATION_REJECTED,
                &[],
            ),
            row(
                "barred, emergency",
                &[],
                super::support::uar("bob", "bob").emergency(),
                CxResult::FIRST_REGISTRATION,
                &first,
            ),
            row("barred, set is not", &[], super::support::uar("carol", "0017"), CxResult::FIRST_REGISTRATION, &first),
            row("any S-CSCF will do", &[], super::support::uar("erin", "erin"), CxResult::FIRST_REGISTRATION, &[]),
            row(
                "any will do, capabilities asked for",
                &[],
                super::support::uar_of(A::RegistrationAndCapabilities, "erin", "erin"),
                CxResult::SUCCESS,
                &first,
            ),
            row("home", &[], uar_of(A::Registration), CxResult::FIRST_REGISTRATION, &first),
            row(
                "roaming allowed for all",
                &[],
                uar_of(A::Registration).in_network("Partner.Example"),
                CxResult::FIRST_REGISTRATION,
                &first,
            ),
            row("roaming", &[], uar_of(A::Registration).in_network("far.example"), CxResult::ROAMING_NOT_ALLOWED, &[]),
            row(
                "roaming, type 2",
                std::slice::from_ref(&registered),
                uar_of(A::RegistrationAndCapabilities).in_network("far.example"),
                CxResult::ROAMING_NOT_ALLOWED,
                &[],
            ),
            row(
                "roaming, type 1",
                std::slice::from_ref(&registered),
                uar_of(A::DeRegistration).in_network("far.example"),
                CxResult::SUCCESS,
                &mine,
            ),
            row(
                "roaming, emergency",
                &[],
                uar_of(A::Registration).in_network("far.example").emergency(),
                CxResult::FIRST_REGISTRATION,
                &first,
            ),
            row(
                "roaming allowed for this one",
                &[],
                super::support::uar("dave", "dave").in_network("far.example"),
                CxResult::FIRST_REGISTRATION,
                &first,
            ),
            row(
                "roaming not allowed for this one",
                &[],
                super::support::uar("dave", "dave").in_network("partner.example"),
                CxResult::ROAMING_NOT_ALLOWED,
                &[],
            ),
            row(
                "registered",
                std::slice::from_ref(&registered),
                uar_of(A::Registration),
                CxResult::SUBSEQUENT_REGISTRATION,
                &mine,
            ),
            row(
                "registered, other identity of the set",
                std::slice::from_ref(&registered),
                super::support::uar("alice", "tel:+999001"),
                CxResult::SUBSEQUENT_REGISTRATION,
                &mine,
            ),
            row(
                "unregistered",
                std::slice::from_ref(&unregistered),
                uar_of(A::Registration),
                CxResult::SUBSEQUENT_REGISTRATION,
                &mine,
            ),
            row(
                "registered, type 1",
                std::slice::from_ref(&registered),
                uar_of(A::DeRegistration),
                CxResult::SUCCESS,
                &mine,
            ),
            row(
                "unregistered, type 1",
                std::slice::from_ref(&unregistered),
                uar_of(A::DeRegistration),
                CxResult::SUCCESS,
                &mine,
            ),
            row(
                "authentication pending",
                &[mar("alice", "alice")],
                uar_of(A::Registration),
                CxResult::SUBSEQUENT_REGISTRATION,
                &mine,
            ),
            row("not registered, type 1", &[], uar_of(A::DeRegistration), CxResult::IDENTITY_NOT_REGISTERED, &[]),
            row(
                "pending, type 1",
                &[mar("alice", "alice")],
                uar_of(A::DeRegistration),
                CxResult::IDENTITY_NOT_REGISTERED,
                &[],
            ),
            row("type 2", &[], uar_of(A::RegistrationAndCapabilities), CxResult::SUCCESS, &first),
            row(
                "type 2, registered",
                std::slice::from_ref(&registered),
                uar_of(A::RegistrationAndCapabilities),
                CxResult::SUCCESS,
                &first,
            ),
        ],
    );
}

#[test]
fn mar_cells() {
    let vectors = [Holds::Vectors];
    let of_scheme = |name| match mar("alice", "alice") {
        Ask::Mar { impi, impu, items, server, resync, .. } => {
            Ask::Mar { impi, impu, items, scheme: name, server, resync }
        }
        other => other,
    };
    let uar = || super::support::uar("alice", "alice");
    let registered = || sar(Type::Registration, "alice", &["alice"]);
    let resync = || match mar("alice", "alice").by_other() {
        Ask::Mar { impi, impu, items, scheme, server, .. } => {
            Ask::Mar { impi, impu, items, scheme, server, resync: Some(vec![0; 30]) }
        }
        other => other,
    };
    check(
        config(),
        vec![
            row("IMPI unknown", &[], mar("nobody", "alice"), CxResult::USER_UNKNOWN, &[]),
            row("IMPU unknown", &[], mar("alice", "nobody"), CxResult::USER_UNKNOWN, &[]),
            row("no match", &[], mar("alice", "dave"), CxResult::IDENTITIES_DONT_MATCH, &[]),
            row("scheme", &[], of_scheme("SIP Digest"), CxResult::AUTH_SCHEME_NOT_SUPPORTED, &[]),
            row("scheme of TLS", &[], of_scheme("NASS-Bundled"), CxResult::AUTH_SCHEME_NOT_SUPPORTED, &[]),
            row("scheme left open", &[], of_scheme("Unknown"), CxResult::SUCCESS, &vectors),
            row("AKA", &[], mar("alice", "alice"), CxResult::SUCCESS, &vectors),
            row(
                "name stored",
                &[mar("alice", "alice").by_other()],
                uar(),
                CxResult::SUBSEQUENT_REGISTRATION,
                &[Holds::Server(OTHER_SCSCF)],
            ),
            row(
                "name overwritten although registered",
                &[registered(), mar("alice", "alice").by_other()],
                uar(),
                CxResult::SUBSEQUENT_REGISTRATION,
                &[Holds::Server(OTHER_SCSCF)],
            ),
            row(
                "name kept: AUTS of a registered user",
                &[registered(), resync()],
                uar(),
                CxResult::SUBSEQUENT_REGISTRATION,
                &[Holds::Server(SCSCF)],
            ),
            row(
                "no pending flag when registered: a failed re-authentication leaves the name",
                &[registered(), mar("alice", "alice"), sar(Type::AuthenticationFailure, "alice", &["alice"])],
                uar(),
                CxResult::SUBSEQUENT_REGISTRATION,
                &[Holds::Server(SCSCF)],
            ),
        ],
    );
}

#[test]
fn sar_cells() {
    let data = [Holds::UserData, Holds::Charging];
    let alice = |kind| sar(kind, "alice", &["alice"]);
    let uar = || super::support::uar("alice", "alice");
    let known = |ask: Ask| match ask {
        Ask::Sar { impi, impus, kind, server, .. } => Ask::Sar { impi, impus, kind, server, have: true },
        other => other,
    };
    let mut rows = Vec::new();
    for kind in [Type::Registration, Type::ReRegistration] {
        rows.extend([
            row("IMPI unknown", &[], sar(kind, "nobody", &["alice"]), CxResult::USER_UNKNOWN, &[]),
            row("IMPU unknown", &[], sar(kind, "alice", &["nobody"]), CxResult::USER_UNKNOWN, &[]),
            row("no match", &[], sar(kind, "alice", &["dave"]), CxResult::IDENTITIES_DONT_MATCH, &[]),
            row("PSI", &[], sar(kind, "psi", &["service"]), CxResult::IN_ASSIGNMENT_TYPE, &[]),
            row("several", &[], sar(kind, "alice", &["alice", "tel:+999001"]), CxResult::Base(5009), &[]),
            row("first", &[], alice(kind), CxResult::SUCCESS, &data),
            row("again", &[alice(kind)], alice(kind), CxResult::SUCCESS, &data),
            row("data known", &[], known(alice(kind)), CxResult::SUCCESS, &[]),
            row("no charging", &[], sar(kind, "dave", &["dave"]), CxResult::SUCCESS, &[Holds::UserData]),
            row(
                "other S-CSCF",
                &[alice(kind)],
                alice(kind).by_other(),
                CxResult::IDENTITY_ALREADY_REGISTERED,
                &[Holds::Server(SCSCF)],
            ),
            row(
                "other S-CSCF after MAR",
                &[alice(kind), mar("alice", "alice").by_other()],
                alice(kind).by_other(),
                CxResult::SUCCESS,
                &data,
            ),
            row("whole set", &[alice(kind)], lir("tel:+999001"), CxResult::SUCCESS, &[Holds::Server(SCSCF)]),
            row(
                "clears pending",
                &[mar("alice", "alice"), alice(kind), alice(Type::UserDeregistration)],
                uar(),
                CxResult::FIRST_REGISTRATION,
                &[Holds::Capabilities],
            ),
        ]);
    }
    let unregistered = || alice(Type::UnregisteredUser);
    rows.extend([
        row("3", &[], unregistered(), CxResult::SUCCESS, &data),
        row("3, no IMPI", &[], sar(Type::UnregisteredUser, "", &["alice"]), CxResult::SUCCESS, &data),
        row("3, data known", &[], known(unregistered()), CxResult::SUCCESS, &[]),
        row("3, several", &[], sar(Type::UnregisteredUser, "", &["alice", "tel:+999001"]), CxResult::Base(5009), &[]),
        row("3, name", &[unregistered()], lir("alice"), CxResult::SUCCESS, &[Holds::Server(SCSCF)]),
        row("3, unregistered elsewhere", &[unregistered()], unregistered().by_other(), CxResult::SUCCESS, &data),
        row(
            "3, registered elsewhere",
            &[alice(Type::Registration)],
            unregistered().by_other(),
            CxResult::IDENTITY_ALREADY_REGISTERED,
            &[Holds::Server(SCSCF)],
        ),
        row(
            "0, name is the requester's",
            &[alice(Type::Registration)],
            alice(Type::NoAssignment),
            CxResult::SUCCESS,
            &data,
        ),
        row("0, no name", &[], alice(Type::NoAssignment), CxResult::UNABLE_TO_COMPLY, &[]),
        row(
            "0, other name",
            &[alice(Type::Registration)],
            alice(Type::NoAssignment).by_other(),
            CxResult::UNABLE_TO_COMPLY,
            &[],
        ),
        row(
            "0 changes nothing",
            &[unregistered(), alice(Type::NoAssignment)],
            unregistered().by_other(),
            CxResult::SUCCESS,
            &data,
        ),
    ]);
    for kind in [
        Type::TimeoutDeregistration,
        Type::UserDeregistration,
        Type::AdministrativeDeregistration,
        Type::DeregistrationTooMuchData,
    ] {
        let all = sar(kind, "alice", &[]);
        rows.extend([
            row("ends", &[alice(Type::Registration)], known(alice(kind)), CxResult::SUCCESS, &[]),
            row("ends, no profile", &[alice(Type::Registration)], alice(kind), CxResult::SUCCESS, &[]),
            row("ends, unknown", &[], sar(kind, "alice", &["nobody"]), CxResult::USER_UNKNOWN, &[]),
            row("ends, no match", &[], sar(kind, "", &["alice", "dave"]), CxResult::IDENTITIES_DONT_MATCH, &[]),
            row("several", &[], sar(kind, "alice", &["alice", "tel:+999001"]), CxResult::SUCCESS, &[]),
            row(
                "ended",
                &[alice(Type::Registration), sar(kind, "", &["tel:+999001"])],
                uar(),
                CxResult::FIRST_REGISTRATION,
                &[Holds::Capabilities],
            ),
            row(
                "all ended",
                &[alice(Type::Registration), all],
                uar(),
                CxResult::FIRST_REGISTRATION,
                &[Holds::Capabilities],
            ),
        ]);
    }
    for kind in [Type::AuthenticationFailure, Type::AuthenticationTimeout] {
        rows.extend([
            row("9, 10", &[mar("alice", "alice")], alice(kind), CxResult::SUCCESS, &[]),
            row(
                "9, 10: name goes",
                &[mar("alice", "alice"), alice(kind)],
                uar(),
                CxResult::FIRST_REGISTRATION,
                &[Holds::Capabilities],
            ),
            row(
                "9, 10: name of an unregistered user stays",
                &[unregistered(), mar("alice", "alice"), alice(kind)],
                uar(),
                CxResult::SUBSEQUENT_REGISTRATION,
                &[Holds::Server(SCSCF)],
            ),
            row("9, 10: several", &[], sar(kind, "alice", &["alice", "tel:+999001"]), CxResult::Base(5009), &[]),
        ]);
    }
    check(config(), rows);
    for kind in [Type::TimeoutDeregistrationStoreServerName, Type::UserDeregistrationStoreServerName] {
        let ended = [alice(Type::Registration), alice(kind)];
        check(
            config(),
            vec![
                row("6, 7", &ended[..1], alice(kind), CxResult::SERVER_NAME_NOT_STORED, &[]),
                row("6, 7: ended", &ended, uar(), CxResult::FIRST_REGISTRATION, &[Holds::Capabilities]),
            ],
        );
        let keeping = HssConfig { store_server_name: true, ..config() };
        check(
            keeping,
            vec![
                row("6, 7 kept", &ended[..1], alice(kind), CxResult::SUCCESS, &[]),
                row("6, 7: name", &ended, uar(), CxResult::SUBSEQUENT_REGISTRATION, &[Holds::Server(SCSCF)]),
                row("6, 7: unregistered", &ended, alice(Type::UnregisteredUser).by_other(), CxResult::SUCCESS, &data),
            ],
        );
    }
}

#[test]
fn lir_cells() {
    let (mine, any) = ([Holds::Server(SCSCF)], [Holds::Capabilities]);
    let originating = |impu| Ask::Lir { impu: full(impu), originating: true, kind: None };
    let reselect = |impu| Ask::Lir {
        impu: full(impu),
        originating: false,
        kind: Some(Authorization::RegistrationAndCapabilities),
    };
    let registered = || sar(Type::Registration, "alice", &["alice"]);
    check(
        config(),
        vec![
            row("unknown", &[], lir("nobody"), CxResult::USER_UNKNOWN, &[]),
            row("registered", &[registered()], lir("alice"), CxResult::SUCCESS, &mine),
            row("unregistered", &[sar(Type::UnregisteredUser, "", &["alice"])], lir("alice"), CxResult::SUCCESS, &mine),
            row("not registered", &[], lir("alice"), CxResult::IDENTITY_NOT_REGISTERED, &[]),
            row("pending", &[mar("alice", "alice")], lir("alice"), CxResult::IDENTITY_NOT_REGISTERED, &[]),
            row("originating", &[], originating("alice"), CxResult::UNREGISTERED_SERVICE, &any),
            row("originating, pending", &[mar("alice", "alice")], originating("alice"), CxResult::SUCCESS, &mine),
            row("unregistered services", &[], lir("eve"), CxResult::UNREGISTERED_SERVICE, &any),
            row("unregistered services, pending", &[mar("eve", "eve")], lir("eve"), CxResult::SUCCESS, &mine),
            row("services of both parts", &[], lir("frank"), CxResult::UNREGISTERED_SERVICE, &any),
            row("registered services only", &[], lir("grace"), CxResult::IDENTITY_NOT_REGISTERED, &[]),
            row("PSI", &[], lir("service"), CxResult::IDENTITY_NOT_REGISTERED, &[]),
            row("another S-CSCF wanted", &[registered()], reselect("alice"), CxResult::SUCCESS, &any),
        ],
    );
}

fn check(config: HssConfig, rows: Vec<Row>) {
    for row in rows {
        let mut lab = Lab::new(config.clone(), store());
        for ask in &row.before {
            let _ = lab.cx(ask);
        }
        let answer = lab.cx(&row.ask);
        let cell = format!("{}: {:?}", row.cell, row.ask);
        assert_eq!(answer.result(), row.result, "{cell}");
        let server = row.holds.iter().find_map(|holds| match holds {
            Holds::Server(name) => Some(*name),
            _ => None,
        });
        assert_eq!(answer.server_name(), server, "{cell}");
        for (holds, code) in [
            (Holds::Capabilities, d::SERVER_CAPABILITIES),
            (Holds::UserData, d::USER_DATA),
            (Holds::Charging, d::CHARGING_INFORMATION),
            (Holds::Vectors, d::SIP_AUTH_DATA_ITEM),
        ] {
            assert_eq!(answer.has(code), row.holds.contains(&holds), "{holds:?}, {cell}");
        }
    }
}

fn store() -> Store {
    let mut store = Store::default();
    let mut alice = subscriber("alice", &["alice", "tel:+999001"]);
    alice.charging[2] = Some("aaa://ccf.example".into());
    let mut bob = subscriber("bob", &["bob"]);
    bob.profiles[0].identities[0].barred = true;
    let mut carol = subscriber("carol", &["0017", "carol"]);
    carol.profiles[0].identities[0].barred = true;
    let mut dave = subscriber("dave", &["dave"]);
    dave.visited_networks = Some(vec!["far.example".into()]);
    // A secondary name alone is no Charging-Information.
    dave.charging[3] = Some("aaa://ccf2.example".into());
    let mut erin = subscriber("erin", &["erin"]);
    erin.capabilities = Some((Vec::new(), Vec::new()));
    let mut psi = subscriber("psi", &["service", "chat!.*!"]);
    psi.profiles[0].identities[0].kind = IdentityType::DistinctPsi;
    psi.profiles[0].identities[1].kind = IdentityType::WildcardedPsi;
    let mut subscribers = vec![alice, bob, carol, dave, erin, psi];
    for (name, part) in [("eve", Some(false)), ("frank", None), ("grace", Some(true))] {
        let mut subscriber = subscriber(name, &[name]);
        subscriber.profiles[0].filter_criteria.push(criteria(part));
        subscribers.push(subscriber);
    }
    for subscriber in subscribers {
        store.add(subscriber).unwrap();
    }
    store
}
