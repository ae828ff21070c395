//! Sessions: the side that invites and the side invited, over the SAs of a registration.

use crate::network::{Network, Sent, reply};
use imsreg::event::What;
use imsreg::ipsec::association::{PortPair, SaId};
use imsreg::packet::Transport;
use imsreg::time::Duration;
use imsreg::ue::{CannotSend, InvitePolicy};

const BOB: &str = "sip:bob@home.example";
const OFFER: &str = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0\r\n";
/// What a P-CSCF and an S-CSCF leave behind, as the calling side sees it.
const RECORDED: &str = "Record-Route: <sip:s@192.0.2.3;lr>, <sip:t@192.0.2.1:6100;lr>";

fn invite(n: &mut Network) -> (u32, Sent) {
    let mut call = 0;
    n.call(|ue, now, out| call = ue.invite(now, BOB, OFFER, out).unwrap());
    (call, n.sent())
}

fn hang_up(n: &mut Network, call: u32) {
    n.call(|ue, now, out| ue.hang_up(now, call, out).unwrap());
}

/// A response to an INVITE with a tag, a Contact and the route.
fn response(invite: &Sent, status: &str, tag: &str) -> String {
    let text = reply(invite, status, &["Contact: <sip:bob@198.51.100.7:31001>", RECORDED]);
    text.replace(";tag=network", &format!(";tag={tag}"))
}

fn names(n: &Network) -> Vec<String> {
    let name = |e: &What| match e {
        What::DialogEarly { status, .. } => Some(format!("early {status}")),
        What::DialogConfirmed { .. } => Some("confirmed".to_owned()),
        What::DialogEnded { status, cause, .. } => Some(format!("ended {status} {cause}")),
        _ => None,
    };
    n.events.iter().filter_map(name).collect()
}

/// A request of the network within or outside of a dialog, through the set.
fn deliver(n: &mut Network, text: &str) {
    let sa = SaId { set: n.only_set().id, pair: PortPair::UsPc };
    n.deliver(text, 5100, 31_001, Transport::Udp, Some(sa));
}

