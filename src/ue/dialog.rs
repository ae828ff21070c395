//! Dialogs (RFC 3261 clause 12), and what stands in their place around a request outside of any.

use crate::random::Random;
use crate::sip::header::contact::Contacts;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::{HeaderName, Message};
use std::fmt;

/// Both sides of a dialog as one of them sees it. Before the other side has a tag it belongs to none.
#[derive(Clone)]
pub(super) struct Dialog {
    call_id: Box<str>,
    /// From of our requests, with its tag.
    local: Box<str>,
    local_tag: Box<str>,
    /// To of our requests, with its tag where there is one.
    remote: Box<str>,
    remote_tag: Option<Box<str>>,
    /// The number of our last request.
    pub(super) local_seq: u32,
    /// The number of the last request of the other side.
    remote_seq: Option<u32>,
    /// Where our requests go: Request-URI.
    target: Box<str>,
    /// The way there: Route, in order.
    routes: Box<[Box<str>]>,
}

impl Dialog {
    /// Around the first request to `target` from the identity `local`.
    pub(super) fn outside(local: &str, target: &str, routes: Vec<Box<str>>, random: &mut Random) -> Self {
        let tag = random.token::<12>();
        Self {
            call_id: random.token::<24>().as_str().into(),
            local: format!("<{local}>;tag={tag}").into(),
            local_tag: tag.as_str().into(),
            remote: format!("<{target}>").into(),
            remote_tag: None,
            local_seq: 0,
            remote_seq: None,
            target: target.into(),
            routes: routes.into(),
        }
    }

    /// The dialog that a response to our first request makes (RFC 3261 clause 12.1.2).
    pub(super) fn answered_by(&self, response: &Message<'_>) -> Option<Self> {
        let tag = response.to().ok()?.tag()?;
        let mut routes: Vec<Box<str>> = response.elements(HeaderName::RecordRoute).map(Into::into).collect();
        routes.reverse();
        Some(Self {
            remote: response.header(HeaderName::To)?.into(),
            remote_tag: Some(tag.into()),
            // A provisional response may leave the target open.
            target: contact(response).unwrap_or(&self.target).into(),
            routes: routes.into(),
            ..self.clone()
        })
    }

    /// The dialog that a request to us makes, with our `tag` (RFC 3261 clause 12.1.1).
    pub(super) fn asked_by(request: &Message<'_>, tag: &str) -> Option<Self> {
        Some(Self {
            call_id: request.call_id().ok()?.into(),
            local: format!("{};tag={tag}", request.header(HeaderName::To)?).into(),
            local_tag: tag.into(),
            remote: request.header(HeaderName::From)?.into(),
            remote_tag: request.from().ok()?.tag().map(Into::into),
            local_seq: 0,
            remote_seq: Some(request.cseq().ok()?.number),
            target: contact(request)?.into(),
            routes: request.elements(HeaderName::RecordRoute).map(Into::into).collect(),
        })
    }

    /// The dialog that the first NOTIFY makes where it comes before the 200 (RFC 6665 clause 4.4.1).
    pub(super) fn notified_by(&self, notify: &Message<'_>) -> Option<Self> {
        Some(Self {
            remote: notify.header(HeaderName::From)?.into(),
            remote_tag: Some(notify.from().ok()?.tag()?.into()),
            target: contact(notify)?.into(),
            routes: notify.elements(HeaderName::RecordRoute).map(Into::into).collect(),
            ..self.clone()
        })
    }

    /// True for a request that follows our first one and may make the dialog.
    pub(super) fn is_meant_by(&self, request: &Message<'_>) -> bool {
        request.call_id().is_ok_and(|id| id == &*self.call_id)
            && request.to().is_ok_and(|to| to.tag() == Some(&*self.local_tag))
    }

    /// True when From and To of a request of the other side are the URIs of the dialog (RFC 3261 clause 12.2.1.1).
    pub(super) fn is_named_by(&self, request: &Message<'_>) -> bool {
        let same = |own: &str, header| match (NameAddr::parse(header, own), request.header(header)) {
            (Ok(own), Some(text)) => NameAddr::parse(header, text).is_ok_and(|found| own.uri.equivalent(&found.uri)),
            _ => false,
        };
        same(&self.remote, HeaderName::From) && same(&self.local, HeaderName::To)
    }

    /// The URI of the other side.
    pub(super) fn remote_uri(&self) -> &str {
        NameAddr::parse(HeaderName::To, &self.remote).map_or("", |address| address.uri.text)
    }

    /// True when a request of the other side belongs here (RFC 3261 clause 12.2.2).
    pub(super) fn holds(&self, request: &Message<'_>) -> bool {
        request.call_id().is_ok_and(|id| id == &*self.call_id)
            && request.to().is_ok_and(|to| to.tag() == Some(&*self.local_tag))
            && request.from().is_ok_and(|from| from.tag() == self.remote_tag.as_deref())
    }

