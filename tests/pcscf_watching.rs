//! The P-CSCF as a watcher of registrations (TS 24.229 clause 5.2.3): it subscribes, and follows what the network ends or
//! shortens. Times are milliseconds.

mod pcscf_rig;

use imsreg::event::What;
use imsreg::pcscf::PcscfConfig;
use imsreg::sip::HeaderName;
use pcscf_rig::{CORE, Phone, Rig, Sent, address, config, response};

struct Watcher {
    rig: Rig,
    phone: Phone,
    subscribe: Sent,
    cseq: u32,
    version: u32,
}

/// A phone is registered for an hour, and the subscription of the P-CSCF has been accepted.
fn watcher() -> Watcher {
    let mut rig = Rig::new(PcscfConfig { subscribe: true, ..config() });
    let mut phone = Phone::new(1);
    rig.register(0, &mut phone, 3_600);
    let subscribe = rig.to_core.pop().expect("a SUBSCRIBE");
    rig.to_core.clear();
    rig.core_sends(40, &granted(&subscribe, 7_200));
    Watcher { rig, phone, subscribe, cseq: 0, version: 0 }
}

fn granted(subscribe: &Sent, expires: u32) -> String {
    response(subscribe, "200 OK", &format!("Expires: {expires}\r\nContact: <sip:scscf@10.0.0.2:4060>\r\n"))
}

impl Watcher {
    /// A NOTIFY about the phone's Contact; the status that the P-CSCF answers.
    fn notify(&mut self, at: u64, registration: &str, contact: &str, state: &str) -> u16 {
        let contact =
            format!("<contact id=\"c1\" {contact}><uri>sip:u@{}:{}</uri></contact>", self.phone.ip, self.phone.port_s);
        self.notify_of(at, registration, &contact, state, |text| text)
    }

    fn notify_of(
        &mut self,
        at: u64,
        registration: &str,
        contacts: &str,
        state: &str,
        change: impl FnOnce(String) -> String,
    ) -> u16 {
        self.cseq += 1;
        let get = |name| self.subscribe.header(name).expect("it has it");
        let target = get(HeaderName::Contact).trim_matches(['<', '>']).to_owned();
        let impu = self.phone.impu();
        let body = format!(
            "<?xml version=\"1.0\"?><reginfo xmlns=\"urn:ietf:params:xml:ns:reginfo\" version=\"{}\" state=\"full\">\
             <registration aor=\"{impu}\" id=\"r1\" state=\"{registration}\">{contacts}</registration></reginfo>",
            self.version
        );
        self.version += 1;
        let text = format!(
            "NOTIFY {target} SIP/2.0\r\nVia: SIP/2.0/UDP {CORE};branch=z9hG4bKn{}\r\nMax-Forwards: 70\r\n\
             From: {};tag=core\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {} NOTIFY\r\nEvent: reg\r\n\
             Subscription-State: {state}\r\nContact: <sip:scscf@10.0.0.2:4060>\r\n\
             Content-Type: application/reginfo+xml\r\nContent-Length: {}\r\n\r\n{body}",
            self.cseq,
            get(HeaderName::To),
            get(HeaderName::From),
            get(HeaderName::CallId),
            self.cseq,
            body.len()
        );
        self.rig.core_sends(at, &change(text));
        self.rig.to_core.pop().expect("an answer").status()
    }

    fn deregistered(&self) -> bool {
        self.rig.events.iter().any(|e| matches!(e, What::Deregistered { cause: "the network has ended it", .. }))
    }
}

const ACTIVE: &str = "active;expires=7000";
const REGISTERED: &str = "state=\"active\" event=\"registered\" expires=\"3600\"";

/// TS 24.229 clauses 5.2.3 and 5.2.5.2: the subscription alone tells what the network has ended.
#[test]
fn without_a_subscription_the_sets_live_to_their_own_end() {
    let mut w = watcher();
    assert_eq!(w.notify(50, "terminated", "state=\"terminated\" event=\"rejected\"", "terminated"), 200);
    w.rig.drive(200_000);
    assert_eq!(w.rig.pcscf.sa_sets(), 0);
    // The same words to one that has not asked.
    let mut rig = Rig::new(config());
    let mut phone = Phone::new(1);
    rig.register(0, &mut phone, 3_600);
    assert!(rig.to_core.is_empty(), "it does not subscribe");
    let mut deaf = Watcher { rig, phone, ..w };
    assert_ne!(deaf.notify(50, "terminated", "state=\"terminated\" event=\"rejected\"", "terminated"), 200);
    deaf.rig.drive(3_630_029);
    assert_eq!((deaf.rig.pcscf.sa_sets(), deaf.deregistered()), (1, false));
    deaf.rig.drive(3_630_031);
    assert_eq!(deaf.rig.pcscf.sa_sets(), 0);
}

#[test]
fn it_subscribes_once_for_a_registration_and_refreshes() {
    let mut w = watcher();
    let Sent { to, .. } = w.subscribe;
    assert_eq!(to, address(CORE));
    let line = |name| w.subscribe.header(name).unwrap();
    assert!(w.subscribe.text.starts_with(&format!("SUBSCRIBE {} SIP/2.0\r\n", w.phone.impu())), "{}", w.subscribe.text);
    assert_eq!((line(HeaderName::Event).as_str(), line(HeaderName::Expires).as_str()), ("reg", "7200"));
    assert_eq!(line(HeaderName::PAssertedIdentity), "<sip:pcscf.visited.example>");
    assert_eq!(w.notify(50, "active", REGISTERED, ACTIVE), 200);
    // A refresh of the registration asks for nothing more.
    w.rig.reauthenticate(1_000_000, &mut w.phone, 600_000);
    assert!(w.rig.to_core.iter().all(|sent| !sent.text.starts_with("SUBSCRIBE ")));
    // 600 s before its end the subscription is refreshed, in its dialog.
    w.rig.to_core.clear();
    w.rig.drive(6_600_039);
    assert!(w.rig.to_core.is_empty());
    w.rig.drive(6_600_041);
    let again = w.rig.to_core.pop().expect("a SUBSCRIBE");
    assert!(again.text.starts_with("SUBSCRIBE sip:scscf@10.0.0.2:4060 SIP/2.0\r\n"), "{}", again.text);
    assert_eq!(again.header(HeaderName::CallId), w.subscribe.header(HeaderName::CallId));
    assert_eq!(again.header(HeaderName::CSeq).as_deref(), Some("2 SUBSCRIBE"));
}

