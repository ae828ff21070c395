//! Session model: recorded INVITE dialogs through our core, from octets of both phones.
//!
//! Rewritten in what the caller sent: Request-URI of the first INVITE (the recorded networks took other forms of the
//! number), Route (ours), Record-Route (SIPp writes one, which no UAC does), Security-Verify (our offer); within the dialog Request-URI, which is the Contact that our core
//! delivered. Rewritten in what the called side sent: Via and Record-Route, which are those of the request as our core
//! delivered it. All else goes in as recorded. What comes out at the other side is compared with what the recorded
//! network delivered there; [`THERE`] and [`BACK`] list what may differ.

use crate::facts::{
    Allowed, anything, assert_all_used, assert_same, both_given, fewer, only_ours, only_theirs, recorded,
};
use crate::network::{Heard, Network, Phone, body, handset, plain, values, with};
use crate::scratch::Scratch;
use imsreg::packet::Transport;
use imsreg::sip::{HeaderName, Message};
use std::collections::{BTreeMap, BTreeSet};

/// A recorded dialog that goes on through our core.
struct Dialog<'n> {
    network: &'n mut Network,
    caller: &'n Phone,
    called: &'n Phone,
    /// Where requests of the dialog go, as the caller was told.
    target: Option<String>,
    routes: Vec<String>,
    /// Requests at the called side, by method.
    asked: BTreeMap<String, Heard>,
    allowed: [Vec<Allowed>; 2],
    used: [BTreeSet<&'static str>; 2],
}

impl<'n> Dialog<'n> {
    /// Between two phones; requests begin with the routes of the caller's registration. What may differ there and back.
    fn new(
        network: &'n mut Network,
        caller: &'n Phone,
        called: &'n Phone,
        there: &[Allowed],
        back: &[Allowed],
    ) -> Self {
        let allowed = [[THERE, there].concat(), [BACK, back].concat()];
        let routes = caller.routes.clone();
        Self {
            network,
            caller,
            called,
            target: None,
            routes,
            asked: BTreeMap::new(),
            allowed,
            used: Default::default(),
        }
    }

    /// It is over: nobody is told anything more, and what was allowed has been needed.
    #[track_caller]
    fn over(self) {
        self.network.quiet();
        for (allowed, used) in self.allowed.iter().zip(&self.used) {
            assert_all_used(allowed, used);
        }
    }

    /// The caller sends `sent` as recorded but for the Request-URI, and the other side hears it as in `arrived`.
    #[track_caller]
    fn there(&mut self, sent: &str, uri: Option<&str>, arrived: &str) {
        let text = recorded(sent);
        let mut lines = vec![("Route", self.routes.clone()), ("Record-Route", Vec::new())];
        lines.extend(self.caller.security.clone().map(|offer| ("Security-Verify", vec![offer])));
        let text = with(&text, uri.or(self.target.as_deref()), &lines);
        self.network.sends(Transport::Udp, self.caller.client, self.caller.network, &text);
        let heard = self.network.hears(self.called.client);
        assert_eq!(body(&heard.text), body(&text));
        assert_same(&recorded(arrived), &heard.text, &self.allowed[0], &mut self.used[0]);
        self.asked.insert(method(&heard.text), heard);
    }

    /// The called side answers the last request of this method by `sent`, and the caller hears it as in `arrived`.
    #[track_caller]
    fn back(&mut self, sent: &str, arrived: &str) {
        let text = recorded(sent);
        let asked = &self.asked[&method(&text)];
        let mut lines = vec![("Via", values(&asked.text, HeaderName::Via))];
        if text.contains("\r\nRecord-Route:") {
            lines.push(("Record-Route", values(&asked.text, HeaderName::RecordRoute)));
        }
        self.network.answers(self.called, asked, &with(&text, None, &lines));
        let heard = self.network.told(self.caller.client);
        assert_eq!(body(&heard), body(&text));
        assert_same(&recorded(arrived), &heard, &self.allowed[1], &mut self.used[1]);
        let message = Message::parse(heard.as_bytes()).unwrap();
        if message.cseq().unwrap().method.as_str() == "INVITE"
            && let Some(contact) = message.name_addrs(HeaderName::Contact).unwrap().first()
        {
            self.target = Some(contact.uri.text.to_owned());
            self.routes = values(&heard, HeaderName::RecordRoute);
            self.routes.reverse();
        }
    }
}

