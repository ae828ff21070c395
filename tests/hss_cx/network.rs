//! RTR and PPR (TS 29.228 clauses 6.1.3 and 6.2): what the HSS sends, and what its state is after the answer.

use crate::support::{Lab, OTHER_SCSCF, REALM, SCSCF, config, full, identity, mar, sar, subscriber, uar, uar_of};
use imsreg::cx::user_data::{ImsSubscription, ServiceProfile};
use imsreg::cx::{
    CxResult, Envelope, Ppa, Ppr, ReasonCode, Rta, Rtr, Saa, ServerAssignmentType as Type, Uaa, UserAuthorizationType,
};
use imsreg::diameter::{Header, Writer};
use imsreg::hss::{NotSent, Store};

fn lab() -> Lab {
    let mut store = Store::default();
    store.add(subscriber("alice", &["alice", "tel:+1"])).unwrap();
    store.add(subscriber("bob", &["bob"])).unwrap();
    Lab::new(config(), store)
}

fn registered() -> Lab {
    let mut lab = lab();
    assert_eq!(lab.cx(&sar(Type::Registration, "alice", &["alice"])).result(), CxResult::SUCCESS);
    lab
}

/// The S-CSCF answers a request of the HSS.
fn answer(lab: &mut Lab, request: &[u8], write: impl FnOnce(&Envelope<'_>, &mut Writer<'_>)) -> Vec<Vec<u8>> {
    let header = Header::parse(request).unwrap();
    let envelope = Envelope { session_id: "s", origin_host: "cscf.example", origin_realm: REALM };
    let mut bytes = Vec::new();
    let mut w = Writer::new(&mut bytes, &header.answer(false));
    write(&envelope, &mut w);
    w.finish();
    lab.receive(&bytes)
}

fn rta(lab: &mut Lab, request: &[u8], result: CxResult, emergency: &[(&str, &str)]) {
    let sent = answer(lab, request, |envelope, w| {
        Rta { envelope: *envelope, result, emergency: emergency.to_vec() }.encode(w);
    });
    assert!(sent.is_empty());
}

/// The S-CSCF that the HSS would send the next REGISTER to.
fn server(lab: &mut Lab) -> Option<String> {
    let answer = lab.cx(&uar("alice", "alice"));
    Uaa::decode(&answer.bytes).unwrap().server_name.map(str::to_owned)
}

#[test]
fn an_rtr_clears_the_state_once_the_s_cscf_agrees() {
    let alice = format!("alice@{REALM}");
    for (reason, identity) in [(ReasonCode::PermanentTermination, alice.as_str()), (ReasonCode::ServerChange, "tel:+1")]
    {
        let mut lab = registered();
        let sent = lab.command(|hss, now, out| hss.deregister(now, identity, reason, out).unwrap());
        let rtr = Rtr::decode(&sent[0]).unwrap();
        assert_eq!((rtr.impi, rtr.reason, rtr.impus.len()), (alice.as_str(), reason, 0));
        assert_eq!(rtr.envelope.destination_host, Some("cscf.example"), "the Origin-Host of its SAR");
        assert_eq!(server(&mut lab).as_deref(), Some(SCSCF), "not before the answer");
        rta(&mut lab, &sent[0], CxResult::SUCCESS, &[]);
        assert_eq!(server(&mut lab), None);
    }
}

#[test]
fn a_refusal_and_what_is_protected_leave_the_state_as_it_is() {
    let alice = format!("alice@{REALM}");
    let protected = [(alice.as_str(), "sip:alice")];
    for (reason, result, emergency) in [
        (ReasonCode::PermanentTermination, CxResult::UNABLE_TO_COMPLY, &protected[..]),
        (ReasonCode::PermanentTermination, CxResult::LIMITED_SUCCESS, &protected[..]),
        (ReasonCode::PermanentTermination, CxResult::USER_UNKNOWN, &[]),
        (ReasonCode::RemoveScscf, CxResult::SUCCESS, &[]),
        (ReasonCode::NewServerAssigned, CxResult::SUCCESS, &[]),
    ] {
        let mut lab = registered();
        let sent = lab.command(|hss, now, out| hss.deregister(now, "tel:+1", reason, out).unwrap());
        let rtr = Rtr::decode(&sent[0]).unwrap();
        let named = if reason == ReasonCode::NewServerAssigned { vec![full("alice"), "tel:+1".into()] } else { vec![] };
        assert_eq!(rtr.impus, named, "{reason:?}");
        rta(&mut lab, &sent[0], result, emergency);
        assert_eq!(server(&mut lab).as_deref(), Some(SCSCF), "{reason:?} {result}");
    }
}

