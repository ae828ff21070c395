//! Requests for a user who is served here (TS 24.229 clause 5.4.3.3).

use super::rewrite::{Called, Request, Side, Tried};
use super::{Copy, Progress, Way};
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::binding::Binding;
use crate::scscf::gruu::{self, Device};
use crate::scscf::refusal::Refusal;
use crate::scscf::registrar::is_canonically;
use crate::scscf::table::Id;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::header::params::Params;
use crate::sip::header::sec_agree::thousandths;
use crate::sip::proxy::{ContextId, Received};
use crate::sip::{HeaderName, Message, Uri};
use crate::time::Instant;

/// A binding as the end of a way.
struct End {
    registration: Id,
    contact: String,
    path: String,
    way: Way,
    /// In thousandths.
    q: u16,
    /// `+sip.instance` of a flow.
    instance: Option<Box<str>>,
}

impl Scscf {
    /// Whom a request calls.
    pub(super) fn called(&mut self, received: &Received<'_, '_>) -> Result<Called, Refusal> {
        let uri = Uri::parse(received.uri)?;
        let (impu, registrations, device) = match self.device_named(&uri)? {
            Some(Device { impu, gr }) => {
                let found = self.registrar.serving(&impu);
                if found.is_empty() && self.unregistered.find(&impu).is_none() {
                    return Err(Refusal::NotRegistered);
                }
                (impu, found, Some(gr.into()))
            }
            None => {
                let (impu, found) = self.find_called(&uri)?;
                (impu, found, None)
            }
        };
        if !registrations.is_empty() && registrations.iter().all(|id| self.is_barred(*id, &impu)) {
            return Err(Refusal::CalledBarred);
        }
        Ok(Called { impu, device })
    }