/// Of a request, or of the request that a response answers.
fn method(text: &str) -> String {
    Message::parse(text.as_bytes()).unwrap().cseq().unwrap().method.to_string()
}

/// What a request may differ in at the called side, whatever network it was.
const THERE: &[Allowed] = &[
    Allowed { at: "Via of proxy*", holds: anything, reason: "the hops in between are ours" },
    Allowed { at: "Record-Route*", holds: anything, reason: "the hops in between are ours" },
    Allowed { at: "body", holds: both_given, reason: MEDIA },
    Allowed { at: "Content-Length[0]", holds: both_given, reason: MEDIA },
    Allowed {
        at: "Request-URI",
        holds: both_given,
        reason: "ours is the Contact of the registration, and within the dialog that of the 183",
    },
    Allowed {
        at: "P-Asserted-Identity*",
        holds: anything,
        reason: "ours is the identity preferred, and the other of its pair (TS 24.229 clauses 5.2.6.3.3 and 5.4.3.2)",
    },
    Allowed { at: "P-Called-Party-ID[0]", holds: only_ours, reason: "TS 24.229 clause 5.4.3.3 wants it" },
];

/// And where Kamailio is that network.
const THERE_BY_KAMAILIO: &[Allowed] = &[
    Allowed { at: "Contact[0] URI", holds: same_but_alias, reason: ALIAS },
    Allowed { at: "P-Charging-Vector[0]", holds: only_theirs, reason: "not for a UE: TS 24.229 clause 5.2.6.4.3" },
    Allowed { at: "P-Visited-Network-ID[0]", holds: only_theirs, reason: "not for a UE" },
    Allowed {
        at: "P-Access-Network-Info[0]",
        holds: only_theirs,
        reason: "where the caller is is not for the other UE",
    },
    Allowed { at: "Security-Server*", holds: only_theirs, reason: "of a 401 or 494 only: RFC 3329 clause 2.3.1" },
    Allowed { at: "Security-Verify*", holds: only_theirs, reason: "of the first hop: TS 24.229 clause 5.2.6.3.3" },
    Allowed { at: "P-Preferred-Identity[0]", holds: only_theirs, reason: "for the P-CSCF: TS 24.229 clause 5.2.6.3.3" },
    Allowed { at: "Require[0]", holds: but_sec_agree, reason: "of the first hop: TS 24.229 clause 5.2.6.3.2A" },
    Allowed { at: "Proxy-Require[0]", holds: but_sec_agree, reason: "of the first hop: TS 24.229 clause 5.2.6.3.2A" },
    Allowed { at: "Supported[1]", holds: only_theirs, reason: "theirs says it again for each Security-Server" },
    Allowed { at: "Supported[2]", holds: only_theirs, reason: "theirs says it again for each Security-Server" },
];

/// And where a single proxy stands between two SIPps.
const THERE_BY_ONE_PROXY: &[Allowed] = &[
    Allowed { at: "Max-Forwards[0]", holds: fewer, reason: "ours is four hops longer" },
    Allowed { at: "From[0] name", holds: same_but_quotes, reason: QUOTES },
    Allowed { at: "To[0] name", holds: same_but_quotes, reason: QUOTES },
    Allowed {
        at: "Route*",
        holds: only_theirs,
        reason: "SIPp preloads the called side twice, our core knows where it is",
    },
    Allowed { at: "Via[0] ;received", holds: only_theirs, reason: RECEIVED },
    Allowed { at: "p-served-user[0]", holds: only_theirs, reason: "between proxies only: RFC 5502 clause 4.1" },
    Allowed { at: "x-orig-call-record[0]", holds: only_theirs, reason: "the proxy's own" },
];