#[test]
fn the_s_cscf_that_loses_a_user_to_another_one_is_told() {
    let alice = format!("alice@{REALM}");
    let registered = || {
        let mut lab = registered();
        assert_eq!(lab.cx(&mar("alice", "alice").by_other()).result(), CxResult::SUCCESS, "it overwrites the name");
        lab
    };
    for kind in [Type::Registration, Type::ReRegistration, Type::UnregisteredUser] {
        let mut lab = registered();
        let sent = lab.cx_sends(&sar(kind, "alice", &["alice"]).by_other());
        assert_eq!(Saa::decode(&sent[0]).unwrap().result, CxResult::SUCCESS, "the new one has him first");
        let rtr = Rtr::decode(&sent[1]).unwrap();
        assert_eq!(rtr.envelope.destination_host, Some("cscf.example"), "{kind:?}: the one that had him");
        let named = [full("alice"), "tel:+1".to_owned()];
        assert_eq!(
            (rtr.impi, rtr.reason, rtr.impus),
            (&*alice, ReasonCode::NewServerAssigned, named.each_ref().map(|i| &**i).to_vec())
        );
        rta(&mut lab, &sent[1], CxResult::SUCCESS, &[]);
        assert_eq!(server(&mut lab).as_deref(), Some(OTHER_SCSCF));
        assert_eq!(lab.cx_sends(&sar(Type::ReRegistration, "alice", &["alice"]).by_other()).len(), 1, "once");
    }

    // By an I-CSCF that asked for capabilities, without MAR.
    let mut lab = self::registered();
    let kind = UserAuthorizationType::RegistrationAndCapabilities;
    lab.cx(&uar_of(kind, "alice", "alice"));
    let sent = lab.cx_sends(&sar(Type::Registration, "alice", &["alice"]).by_other());
    assert_eq!(Rtr::decode(&sent[1]).unwrap().reason, ReasonCode::NewServerAssigned);

    // The first one gets him back before anybody has him, or he goes.
    let mut lab = registered();
    lab.cx(&mar("alice", "alice"));
    assert_eq!(lab.cx_sends(&sar(Type::ReRegistration, "alice", &["alice"])).len(), 1);
    let mut lab = registered();
    assert_eq!(lab.cx_sends(&sar(Type::UserDeregistration, "alice", &["alice"]).by_other()).len(), 1);
    assert_eq!(lab.cx_sends(&sar(Type::Registration, "alice", &["alice"]).by_other()).len(), 1);
}

#[test]
fn nothing_is_sent_where_nobody_serves() {
    let mut lab = lab();
    let mut try_to = |identity: &str| {
        let mut outcome = Ok(());
        let sent = lab.command(|hss, now, out| outcome = hss.deregister(now, identity, ReasonCode::ServerChange, out));
        assert!(sent.is_empty());
        outcome
    };
    assert_eq!(try_to("nobody@x"), Err(NotSent::UnknownSubscriber));
    assert_eq!(try_to("tel:+1"), Err(NotSent::NotServed));
}

#[test]
fn a_profile_that_was_changed_is_pushed() {
    let mut lab = registered();
    let identities = ["alice", "third"].map(identity).to_vec();
    let profile = ServiceProfile { identities, ..ServiceProfile::default() };
    let charging = [None, None, Some("aaa://ccf.example".into()), None];
    let taken = ServiceProfile { identities: vec![identity("bob")], ..ServiceProfile::default() };
    lab.command(|hss, now, out| {
        assert_eq!(hss.change_profile("tel:+1", vec![taken], Default::default()), Err(NotSent::NotChangeable));
        hss.change_profile("tel:+1", vec![profile], charging).unwrap();
        assert_eq!(hss.push_profile(now, "tel:+1", out), Err(NotSent::UnknownSubscriber), "it is nobody's any more");
    });
    let sent = lab.command(|hss, now, out| hss.push_profile(now, &full("third"), out).unwrap());
    let ppr = Ppr::decode(&sent[0]).unwrap();
    assert_eq!(ppr.charging.unwrap().primary_collection, Some("aaa://ccf.example"));
    let document = ImsSubscription::parse(ppr.user_data.unwrap()).unwrap();
    let names: Vec<&str> = document.profiles[0].identities.iter().map(|i| i.identity.as_str()).collect();
    assert_eq!(names, [full("alice"), full("third")]);
    let done = answer(&mut lab, &sent[0], |envelope, w| {
        Ppa { envelope: *envelope, result: CxResult::SUCCESS }.encode(w);
    });
    assert!(done.is_empty());

    // An S-CSCF that cannot hold it is left.
    let sent = lab.command(|hss, now, out| hss.push_profile(now, &full("alice"), out).unwrap());
    let next = answer(&mut lab, &sent[0], |envelope, w| {
        Ppa { envelope: *envelope, result: CxResult::TOO_MUCH_DATA }.encode(w);
    });
    assert_eq!(Rtr::decode(&next[0]).unwrap().reason, ReasonCode::ServerChange);
}