#[test]
fn what_the_network_ends_goes_after_the_ue_has_heard_of_it() {
    let mut w = watcher();
    assert_eq!(w.notify(50, "active", REGISTERED, ACTIVE), 200);
    let ended = "state=\"terminated\" event=\"rejected\"";
    assert_eq!(w.notify(1_000, "terminated", ended, "terminated;reason=noresource"), 200);
    // The UE's own NOTIFY may still be under way (field lesson 41).
    w.rig.drive(5_999);
    assert!(!w.deregistered() && w.rig.plane.len() == 1);
    w.rig.drive(6_000);
    assert!(w.deregistered());
    w.rig.drive(200_000);
    assert_eq!(w.rig.plane.len(), 0);
    // Who registers again is watched again.
    let mut rig = w.rig;
    rig.to_core.clear();
    let mut phone = Phone::new(1);
    phone.branch = 500;
    rig.register(300_000, &mut phone, 3_600);
    assert!(rig.to_core.iter().any(|sent| sent.text.starts_with("SUBSCRIBE ")));
}

/// TS 24.229 clause 5.4.1.6: the network wants the UE to authenticate itself anew.
#[test]
fn sets_end_with_a_registration_that_is_shortened() {
    let shortened = "state=\"active\" event=\"shortened\" expires=\"600\"";
    let mut w = watcher();
    assert_eq!(w.notify(50, "active", REGISTERED, ACTIVE), 200);
    w.rig.extended.clear();
    assert_eq!(w.notify(1_000, "active", shortened, ACTIVE), 200);
    assert_eq!(w.rig.extended.iter().map(|(_, until)| *until).collect::<Vec<_>>(), [631], "30 s behind it");
    w.rig.drive(630_999);
    assert_eq!(w.rig.plane.len(), 1);
    w.rig.drive(631_001);
    assert_eq!(w.rig.plane.len(), 0);

    // A UE that comes in time is served on.
    let mut w = watcher();
    w.notify(1_000, "active", shortened, ACTIVE);
    w.rig.reauthenticate(300_000, &mut w.phone, 3_600);
    w.rig.drive(640_000);
    assert_eq!(w.rig.plane.len(), 1, "the new one");
    w.rig.drive(3_900_000);
    assert_eq!(w.rig.plane.len(), 1);

    // What is shortened at another place is not meant, nor what lasts longer here.
    let mut w = watcher();
    let elsewhere = format!("<contact id=\"c2\" {shortened}><uri>sip:u@192.0.2.77:31001</uri></contact>");
    assert_eq!(w.notify_of(1_000, "active", &elsewhere, ACTIVE, |text| text), 200);
    w.rig.drive(700_000);
    assert_eq!(w.rig.plane.len(), 1);
}

#[test]
fn what_is_of_another_dialog_or_old_is_not_heeded() {
    let ended = "state=\"terminated\" event=\"rejected\"";
    let mut w = watcher();
    assert_eq!(w.notify(50, "active", REGISTERED, ACTIVE), 200);
    let of = |w: &mut Watcher, at, change: &dyn Fn(String) -> String| {
        let contact = format!("<contact id=\"c1\" {ended}><uri>sip:u@{}</uri></contact>", w.phone.ip);
        w.notify_of(at, "terminated", &contact, ACTIVE, change)
    };
    assert_eq!(of(&mut w, 60, &|text| text.replacen(";tag=core", ";tag=other", 1)), 481);
    assert_eq!(of(&mut w, 70, &|text| text.replacen("Call-ID: ", "Call-ID: x", 1)), 481);
    let cseq = w.cseq + 1;
    assert_eq!(of(&mut w, 90, &|text| text.replacen(&format!("CSeq: {cseq} "), "CSeq: 1 ", 1)), 500);
    // A document that was overtaken says nothing.
    w.version = 0;
    assert_eq!(of(&mut w, 100, &|text| text), 200);
    w.rig.drive(60_000);
    assert!(!w.deregistered());
    assert_eq!(w.rig.plane.len(), 1);
}

#[test]
fn a_refusal_of_the_subscription_leaves_the_registration_alone() {
    let mut rig = Rig::new(PcscfConfig { subscribe: true, ..config() });
    let mut phone = Phone::new(1);
    rig.register(0, &mut phone, 3_600);
    let subscribe = rig.to_core.pop().expect("a SUBSCRIBE");
    rig.to_core.clear();
    rig.core_sends(40, &response(&subscribe, "403 Forbidden", ""));
    rig.drive(60_000);
    assert_eq!(rig.plane.len(), 1);
    assert!(rig.to_core.is_empty());
    // The next 200 brings another try.
    rig.reauthenticate(100_000, &mut phone, 3_600);
    assert!(rig.to_core.iter().any(|sent| sent.text.starts_with("SUBSCRIBE ")));
}
