//! Requests for a user who is served here (TS 24.229 clause 5.4.3.3).

use super::rewrite::{Kept, Request, Side};
use super::{Copy, Way};
use crate::packet::Outbox;
use crate::scscf::Scscf;
use crate::scscf::binding::Binding;
use crate::scscf::refusal::Refusal;
use crate::scscf::registrar::is_canonically;
use crate::scscf::table::Id;
use crate::sip::header::name_addr::NameAddr;
use crate::sip::proxy::Received;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Uri};
use crate::time::Instant;

/// A binding as the end of a way.
struct End {
    contact: String,
    path: String,
    way: Way,
}

impl Scscf {
    /// A request for a user: to all his bindings at once.
    pub(super) fn terminate(
        &mut self,
        now: Instant,
        server: ServerId,
        received: &Received<'_, '_>,
        out: &mut Outbox,
    ) -> Result<(), Refusal> {
        let (impu, registrations) = self.called(received)?;
        if registrations.iter().all(|id| self.is_barred(*id, &impu)) {
            return Err(Refusal::CalledBarred);
        }
        let bindings = registrations.iter().flat_map(|id| self.registrar.bindings(*id));
        let ends: Vec<End> = bindings.filter_map(|binding| self.end(binding)).collect();
        if ends.is_empty() {
            return Err(Refusal::NotReachable);
        }
        let request = Request { asserted: None, called: Some(received.uri.into()), orig_ioi: self.config.ioi.clone() };
        let record_route = format!("<sip:mt@{};lr>", self.route_base);
        let record_route = received.makes_dialog().then_some(&*record_route);
        let routes: Vec<Vec<&str>> = ends.iter().map(|end| elements(&end.path)).collect();
        let copies: Vec<Copy<'_>> = ends
            .iter()
            .zip(&routes)
            .map(|(end, routes)| Copy { uri: &end.contact, routes, record_route, way: end.way })
            .collect();
        let kept = Kept::new(received, Side::Terminating, &self.config.ioi);
        self.forward(now, server, received, kept, &copies, &request, out);
        Ok(())
    }

    /// The identity called, and the registrations that hold it.
    fn called(&mut self, received: &Received<'_, '_>) -> Result<(String, Vec<Id>), Refusal> {
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

    fn end(&self, binding: &Binding) -> Option<End> {
        let compact = &self.registrar.compact;
        let (contact, path) = (binding.contact(compact), binding.path(compact));
        let way = match elements(&path).first() {
            Some(first) => self.way_to(&NameAddr::parse(HeaderName::Path, first).ok()?.uri),
            None => self.way_to(&Uri::parse(&contact).ok()?),
        };
        Some(End { way: way.ok()?, contact, path })
    }
}

/// The elements of a Path.
fn elements(path: &str) -> Vec<&str> {
    let mut elements = Vec::new();
    // A Path that cannot be read was refused when it came, or leads nowhere.
    let _ = NameAddr::take_all(HeaderName::Path, path, &mut elements);
    elements.iter().map(|element| element.text).collect()
}