fn request(method: &str, cseq: u32, branch: &str, to_tag: &str, more: &str) -> String {
    let (head, body) = more.split_once("\r\n\r\n").unwrap_or((more, ""));
    let head = if head.is_empty() || head.ends_with("\r\n") { head.to_owned() } else { format!("{head}\r\n") };
    format!(
        "{method} sip:001010000000001@192.0.2.10:31001 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:6100;branch=z9hG4bK{branch}\r\n\
         Record-Route: <sip:t@192.0.2.1:6100;lr>\r\nMax-Forwards: 70\r\nFrom: <sip:bob@home.example>;tag=bob\r\n\
         To: <sip:u@example>{to_tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContact: <sip:bob@198.51.100.7:31001>\r\n\
         {head}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn incoming() -> String {
    request("INVITE", 1, "i", "", &format!("Content-Type: application/sdp\r\n\r\n{OFFER}"))
}

fn tag_of(answer: &Sent) -> String {
    let to = answer.header("To");
    to[to.find(";tag=").unwrap()..].to_owned()
}

#[test]
fn a_call_rings_is_answered_acknowledged_and_ended_by_the_caller() {
    let mut n = Network::new().registered(7_200);
    let (call, invite) = invite(&mut n);
    assert!(invite.text.starts_with("INVITE sip:bob@home.example SIP/2.0\r\n"));
    assert_eq!(invite.all("Route"), ["<sip:192.0.2.1:6100;lr>", "<sip:token@scscf.example:6060;lr>"]);
    assert_eq!(invite.header("Content-Type"), "application/sdp");
    assert!(invite.text.ends_with(OFFER));
    assert!(invite.header("Contact").starts_with("<sip:001010000000001@192.0.2.10:31001>"));
    n.answer(&invite, &reply(&invite, "100 Trying", &[]));
    n.answer(&invite, &response(&invite, "180 Ringing", "b"));
    n.answer(&invite, &response(&invite, "180 Ringing", "b"));
    assert_eq!(names(&n), ["early 180"]);
    n.answer(&invite, &response(&invite, "200 OK", "b"));
    let ack = n.sent();
    assert!(ack.text.starts_with("ACK sip:bob@198.51.100.7:31001 SIP/2.0\r\n"), "{}", ack.text);
    assert_eq!(ack.all("Route"), ["<sip:t@192.0.2.1:6100;lr>", "<sip:s@192.0.2.3;lr>"], "Record-Route, reversed");
    assert_eq!(ack.header("CSeq"), "1 ACK");
    assert_ne!(ack.header("Via"), invite.header("Via"), "a branch of its own");
    assert!(ack.all("Require").is_empty() && ack.all("Security-Verify").is_empty());
    // RFC 3261 clause 13.2.2.4: each copy of the 2xx is acknowledged by the same ACK.
    n.answer(&invite, &response(&invite, "200 OK", "b"));
    assert_eq!(n.sent().text, ack.text);
    hang_up(&mut n, call);
    let bye = n.sent();
    assert_eq!((bye.header("CSeq"), bye.all("Route").len()), ("2 BYE", 2));
    assert!(bye.header("To").ends_with(";tag=b"));
    assert_eq!(n.ue.calls(), 1);
    n.answer(&bye, &reply(&bye, "200 OK", &[]));
    assert_eq!(names(&n), ["early 180", "confirmed", "ended 200 hung up"]);
    assert_eq!(n.ue.calls(), 0);
    n.quiet();
}

#[test]
fn a_busy_callee_is_acknowledged_hop_by_hop() {
    let mut n = Network::new().registered(7_200);
    let (_, invite) = invite(&mut n);
    n.answer(&invite, &response(&invite, "486 Busy Here", "b"));
    let ack = n.sent();
    assert!(ack.text.starts_with("ACK sip:bob@home.example SIP/2.0\r\n"));
    assert_eq!(ack.header("Via"), invite.header("Via"), "RFC 3261 clause 17.1.1.3");
    assert_eq!(names(&n), ["ended 486 refused"]);
}

#[test]
fn a_cancel_waits_for_a_provisional_response() {
    let mut n = Network::new().registered(7_200);
    let (call, invite) = invite(&mut n);
    hang_up(&mut n, call);
    n.quiet();
    n.answer(&invite, &response(&invite, "180 Ringing", "b"));
    let cancel = n.sent();
    assert!(cancel.text.starts_with("CANCEL sip:bob@home.example SIP/2.0\r\n"));
    assert_eq!((cancel.header("Via"), cancel.header("CSeq")), (invite.header("Via"), "1 CANCEL"));
    assert_eq!(cancel.all("Route"), invite.all("Route"));
    n.answer(&cancel, &reply(&cancel, "200 OK", &[]));
    n.answer(&invite, &response(&invite, "487 Request Terminated", "b"));
    assert!(n.sent().text.starts_with("ACK "));
    assert_eq!(names(&n), ["early 180", "ended 487 cancelled"]);
}

/// RFC 3261 clause 9.1: the 200 was faster than the CANCEL.
#[test]
fn a_call_accepted_in_spite_of_its_cancel_is_ended_at_once() {
    let mut n = Network::new().registered(7_200);
    let (call, invite) = invite(&mut n);
    n.answer(&invite, &response(&invite, "180 Ringing", "b"));
    hang_up(&mut n, call);
    assert!(n.sent().text.starts_with("CANCEL "));
    n.answer(&invite, &response(&invite, "200 OK", "b"));
    assert!(n.sent().text.starts_with("ACK "));
    let bye = n.sent();
    assert!(bye.text.starts_with("BYE "));
    n.answer(&bye, &reply(&bye, "200 OK", &[]));
    assert_eq!(names(&n).last().unwrap(), "ended 200 cancelled, and yet accepted");
}

/// RFC 3261 clause 13.2.2.4: every dialog is acknowledged; this UE keeps the first.
#[test]
fn a_second_branch_that_answers_is_acknowledged_and_ended() {
    let mut n = Network::new().registered(7_200);
    let (_, invite) = invite(&mut n);
    n.answer(&invite, &response(&invite, "180 Ringing", "b"));
    n.answer(&invite, &response(&invite, "180 Ringing", "c"));
    n.answer(&invite, &response(&invite, "200 OK", "b"));
    assert!(n.sent().header("To").ends_with(";tag=b"));
    n.answer(&invite, &response(&invite, "200 OK", "c"));
    let (ack, bye) = (n.sent(), n.sent());
    assert!(ack.text.starts_with("ACK ") && ack.header("To").ends_with(";tag=c"));
    assert!(bye.text.starts_with("BYE ") && bye.header("To").ends_with(";tag=c"));
    assert_eq!((names(&n), n.ue.calls()), (vec!["early 180".into(), "early 180".into(), "confirmed".into()], 1));
}

#[test]
fn nobody_answers_an_invite_within_timer_b() {
    let mut n = Network::new().registered(7_200);
    invite(&mut n);
    n.at(128.0);
    assert_eq!(names(&n), ["ended 0 no answer"]);
}

/// RFC 3261 clause 13.2.1: the offer is in the 2xx, the answer in the ACK.
#[test]
fn an_invite_without_offer_is_answered_in_the_ack() {
    let mut n = Network::new().registered(7_200);
    n.call(|ue, now, out| assert_eq!(ue.invite(now, BOB, "", out), Ok(1)));
    let invite = n.sent();
    assert!(invite.all("Content-Type").is_empty());
    let ok = response(&invite, "200 OK", "b").replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{OFFER}", OFFER.len()),
    );
    n.answer(&invite, &ok);
    let ack = n.sent();
    assert_eq!(ack.header("Content-Type"), "application/sdp");
    assert!(ack.text.contains("m=audio 9 RTP/AVP 8\r\n"), "{}", ack.text);
}

