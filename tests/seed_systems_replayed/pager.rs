//! Pager model, seed document 5: a MESSAGE from one user of domain.com to another, over TCP as recorded.
//!
//! Rewritten in what user1 sent: Route, which is the Service-Route of the registration. In what user2 sent: Via, which is
//! that of the MESSAGE as our core delivered it. In what is compared: `;;`, which the document has in place of `;`.

use crate::facts::{Allowed, anything, assert_all_used, assert_same, both_given, fewer, only_ours, recorded};
use crate::network::{Network, plain, values, with};
use crate::scratch::Scratch;
use imsreg::packet::Transport;
use imsreg::sip::HeaderName;
use std::collections::BTreeSet;

const THERE: &[Allowed] = &[
    Allowed { at: "Via of proxy*", holds: anything, reason: "the hops in between are ours" },
    Allowed {
        at: "Request-URI",
        holds: both_given,
        reason: "RFC 3261 clause 16.6: the Contact that user2 has registered",
    },
    Allowed { at: "Max-Forwards[0]", holds: fewer, reason: "ours is four hops longer" },
    Allowed { at: "From[0] ;tag", holds: both_given, reason: "the document has another tag behind the proxy: a slip" },
    Allowed { at: "P-Asserted-Identity[0]", holds: only_ours, reason: "TS 24.229 clause 5.2.6.3.3" },
    Allowed { at: "P-Called-Party-ID[0]", holds: only_ours, reason: "TS 24.229 clause 5.4.3.3" },
];

const BACK: &[Allowed] =
    &[Allowed { at: "P-Asserted-Identity[0]", holds: only_ours, reason: "TS 24.229 clause 5.2.6.4.4" }];

#[test]
fn a_message_reaches_the_other_user_and_its_200_comes_back() {
    let users = "subscribers:
  - {impus: ['sip:user1@domain.com'], password: unused}
  - {impus: ['sip:user2@domain.com'], password: unused}
";
    let settings = [
        "realm=domain.com",
        // As the recorded 200 has it: `received`.
        "pcscf.listen=[\"192.0.2.1:5060\"]",
        "pcscf.core=127.0.0.1:5060",
        "scscf.unauthenticated=everybody",
    ];
    let mut network = Network::new("plain-digest", &settings, &Scratch::new("replayed-pager").file("s.yaml", users));
    let tcp = Transport::Tcp;
    let user1 = plain(&mut network, tcp, "1.2.3.4:5060", "sip:user1@domain.com", "sip:user1@1.2.3.4;transport=tcp");
    let user2 = plain(&mut network, tcp, "5.6.7.8:5060", "sip:user2@domain.com", "sip:user2@5.6.7.8;transport=tcp");
    let sent = recorded("seeds/pager-01-message.sip");
    assert_eq!(sent, recorded("seeds/pager-00-message.sip"), "the document has it twice");
    let mut used = [BTreeSet::new(), BTreeSet::new()];
    network.sends(tcp, user1.client, user1.network, &with(&sent, None, &[("Route", user1.routes.clone())]));
    let arrived = network.hears(user2.client);
    assert_same(&recorded("seeds/pager-02-message-forwarded.sip"), &arrived.text, THERE, &mut used[0]);
    let vias = values(&arrived.text, HeaderName::Via);
    let answer = with(&recorded("seeds/pager-03-200.sip"), None, &[("Via", vias)]);
    network.answers(&user2, &arrived, &answer);
    let forwarded = recorded("seeds/pager-04-200-forwarded.sip").replace(";;", ";");
    assert_same(&forwarded, &network.told(user1.client), BACK, &mut used[1]);
    assert_all_used(THERE, &used[0]);
    assert_all_used(BACK, &used[1]);
    network.quiet();
}