    /// True when a response to our first request has the tag of this dialog.
    pub(super) fn is_with(&self, response: &Message<'_>) -> bool {
        response.to().is_ok_and(|to| to.tag() == self.remote_tag.as_deref())
    }

    /// Takes the number of a request of the other side; false when it comes too late.
    pub(super) fn advance(&mut self, request: &Message<'_>) -> bool {
        let Ok(cseq) = request.cseq() else { return false };
        let in_order = self.remote_seq.is_none_or(|last| cseq.number > last);
        if in_order {
            self.remote_seq = Some(cseq.number);
        }
        in_order
    }

    /// Target refresh (RFC 3261 clause 12.2): the Contact of a re-INVITE, or of its 2xx, is the target from now on.
    pub(super) fn refresh(&mut self, message: &Message<'_>) {
        if let Some(target) = contact(message) {
            self.target = target.into();
        }
    }

    /// Call-ID.
    pub(super) fn call_id(&self) -> &str {
        &self.call_id
    }

    /// From of our requests.
    pub(super) fn local(&self) -> &str {
        &self.local
    }

    /// Our tag.
    pub(super) fn local_tag(&self) -> &str {
        &self.local_tag
    }

    /// To of our requests.
    pub(super) fn remote(&self) -> &str {
        &self.remote
    }

    /// Request-URI of our requests.
    pub(super) fn target(&self) -> &str {
        &self.target
    }

    /// Route of our requests.
    pub(super) fn routes(&self) -> &[Box<str>] {
        &self.routes
    }
}

/// Everything in it is an identity or could be one.
impl fmt::Debug for Dialog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dialog({} routes, {} sent)", self.routes.len(), self.local_seq)
    }
}

/// The URI of the first Contact.
fn contact<'m>(message: &Message<'m>) -> Option<&'m str> {
    match message.contacts() {
        Ok(Contacts::List(list)) => list.first().map(|c| c.address.uri.text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &str = "INVITE sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
        Record-Route: <sip:p2;lr>, <sip:p1;lr>\r\nFrom: <sip:a@x>;tag=A\r\nTo: <sip:b@x>\r\nCall-ID: c\r\n\
        CSeq: 7 INVITE\r\nContact: <sip:a@10.0.0.1:31001>;audio\r\n\r\n";

    fn request(method: &str, cseq: u32, tags: [&str; 2]) -> String {
        let [from, to] = tags;
        format!(
            "{method} sip:b@10.0.0.2 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK2\r\nFrom: <sip:a@x>;tag={from}\r\n\
             To: <sip:b@x>;tag={to}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@10.0.0.3>\r\n\r\n"
        )
    }

    #[test]
    fn the_called_side_keeps_the_order_of_record_route_and_the_calling_side_reverses_it() {
        let invite = Message::parse(INVITE.as_bytes()).unwrap();
        let called = Dialog::asked_by(&invite, "B").unwrap();
        assert_eq!(called.routes().iter().map(|r| &**r).collect::<Vec<_>>(), ["<sip:p2;lr>", "<sip:p1;lr>"]);
        assert_eq!((called.local(), called.remote()), ("<sip:b@x>;tag=B", "<sip:a@x>;tag=A"));
        assert_eq!(called.target(), "sip:a@10.0.0.1:31001");
        let ok = "SIP/2.0 200 OK\r\nRecord-Route: <sip:p2;lr>\r\nRecord-Route: <sip:p1;lr>\r\nTo: <sip:b@x>;tag=B\r\n\
                  Contact: sip:b@10.0.0.2\r\n\r\n";
        let ok = Message::parse(ok.as_bytes()).unwrap();
        let outside = Dialog::outside("sip:a@x", "sip:b@x", Vec::new(), &mut Random::seeded(1));
        let calling = outside.answered_by(&ok).unwrap();
        assert_eq!(calling.routes().iter().map(|r| &**r).collect::<Vec<_>>(), ["<sip:p1;lr>", "<sip:p2;lr>"]);
        assert_eq!((calling.target(), calling.remote()), ("sip:b@10.0.0.2", "<sip:b@x>;tag=B"));
        assert!(calling.is_with(&ok) && !outside.is_with(&ok));
    }

    #[test]
    fn requests_belong_by_three_names_and_come_in_order() {
        let mut called = Dialog::asked_by(&Message::parse(INVITE.as_bytes()).unwrap(), "B").unwrap();
        let ours = request("BYE", 8, ["A", "B"]);
        let ours = Message::parse(ours.as_bytes()).unwrap();
        assert!(called.holds(&ours));
        for tags in [["A", "C"], ["C", "B"]] {
            assert!(!called.holds(&Message::parse(request("BYE", 8, tags).as_bytes()).unwrap()));
        }
        assert!(called.advance(&ours) && !called.advance(&ours), "the same number is not newer");
        called.refresh(&ours);
        assert_eq!(called.target(), "sip:a@10.0.0.3");
        assert_eq!(format!("{called:?}"), "Dialog(2 routes, 0 sent)");
    }
}