#[test]
fn another_invite_changes_the_target() {
    let mut n = Network::new().registered(7_200);
    let (call, first) = invite(&mut n);
    n.answer(&first, &response(&first, "200 OK", "b"));
    n.sent();
    n.call(|ue, now, out| ue.reinvite(now, call, OFFER, out).unwrap());
    let second = n.sent();
    assert_eq!(second.header("CSeq"), "2 INVITE");
    assert!(second.text.starts_with("INVITE sip:bob@198.51.100.7:31001 SIP/2.0"));
    n.answer(&second, &response(&second, "488 Not Acceptable Here", "b").replace("b;tag=b", "b"));
    assert!(n.sent().text.starts_with("ACK "));
    n.call(|ue, now, out| ue.reinvite(now, call, OFFER, out).unwrap());
    let third = n.sent();
    let moved = reply(&third, "200 OK", &["Contact: <sip:bob@198.51.100.9:5060>"]).replace(";tag=network", "");
    n.answer(&third, &moved);
    let ack = n.sent();
    assert_eq!(ack.header("CSeq"), "3 ACK");
    assert!(ack.text.starts_with("ACK sip:bob@198.51.100.9:5060 SIP/2.0"), "{}", ack.text);
    assert_eq!(ack.all("Route").len(), 2, "the route set stays (RFC 3261 clause 12.2)");
    assert_eq!(n.ue.calls(), 1, "a refused re-INVITE ends nothing");
}

#[test]
fn an_invite_rings_is_answered_repeated_until_its_ack_and_ended_by_the_caller() {
    let mut n = Network::with(|c| c.invite = InvitePolicy::Answer { after: Duration::from_secs(3) }).registered(7_200);
    deliver(&mut n, &incoming());
    let ringing = n.sent();
    assert!(ringing.text.starts_with("SIP/2.0 180 Ringing\r\n"));
    assert_eq!(ringing.header("Record-Route"), "<sip:t@192.0.2.1:6100;lr>");
    assert!(ringing.header("Contact").starts_with("<sip:001010000000001@192.0.2.10:31001>"));
    n.at(2.9);
    n.quiet();
    n.at(3.0);
    let ok = n.sent();
    assert!(ok.text.starts_with("SIP/2.0 200 OK\r\n"), "{}", ok.text);
    assert_eq!((tag_of(&ok), ok.header("Content-Type")), (tag_of(&ringing), "application/sdp"));
    assert!(ok.text.contains("m=audio 9 RTP/AVP 8\r\n"));
    // T1 of Gm is 2 s: 2, 4, 8 s apart.
    for at in [5.0, 9.0, 17.0] {
        n.at(at - 0.1);
        n.quiet();
        n.at(at);
        assert_eq!(n.sent().text, ok.text);
    }
    let tag = tag_of(&ok);
    deliver(&mut n, &request("ACK", 1, "a", &tag, ""));
    n.at(100.0);
    n.quiet();
    deliver(&mut n, &request("BYE", 2, "b", &tag, ""));
    assert!(n.sent().text.starts_with("SIP/2.0 200 OK\r\n"));
    assert_eq!(names(&n), ["early 180", "confirmed", "ended 200 the other side hung up"]);
    deliver(&mut n, &request("BYE", 3, "b2", &tag, ""));
    assert!(n.sent().text.starts_with("SIP/2.0 481 "));
}

#[test]
fn without_an_ack_the_called_side_gives_up() {
    let mut n = Network::with(|c| c.invite = InvitePolicy::Answer { after: Duration::ZERO }).registered(7_200);
    deliver(&mut n, &incoming());
    n.sent();
    n.sent();
    n.call(|ue, now, out| assert_eq!(ue.hang_up(now, 1, out), Err(CannotSend::NoSuchCall)));
    n.at(127.9);
    n.ignore();
    n.at(128.0);
    let bye = n.sent();
    assert!(bye.text.starts_with("BYE sip:bob@198.51.100.7:31001 SIP/2.0"), "{}", bye.text);
    assert_eq!((bye.all("Route"), bye.header("CSeq")), (vec!["<sip:t@192.0.2.1:6100;lr>"], "1 BYE"));
    n.answer(&bye, &reply(&bye, "481 Call/Transaction Does Not Exist", &[]).replace(";tag=network", ""));
    assert_eq!(names(&n).last().unwrap(), "ended 200 no ACK came");
}

