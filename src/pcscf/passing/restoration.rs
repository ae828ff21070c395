//! The S-CSCF of a UE cannot be reached: the UE is sent to an initial registration, for which the I-CSCF finds another
//! (TS 24.229 clause 5.2.6.3, TS 23.380 clause 4.4).

use super::rewrite::Passage;
use crate::packet::Outbox;
use crate::pcscf::Pcscf;
use crate::pcscf::to_ue::Answer;
use crate::sip::proxy::ContextId;
use crate::sip::{HeaderName, Message, alternative_service};
use crate::time::Instant;
use std::net::SocketAddr;

/// A request outside of dialogs, as its UE sent it.
pub(in crate::pcscf) struct Initial {
    pub(super) request: Box<[u8]>,
    pub(super) source: SocketAddr,
    /// Our URI in the Path of the registration.
    pub(super) path: Box<str>,
}

impl Pcscf {
    /// Nobody has answered a request. False: it is none whose UE can do anything about it.
    pub(super) fn send_to_registration(&mut self, now: Instant, context: ContextId, out: &mut Outbox) -> bool {
        let Some(Passage::FromUe { initial, .. }) = self.proxy.kept(context) else { return false };
        let Some(initial) = initial.take() else { return false };
        let Some(server) = self.proxy.server(context) else { return false };
        self.proxy.close(&mut self.to_ue.io(now, out), context);
        let Initial { request, source, path } = *initial;
        let request = Message::parse(&request).expect("it was parsed when it came");
        let headers =
            [(HeaderName::PAssertedIdentity, &*path), (HeaderName::ContentType, alternative_service::CONTENT_TYPE)];
        let (status, body) = (504, alternative_service::INITIAL_REGISTRATION);
        let answer = Answer::Own { request: &request, source, status, headers: &headers, body };
        self.to_ue.answer(now, server, &answer, out);
        true
    }
}

impl std::fmt::Debug for Initial {
    /// Shows no identity.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Initial").field("source", &self.source).finish_non_exhaustive()
    }
}