/// What a response may differ in at the caller, whatever network it was.
const BACK: &[Allowed] = &[
    Allowed { at: "Record-Route*", holds: anything, reason: "the hops in between are ours" },
    Allowed { at: "body", holds: both_given, reason: MEDIA },
    Allowed { at: "Content-Length[0]", holds: both_given, reason: MEDIA },
    Allowed { at: "P-Asserted-Identity[0]", holds: only_ours, reason: "TS 24.229 clause 5.2.6.4.4 wants it" },
];

/// And where Kamailio is that network.
const BACK_BY_KAMAILIO: &[Allowed] = &[
    Allowed { at: "Contact[0] URI", holds: same_but_alias, reason: ALIAS },
    Allowed { at: "Contact[0] again*", holds: only_theirs, reason: "theirs says every parameter twice" },
    Allowed {
        at: "P-Access-Network-Info[0]",
        holds: only_theirs,
        reason: "where the other UE is is not for the caller",
    },
];

/// And where a single proxy stands between two SIPps.
const BACK_BY_ONE_PROXY: &[Allowed] = &[
    Allowed { at: "Via[0] ;received", holds: only_theirs, reason: RECEIVED },
    Allowed { at: "To[0] ;tag", holds: both_given, reason: TAGS },
    Allowed { at: "To[0] again*", holds: only_ours, reason: TAGS },
];

const TAGS: &str = "SIPp answers INVITE with two tags, of which theirs takes one away; we leave To as it comes";
const RECEIVED: &str = "RFC 3261 clause 18.2.1 wants received only where Via names another host";
const QUOTES: &str = "theirs puts a display name in quotes, which RFC 3261 clause 20.10 does not ask of a token";
const ALIAS: &str = "Kamailio writes the address seen into the URI (;alias=), we keep it with the flow";
const MEDIA: &str = "the recorded network relays media and rewrites SDP, we leave it as it was sent";

fn same_but_alias(recorded: Option<&str>, ours: Option<&str>) -> bool {
    recorded.and_then(|uri| uri.split(";alias=").next()) == ours
}

fn same_but_quotes(recorded: Option<&str>, ours: Option<&str>) -> bool {
    recorded.map(|name| name.trim_matches('"')) == ours
}

fn but_sec_agree(recorded: Option<&str>, ours: Option<&str>) -> bool {
    let tags = |text: Option<&'_ str>| {
        let tags = text.unwrap_or_default().split(',').map(str::trim).filter(|tag| !["sec-agree", ""].contains(tag));
        tags.map(str::to_owned).collect::<Vec<_>>()
    };
    tags(recorded) == tags(ours)
}

const SUBSCRIBERS: &str = "subscribers:
  - imsi: '001011234567893'
    impus: ['sip:001011234567893@ims.mnc001.mcc001.3gppnetwork.org', 'sip:0398765432100@ims.mnc001.mcc001.3gppnetwork.org', 'tel:0398765432100']
    barred: ['sip:001011234567893@ims.mnc001.mcc001.3gppnetwork.org']
    recorded: &vector
      - {nonce: oJRMdf88TwhTovkQqh8QT8bi9GyPQoAAfzu5uEt8P/Y=, response: 63175c06a7a88bd479f5c9f714487476}
  - imsi: '001011234567894'
    impus: ['sip:001011234567894@ims.mnc001.mcc001.3gppnetwork.org', 'sip:0498765432100@ims.mnc001.mcc001.3gppnetwork.org', 'tel:0498765432100']
    barred: ['sip:001011234567894@ims.mnc001.mcc001.3gppnetwork.org']
    recorded:
      - {nonce: oJRMdf88TwhTovkQqh8QT8bi9GyPQoAAfzu5uEt8P/Y=, response: 63175c06a7a88bd479f5c9f714487476}
";