#[test]
fn a_caller_cancels_what_rings() {
    let mut n = Network::with(|c| c.invite = InvitePolicy::Ring).registered(7_200);
    deliver(&mut n, &incoming());
    let ringing = n.sent();
    n.at(60.0);
    n.quiet();
    deliver(&mut n, &request("CANCEL", 1, "i", "", ""));
    let (ok, terminated) = (n.sent(), n.sent());
    assert_eq!((ok.text.starts_with("SIP/2.0 200 OK"), ok.header("CSeq")), (true, "1 CANCEL"));
    assert!(terminated.text.starts_with("SIP/2.0 487 Request Terminated\r\n"));
    assert_eq!((terminated.header("CSeq"), tag_of(&terminated)), ("1 INVITE", tag_of(&ringing)));
    assert_eq!(names(&n), ["early 180", "ended 487 cancelled by the caller"]);
    assert_eq!(n.ue.calls(), 0);
}

#[test]
fn what_rings_is_picked_up_or_declined_by_its_owner() {
    for (picks_up, status) in [(true, "200 OK"), (false, "603 Decline")] {
        let mut n = Network::with(|c| c.invite = InvitePolicy::Ring).registered(7_200);
        deliver(&mut n, &incoming());
        n.sent();
        if picks_up {
            n.call(|ue, now, out| ue.pick_up(now, 1, out).unwrap());
        } else {
            hang_up(&mut n, 1);
        }
        assert!(n.sent().text.starts_with(&format!("SIP/2.0 {status}\r\n")));
    }
}

#[test]
fn a_busy_ue_says_so() {
    let mut n = Network::with(|c| c.invite = InvitePolicy::Refuse { status: 486 }).registered(7_200);
    deliver(&mut n, &incoming());
    assert!(n.sent().text.starts_with("SIP/2.0 486 Busy Here\r\n"));
    assert_eq!(n.ue.calls(), 0);
}

#[test]
fn requests_within_a_session() {
    let mut n = Network::with(|c| c.invite = InvitePolicy::Answer { after: Duration::ZERO }).registered(7_200);
    deliver(&mut n, &incoming());
    let tag = tag_of(&n.sent());
    n.sent();
    let sdp = format!("Content-Type: application/sdp\r\n\r\n{OFFER}");
    let mut ask = |method: &str, cseq: u32, more: &str| {
        deliver(&mut n, &request(method, cseq, &format!("{method}{cseq}"), &tag, more));
        n.sent()
    };
    assert!(ask("INVITE", 2, &sdp).text.starts_with("SIP/2.0 491 "), "the ACK of the first is missing");
    assert!(ask("INFO", 2, "").text.starts_with("SIP/2.0 500 "), "RFC 3261 clause 12.2.2: not newer");
    assert!(ask("INFO", 3, "").text.starts_with("SIP/2.0 200 "));
    assert!(ask("REFER", 4, "").text.starts_with("SIP/2.0 405 "));
    deliver(&mut n, &request("ACK", 1, "a", &tag, ""));
    deliver(&mut n, &request("UPDATE", 5, "u", &tag, &sdp).replace("198.51.100.7:31001", "198.51.100.8"));
    let update = n.sent();
    assert!(update.text.starts_with("SIP/2.0 200 ") && update.text.contains("m=audio 9"));
    deliver(&mut n, &request("INVITE", 6, "r", &tag, &sdp).replace("198.51.100.7:31001", "198.51.100.9"));
    let again = n.sent();
    assert!(again.text.starts_with("SIP/2.0 200 OK") && again.text.contains("m=audio 9"));
    deliver(&mut n, &request("ACK", 6, "ra", &tag, ""));
    hang_up(&mut n, 1);
    let bye = n.sent();
    assert!(bye.text.starts_with("BYE sip:bob@198.51.100.9 SIP/2.0"), "the target was refreshed: {}", bye.text);
}

#[test]
fn calls_end_with_the_registration() {
    let mut n = Network::with(|c| c.refresh = false).registered(60);
    invite(&mut n);
    n.at(60.0);
    assert_eq!(names(&n), ["ended 0 the registration has expired"]);
}