    /// Sends the request to bindings of the user called: at once to those of the same q, to the next ones when these have
    /// failed (RFC 3261 clause 16.6). Emergency registrations are left alone.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        context: ContextId,
        received: &Received<'_, '_>,
        called: &Called,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let registrations = self.registrar.serving(&called.impu);
        let bindings = registrations.iter().flat_map(|id| self.registrar.bindings(*id).iter().map(|b| (*id, b)));
        let bindings = bindings.filter(|(_, binding)| !binding.is_emergency());
        let is_called = |binding: &Binding| match &called.device {
            Some(gr) => gruu::names(gr, binding, &self.registrar.compact),
            None => true,
        };
        let bindings = bindings.filter(|(_, binding)| is_called(binding));
        let mut ends: Vec<End> = bindings.filter_map(|(id, binding)| self.end(id, binding)).collect();
        if has_disposition(received, "parallel") {
            ends.iter_mut().for_each(|end| end.q = 0);
        }
        let Some(kept) = self.proxying.contexts.kept(context) else { return Ok(()) };
        one_flow_each(&mut ends);
        // A flow that has gone leaves its place to another of its device, which may be of the same q.
        let is_tried = |end: &End| {
            kept.ends.iter().any(|t| *t.contact == *end.contact || t.instance.is_some() && t.instance == end.instance)
        };
        ends.retain(|end| end.q <= kept.reached && !is_tried(end));
        let q = ends.iter().map(|end| end.q).max().ok_or(Refusal::NotReachable)?;
        kept.reached = q;
        ends.retain(|end| end.q == q);
        if has_disposition(received, "no-fork") {
            kept.reached = 0;
            ends.truncate(1);
        }
        let request = Request { asserted: None, called: Some(received.uri.into()), orig_ioi: self.config.ioi.clone() };
        let record_route = format!("<sip:mt@{};lr>", self.route_base);
        let record_route = received.makes_dialog().then_some(&*record_route);
        for End { registration, contact, path, way, instance, .. } in ends {
            let copy = Copy { uri: &contact, routes: &elements(&path), record_route, way };
            let branch = self.forward(now, context, received, &copy, &request, out);
            if let (Some(branch), Some(kept)) = (branch, self.proxying.contexts.kept(context)) {
                kept.ends.push(Tried { branch, registration, contact: contact.into(), instance });
            }
        }
        Ok(())
    }

    /// Every copy of a request has failed. True when there are bindings of a lower q.
    pub(super) fn tries_others(&mut self, now: Instant, progress: Progress, out: &mut Outbox) -> bool {
        let Progress::Exhausted { context, .. } = progress else { return false };
        let Some(kept) = self.proxying.contexts.kept(context) else { return false };
        let Side::Terminating(called) = &kept.side else { return false };
        if matches!(kept.reached, 0 | u16::MAX) {
            return false;
        }
        let (called, request) = (called.clone(), kept.request.clone());
        let Ok(message) = Message::parse(&request) else { return false };
        let Ok(received) = self.read(&message) else { return false };
        self.deliver(now, context, &received, &called, out).is_ok()
    }

    /// The identity called, and the registrations that hold it.
    fn find_called(&mut self, uri: &Uri<'_>) -> Result<(String, Vec<Id>), Refusal> {
        let mut impu = String::new();
        uri.canonical(&mut impu);
        let mut found = self.registrar.serving(&impu);
        if found.is_empty()
            && let Some(number) = number_of(uri)
        {
            found = self.registrar.serving(&number);
            impu = number;
        }
        match found.is_empty() && self.unregistered.find(&impu).is_none() {
            false => Ok((impu, found)),
            true if self.is_home(uri) => Err(Refusal::NotRegistered),
            true => Err(Refusal::NotServed),
        }
    }

    fn is_barred(&self, registration: Id, impu: &str) -> bool {
        let set = self.registrar.get(registration).into_iter().flat_map(|r| self.registrar.identities(r));
        set.filter(|(identity, _)| is_canonically(identity, impu)).all(|(_, is_stated)| !is_stated)
    }

    fn end(&self, registration: Id, binding: &Binding) -> Option<End> {
        let compact = &self.registrar.compact;
        let (contact, path) = (binding.contact(compact), binding.path(compact));
        let way = match elements(&path).first() {
            Some(first) => self.way_to(&NameAddr::parse(HeaderName::Path, first).ok()?.uri),
            None => self.way_to(&Uri::parse(&contact).ok()?),
        };
        let q = Params { text: &binding.params(compact) }.value("q").and_then(thousandths).unwrap_or(1_000);
        let instance = if binding.is_flow() { binding.instance(compact).map(Into::into) } else { None };
        Some(End { registration, way: way.ok()?, contact, path, q, instance })
    }

    /// The binding that a request within a dialog is for, and the way there, where the peer of the UE knows it by a GRUU
    /// (RFC 5627 clause 5.1).
    pub(super) fn end_of_dialog(&mut self, received: &Received<'_, '_>) -> Option<(String, Way)> {
        let uri = Uri::parse(received.uri).ok()?;
        let Device { impu, gr } = self.device_named(&uri).ok()??;
        let registrations = self.registrar.serving(&impu);
        let mut bindings = registrations.iter().flat_map(|id| self.registrar.bindings(*id).iter().map(|b| (*id, b)));
        let newest = bindings.rfind(|(_, b)| gruu::names(&gr, b, &self.registrar.compact));
        let end = newest.and_then(|(id, binding)| self.end(id, binding))?;
        let recorded = received.routes.first().map(|_| self.way_of(received));
        Some((end.contact, recorded.transpose().ok()?.unwrap_or(end.way)))
    }
}

/// RFC 3261 clause 19.1.6: the number that a SIP URI stands for, canonical.
pub(in crate::scscf) fn number_of(uri: &Uri<'_>) -> Option<String> {
    uri.params.value("user").filter(|user| user.eq_ignore_ascii_case("phone"))?;
    let mut impu = String::new();
    Uri::parse(&format!("tel:{}", uri.user?)).ok()?.canonical(&mut impu);
    Some(impu)
}

/// What the caller asks of proxies (RFC 3841 clause 9.1).
fn has_disposition(received: &Received<'_, '_>, directive: &str) -> bool {
    received.message.has_option(HeaderName::RequestDisposition, directive)
}

/// Of the flows of one device only the newest is tried at a time (RFC 5626 clause 7). The newest comes last.
fn one_flow_each(ends: &mut Vec<End>) {
    for at in (0..ends.len()).rev() {
        let newer = |end: &End| end.instance == ends[at].instance && end.registration == ends[at].registration;
        if ends[at].instance.is_some() && ends[at + 1..].iter().any(newer) {
            ends.remove(at);
        }
    }
}

/// The elements of a Path.
fn elements(path: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    // A Path that cannot be read was refused when it came, or leads nowhere.
    let _ = NameAddr::take_all(HeaderName::Path, path, &mut elements);
    elements.iter().map(|element| element.text).collect()
}
