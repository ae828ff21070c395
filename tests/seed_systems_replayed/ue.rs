//! The recorded networks and phones against our UE alone: a 407, a session that ends by BYE, one that is cancelled, a
//! MESSAGE.
//!
//! Rewritten in recorded answers: Via, From, To, Call-ID and CSeq, which are those of the request of our UE. In recorded
//! requests: the Request-URI, which is the Contact of our UE; in ACK and BYE the tag of To, which our UE chose. `;;` of the
//! document is `;`.

use crate::device::{Device, like};
use crate::facts::{Allowed, assert_all_used, assert_same, both_given, only_ours, recorded};
use crate::network::{status, with};
use imsreg::event::What;
use imsreg::sip::header::digest::Digest;
use imsreg::sip::{HeaderName, Message};
use imsreg::time::Duration;
use imsreg::ue::UeStatus;
use std::collections::BTreeSet;

const OFFER: &str =
    "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";

/// Registered without a question, as RFC 3261 clause 24.1 shows it.
fn registered() -> Device {
    let mut device = Device::new("usr00001", "secret", "sip:bob@biloxi.com", "sip:biloxi.com");
    let first = device.sent();
    let own = contact(&first);
    let accepted = recorded("seeds/biloxi-02-200.sip").replace("sip:bob@192.0.2.4", &own);
    device.hears(&like(&first, &accepted));
    assert_eq!(device.ue.status(), UeStatus::Registered, "{:?}", device.ue.failure());
    device.events.clear();
    device
}

fn contact(text: &str) -> String {
    let message = Message::parse(text.as_bytes()).unwrap();
    message.name_addrs(HeaderName::Contact).unwrap()[0].uri.text.to_owned()
}

fn header(text: &str, name: HeaderName) -> String {
    Message::parse(text.as_bytes()).unwrap().header(name).unwrap_or_default().to_owned()
}

fn ended(device: &Device) -> Vec<String> {
    let ended = device.events.iter().filter_map(|what| match what {
        What::DialogEnded { status, cause, .. } => Some(format!("{status} {cause}")),
        _ => None,
    });
    ended.collect()
}

fn calls(device: &mut Device, to: &str) -> u32 {
    let mut call = None;
    device.call(|ue, now, out| call = ue.invite(now, to, OFFER, out).ok());
    call.expect("it is registered")
}

#[test]
fn a_recorded_407_is_answered() {
    let mut device = registered();
    calls(&mut device, "sip:99904724@sip.cybercity.dk");
    let invite = device.sent();
    device.hears(&like(&invite, &recorded("recorded/asked-02-407.sip")));
    let [ack, again] = &device.all_sent()[..] else { panic!("ACK and INVITE") };
    assert!(ack.starts_with("ACK ") && header(ack, HeaderName::To).ends_with(";tag=recorded"), "{ack}");
    let value = header(again, HeaderName::ProxyAuthorization);
    let ours = Digest::parse(HeaderName::ProxyAuthorization, &value).unwrap().unwrap();
    let value = header(&recorded("recorded/asked-04-invite-again.sip"), HeaderName::ProxyAuthorization);
    let theirs = Digest::parse(HeaderName::ProxyAuthorization, &value).unwrap().unwrap();
    assert_eq!((ours.username, ours.realm), (theirs.username, theirs.realm));
    assert_eq!((ours.nonce, ours.opaque), (theirs.nonce, theirs.opaque));
    // Theirs counts without a qop, and signs its own address: ours is the Request-URI (RFC 3261 clause 22.4).
    assert_eq!((ours.uri, ours.nc, theirs.nc), (Some("sip:99904724@sip.cybercity.dk"), None, Some("00000001")));
    let again = again.clone();
    device.hears(&like(&again, &recorded("recorded/asked-05-183.sip")));
    device.hears(&like(&again, &recorded("recorded/asked-06-480.sip")));
    assert!(device.sent().starts_with("ACK sip:99904724@sip.cybercity.dk "));
    assert_eq!(ended(&device), ["480 refused"]);
}