#[test]
fn two_handsets_talk_over_security_associations() {
    let scratch = Scratch::new("replayed-call");
    let settings = [
        "pcscf.listen=[\"10.4.128.21:5060\"]",
        "pcscf.core=127.0.0.1:5060",
        "pcscf.accept_challenge_without_keys=true",
    ];
    let mut network = Network::new("volte", &settings, &scratch.file("s.yaml", SUBSCRIBERS));
    // The registration of the called handset is recorded, at another address; that of the caller is not.
    let called = handset(&mut network, |text| text.replace("192.168.101.5", "192.168.101.2"));
    let caller = handset(&mut network, |text| {
        let text = text.replace("192.168.101.5", "192.168.101.3").replace("001011234567893", "001011234567894");
        let text = text.replace("304848", "133748").replace("6300", "6400").replace("6301", "6401");
        text.replace("25656", "26656").replace("25657", "26657")
    });
    let mut dialog = Dialog::new(&mut network, &caller, &called, THERE_BY_KAMAILIO, BACK_BY_KAMAILIO);
    let uri = "sip:0398765432100@ims.mnc001.mcc001.3gppnetwork.org;user=phone";
    dialog.there("recorded/call-01-invite.sip", Some(uri), "recorded/call-02-invite-there.sip");
    dialog.back("recorded/call-03-183.sip", "recorded/call-04-183-back.sip");
    dialog.there("recorded/call-05-prack.sip", None, "recorded/call-06-prack-there.sip");
    dialog.back("recorded/call-07-200-prack.sip", "recorded/call-08-200-prack-back.sip");
    dialog.there("recorded/call-09-update.sip", None, "recorded/call-10-update-there.sip");
    dialog.back("recorded/call-11-200-update.sip", "recorded/call-12-200-update-back.sip");
    dialog.back("recorded/call-13-180.sip", "recorded/call-14-180-back.sip");
    dialog.back("recorded/call-15-200.sip", "recorded/call-16-200-back.sip");
    dialog.there("recorded/call-17-ack.sip", None, "recorded/call-18-ack-there.sip");
    dialog.over();
}

/// SIPp on both sides of a proxy, without passwords.
#[test]
fn a_session_ends_by_bye() {
    let scratch = Scratch::new("replayed-bye");
    let settings = [
        "realm=example.org",
        "pcscf.listen=[\"[fd17:625c:f037:2:a00:27ff:feb9:3519]:5062\"]",
        "pcscf.core=127.0.0.1:5060",
        "scscf.unauthenticated=everybody",
    ];
    let users = "subscribers:
  - {impus: ['sip:08019200026@example.org'], password: unused}
  - {impus: ['sip:08019200028@example.org'], password: unused}
";
    let mut network = Network::new("plain-digest", &settings, &scratch.file("s.yaml", users));
    let caller = "[fd17:625c:f037:2:a00:27ff:feb9:1521]:15060";
    let caller =
        plain(&mut network, Transport::Udp, caller, "sip:08019200026@example.org", &format!("sip:sipp@{caller}"));
    let called = "[fd17:625c:f037:2:a00:27ff:feb9:4222]:25060";
    let called = plain(
        &mut network,
        Transport::Udp,
        called,
        "sip:08019200028@example.org",
        &format!("sip:{called};transport=UDP"),
    );
    let mut dialog = Dialog::new(&mut network, &caller, &called, THERE_BY_ONE_PROXY, BACK_BY_ONE_PROXY);
    let uri = "sip:08019200028@example.org";
    dialog.there("recorded/ended-01-invite.sip", Some(uri), "recorded/ended-02-invite-there.sip");
    dialog.back("recorded/ended-03-183.sip", "recorded/ended-04-183-back.sip");
    dialog.there("recorded/ended-05-prack.sip", None, "recorded/ended-06-prack-there.sip");
    dialog.back("recorded/ended-07-200-prack.sip", "recorded/ended-08-200-prack-back.sip");
    dialog.back("recorded/ended-09-200.sip", "recorded/ended-10-200-back.sip");
    dialog.there("recorded/ended-11-ack.sip", None, "recorded/ended-12-ack-there.sip");
    dialog.there("recorded/ended-13-bye.sip", None, "recorded/ended-14-bye-there.sip");
    dialog.back("recorded/ended-15-200-bye.sip", "recorded/ended-16-200-bye-back.sip");
    dialog.over();
}
