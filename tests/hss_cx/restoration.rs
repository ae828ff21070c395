//! S-CSCF restoration information (TS 29.228 clause 6.1.2.1, TS 23.380).

use super::support::*;
use imsreg::cx::{CxResult, Saa, ServerAssignmentType as Type, UserAuthorizationType};
use imsreg::hss::Store;

const FIRST: &str = "<sip:10.0.0.1:31001>";
const SECOND: &str = "<sip:10.0.0.2:31001>";

fn store() -> Store {
    let mut store = Store::default();
    for name in ["alice", "bob"] {
        store.add(subscriber(name, &[name, &format!("{name}.work")])).unwrap();
    }
    store
}

/// Alice is registered, and her S-CSCF has left `FIRST`.
fn registered() -> Lab {
    let mut lab = Lab::new(config(), store());
    lab.hss.record_changes();
    lab.supports_restoration = true;
    leave(&mut lab, Type::Registration, FIRST);
    lab
}

fn leave(lab: &mut Lab, kind: Type, contact: &'static str) {
    lab.restoration = Some((format!("alice@{REALM}"), contact));
    let saa = lab.cx(&sar(kind, "alice", &["alice"]));
    assert_eq!(saa.result(), CxResult::SUCCESS);
    assert_eq!(contacts(&saa), [""; 0], "it has it");
    lab.restoration = None;
}

fn contacts(answer: &Answer) -> Vec<String> {
    let saa = Saa::decode(&answer.bytes).unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    saa.restoration.iter().flat_map(|info| &info.bindings).map(|binding| text(binding.contact)).collect()
}

#[test]
fn it_comes_back_with_the_profile_for_each_identity_of_the_set() {
    let mut lab = registered();
    for impu in ["alice", "alice.work"] {
        for kind in [Type::NoAssignment, Type::UnregisteredUser] {
            let saa = lab.cx(&sar(kind, "", &[impu]));
            assert_eq!((saa.result(), contacts(&saa)), (CxResult::SUCCESS, vec![FIRST.to_owned()]), "{impu} {kind:?}");
            let saa = Saa::decode(&saa.bytes).unwrap();
            assert!(saa.user_data.is_some() && saa.supports_restoration);
            assert_eq!(saa.restoration[0].impi, format!("alice@{REALM}"));
            assert_eq!(saa.restoration[0].ends_at, Some(1_800_000_000));
        }
    }
    // Type 3 has not made an unregistered user of her: the S-CSCF goes on with the registration.
    let uaa = lab.cx(&uar("alice", "alice"));
    assert_eq!((uaa.result(), uaa.server_name()), (CxResult::SUBSEQUENT_REGISTRATION, Some(SCSCF)));
    assert_eq!(
        lab.cx(&sar(Type::UnregisteredUser, "", &["alice"]).by_other()).result(),
        CxResult::IDENTITY_ALREADY_REGISTERED
    );
}

#[test]
fn a_refresh_replaces_it_or_leaves_it() {
    let mut lab = registered();
    leave(&mut lab, Type::ReRegistration, SECOND);
    assert_eq!(lab.cx(&sar(Type::ReRegistration, "alice", &["alice"])).result(), CxResult::SUCCESS);
    assert_eq!(contacts(&lab.cx(&sar(Type::NoAssignment, "", &["alice"]))), [SECOND]);
}

/// Multiple-Registration-Indication: the S-CSCF has lost the other Contacts, or the user would not be new to it.
#[test]
fn with_one_more_contact_the_others_come_back() {
    let mut lab = registered();
    lab.multiple_registration = true;
    lab.restoration = Some((format!("alice@{REALM}"), SECOND));
    let saa = lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    assert_eq!(contacts(&saa), [FIRST]);
    // This one is stored: the S-CSCF leaves both with its next SAR.
    assert_eq!(contacts(&lab.cx(&sar(Type::NoAssignment, "", &["alice"]))), [SECOND]);
    let saa = lab.cx(&sar(Type::ReRegistration, "alice", &["alice"]));
    assert_eq!(contacts(&saa), [""; 0], "who refreshes has them");
    lab.cx(&sar(Type::UserDeregistration, "alice", &["alice"]));
    assert_eq!(contacts(&lab.cx(&sar(Type::Registration, "alice", &["alice"]))), [""; 0]);
}

#[test]
fn it_goes_with_the_registration() {
    for end in [Type::UserDeregistration, Type::TimeoutDeregistration, Type::TimeoutDeregistrationStoreServerName] {
        let mut lab = registered();
        lab.cx(&sar(end, "alice", &["alice"]));
        lab.cx(&sar(Type::UnregisteredUser, "", &["alice"]));
        assert_eq!(contacts(&lab.cx(&sar(Type::NoAssignment, "", &["alice"]))), [""; 0], "{end:?}");
    }
    // An S-CSCF that leaves nothing begins anew.
    let mut lab = registered();
    lab.cx(&sar(Type::Registration, "alice", &["alice"]));
    assert_eq!(contacts(&lab.cx(&sar(Type::NoAssignment, "", &["alice"]))), [""; 0]);
}

#[test]
fn only_who_knows_of_it_gets_it() {
    let mut lab = registered();
    lab.supports_restoration = false;
    let saa = lab.cx(&sar(Type::NoAssignment, "", &["alice"]));
    assert_eq!((saa.result(), contacts(&saa)), (CxResult::SUCCESS, vec![]));
    assert!(!Saa::decode(&saa.bytes).unwrap().supports_restoration);
    // Without the feature type 3 means what it says.
    lab.cx(&sar(Type::UnregisteredUser, "", &["alice"]));
    lab.supports_restoration = true;
    assert_eq!(contacts(&lab.cx(&sar(Type::NoAssignment, "", &["alice"]))), [""; 0]);
}

#[test]
fn it_must_be_of_the_same_user() {
    let mut lab = registered();
    lab.restoration = Some((format!("bob@{REALM}"), SECOND));
    assert_eq!(lab.cx(&sar(Type::ReRegistration, "alice", &["alice"])).result(), CxResult::IDENTITIES_DONT_MATCH);
}

#[test]
fn another_s_cscf_takes_over_when_an_i_cscf_has_asked_for_one() {
    let by_uar = uar_of(UserAuthorizationType::RegistrationAndCapabilities, "alice", "alice");
    let by_lir = Ask::Lir {
        impu: full("alice"),
        originating: false,
        kind: Some(UserAuthorizationType::RegistrationAndCapabilities),
    };
    for asked in [by_uar, by_lir] {
        let mut lab = registered();
        lab.cx(&asked);
        // Also when the HSS has been started again in between.
        let journal = std::mem::take(&mut lab.journal);
        let mut lab = Lab::new(config(), store());
        for (key, value) in &journal {
            lab.hss.restore(key, value).unwrap();
        }
        lab.supports_restoration = true;
        let saa = lab.cx(&sar(Type::UnregisteredUser, "", &["alice"]).by_other());
        assert_eq!((saa.result(), contacts(&saa)), (CxResult::SUCCESS, vec![FIRST.to_owned()]));
        assert_eq!(lab.cx(&lir("alice")).server_name(), Some(OTHER_SCSCF));
        // That was one takeover, not leave for many.
        assert_eq!(
            lab.cx(&sar(Type::Registration, "alice", &["alice"])).result(),
            CxResult::IDENTITY_ALREADY_REGISTERED
        );
    }
}