#[test]
fn a_recorded_session_is_answered_and_ended() {
    let mut device = registered();
    let call = calls(&mut device, "sip:08019200028@example.org");
    let invite = device.sent();
    device.hears(&like(&invite, &recorded("recorded/ended-10-200-back.sip")));
    let ack = device.sent();
    let target = "sip:[fd17:625c:f037:2:a00:27ff:feb9:4222]:25060;transport=UDP";
    let routes: Vec<String> = {
        let message = Message::parse(ack.as_bytes()).unwrap();
        message.elements(HeaderName::Route).map(str::to_owned).collect()
    };
    assert!(ack.starts_with(&format!("ACK {target} SIP/2.0\r\n")), "{ack}");
    // Record-Route of the 200, from its end.
    assert_eq!(
        routes,
        [
            "<sip:08019200028@[fd17:625c:f037:2:a00:27ff:feb9:4222]:25060;lr>",
            "<sip:origzFtdcRtHHqyuowAT@[fd17:625c:f037:2:a00:27ff:feb9:3519]:5062;lr>",
        ]
    );
    device.call(|ue, now, out| ue.hang_up(now, call, out).expect("it is confirmed"));
    let bye = device.sent();
    assert!(bye.starts_with(&format!("BYE {target} SIP/2.0\r\n")), "{bye}");
    device.hears(&like(&bye, &recorded("recorded/ended-16-200-bye-back.sip")));
    assert_eq!(ended(&device), ["200 hung up"]);
}

/// The last response that a request was answered by, after this time.
fn answered(device: &mut Device, request: &str, time: u64) -> Vec<String> {
    device.hears(request);
    device.pass(Duration::from_secs(time));
    device.all_sent()
}

fn tagged(text: &str, like: &str) -> String {
    let to = header(like, HeaderName::To);
    with(text, None, &[("To", vec![to])])
}

#[test]
fn recorded_invite_ack_and_bye_are_served() {
    let mut device = registered();
    let own = own_contact(&device);
    let invite = with(&recorded("recorded/ended-02-invite-there.sip"), Some(&own), &[("Route", Vec::new())]);
    let answers = answered(&mut device, &invite, 3);
    assert_eq!(answers.iter().map(|text| status(text)).collect::<Vec<_>>(), [180, 200], "{answers:?}");
    let rewritten = |name: &str| tagged(&with(&recorded(name), Some(&own), &[("Route", Vec::new())]), &answers[1]);
    assert_eq!(answered(&mut device, &rewritten("recorded/ended-12-ack-there.sip"), 60), [""; 0]);
    let answers = answered(&mut device, &rewritten("recorded/ended-14-bye-there.sip"), 0);
    assert_eq!(answers.iter().map(|text| status(text)).collect::<Vec<_>>(), [200], "{answers:?}");
    assert_eq!(ended(&device), ["200 the other side hung up"]);
}

#[test]
fn a_recorded_cancel_ends_the_call() {
    let mut device = registered();
    let own = own_contact(&device);
    let rewritten = |name: &str| with(&recorded(name), Some(&own), &[]);
    device.hears(&rewritten("recorded/cancelled-01-invite.sip"));
    assert_eq!(status(&device.sent()), 180);
    let answers = answered(&mut device, &rewritten("recorded/cancelled-02-cancel.sip"), 0);
    assert_eq!(answers.iter().map(|text| status(text)).collect::<Vec<_>>(), [200, 487], "{answers:?}");
    let ack = tagged(&rewritten("recorded/cancelled-05-ack.sip"), &answers[1]);
    assert_eq!(answered(&mut device, &ack, 60), [""; 0]);
    assert_eq!(ended(&device), ["487 cancelled by the caller"]);
}

const MESSAGE_ANSWERED: &[Allowed] = &[
    Allowed { at: "To[0] ;tag", holds: both_given, reason: "a tag is chosen anew by each UAS" },
    Allowed { at: "Allow[0]", holds: only_ours, reason: "RFC 3261 clause 20.5 lets it say so" },
    Allowed { at: "Via of proxy 1 ;received", holds: both_given, reason: "who sent it here has another address" },
];

#[test]
fn a_recorded_message_is_answered_as_recorded() {
    let mut device = registered();
    let message = with(&recorded("seeds/pager-02-message-forwarded.sip"), Some(&own_contact(&device)), &[]);
    let answers = answered(&mut device, &message, 0);
    let [answer] = &answers[..] else { panic!("{answers:?}") };
    let mut used = BTreeSet::new();
    assert_same(&recorded("seeds/pager-03-200.sip").replace(";;", ";"), answer, MESSAGE_ANSWERED, &mut used);
    assert_all_used(MESSAGE_ANSWERED, &used);
    let heard = device.events.iter().find_map(|what| match what {
        What::MessageReceived { octets, .. } => Some(*octets),
        _ => None,
    });
    assert_eq!(heard, Some(18));
}

fn own_contact(device: &Device) -> String {
    let config = device.ue.config();
    format!("sip:bob@{}", config.local)
}
