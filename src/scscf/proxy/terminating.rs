//! Requests for a user who is served here (TS 24.229 clause 5.4.3.3).

use super::rewrite::{Called, Request, Side};
use super::{Copy, Progress, Way};
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::binding::Binding;
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
}

impl Scscf {
    /// Whom a request calls.
    pub(super) fn called(&mut self, received: &Received<'_, '_>) -> Result<Called, Refusal> {
        let (impu, registrations) = self.find_called(received)?;
        if registrations.iter().all(|id| self.is_barred(*id, &impu)) {
            return Err(Refusal::CalledBarred);
        }
        Ok(Called { impu })
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
        let bindings = bindings.filter(|(_, binding)| !binding.is_emergency(&self.registrar.compact));
        let mut ends: Vec<End> = bindings.filter_map(|(id, binding)| self.end(id, binding)).collect();
        if has_disposition(received, "parallel") {
            ends.iter_mut().for_each(|end| end.q = 0);
        }
        let Some(kept) = self.proxying.contexts.kept(context) else { return Ok(()) };
        ends.retain(|end| end.q < kept.reached);
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
        for End { registration, contact, path, way, .. } in ends {
            let copy = Copy { uri: &contact, routes: &elements(&path), record_route, way };
            let branch = self.forward(now, context, received, &copy, &request, out);
            if let (Some(branch), Some(kept)) = (branch, self.proxying.contexts.kept(context)) {
                kept.ends.push((branch, registration, contact.into()));
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
    fn find_called(&mut self, received: &Received<'_, '_>) -> Result<(String, Vec<Id>), Refusal> {
        let uri = Uri::parse(received.uri)?;
        let mut impu = String::new();
        uri.canonical(&mut impu);
        let mut found = self.registrar.serving(&impu);
        if found.is_empty()
            && uri.params.value("user").is_some_and(|user| user.eq_ignore_ascii_case("phone"))
            && let Some(number) = uri.user
            && let Ok(tel) = Uri::parse(&format!("tel:{number}"))
        {
            // RFC 3261 clause 19.1.6: a SIP URI that stands for a number.
            impu.clear();
            tel.canonical(&mut impu);
            found = self.registrar.serving(&impu);
        }
        match found.is_empty() {
            false => Ok((impu, found)),
            true if self.is_home(&uri) => Err(Refusal::NotRegistered),
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
        Some(End { registration, way: way.ok()?, contact, path, q })
    }
}

/// What the caller asks of proxies (RFC 3841 clause 9.1).
fn has_disposition(received: &Received<'_, '_>, directive: &str) -> bool {
    received.message.has_option(HeaderName::RequestDisposition, directive)
}

/// The elements of a Path.
fn elements(path: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    // A Path that cannot be read was refused when it came, or leads nowhere.
    let _ = NameAddr::take_all(HeaderName::Path, path, &mut elements);
    elements.iter().map(|element| element.text).collect()
}
