//! Third-party REGISTER: who is registered, as the S-CSCF says (TS 24.229 clause 5.7.1.1).

use super::{ApplicationServer, Due, Reaction, body, tell};
use crate::event::What;
use crate::identity::Impu;
use crate::packet::Outbox;
use crate::sip::header::contact::Contacts;
use crate::sip::transaction::ServerId;
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Users by the identity that To named, and until when they are registered.
#[derive(Debug, Default)]
pub(super) struct Users(BTreeMap<Impu, Instant>);

impl Users {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// True while the user is registered.
    pub(super) fn has(&self, impu: &Impu) -> bool {
        self.0.contains_key(impu)
    }

    /// The time of a user may be over.
    pub(super) fn end(&mut self, impu: &Impu, now: Instant) {
        if self.0.get(impu).is_some_and(|until| *until <= now) {
            self.0.remove(impu);
        }
    }
}

impl ApplicationServer {
    pub(super) fn on_register(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) {
        tell(out, || What::RegistrationTold {
            impu: impu_of(message),
            expires: u64::from(expires_of(message)),
            content: body::parts(message),
        });
        match self.config.register.delay {
            Duration::ZERO => self.answer_register(now, server, message, out),
            delay => self.timeouts.after(now, delay, Due::Answer(server, message.bytes().to_vec())),
        }
    }

    /// The answer, and what follows from it.
    pub(super) fn answer_register(&mut self, now: Instant, server: ServerId, message: &Message<'_>, out: &mut Outbox) {
        match self.config.register.reaction {
            Reaction::Silence => return self.transactions.abandon(now, server),
            Reaction::Refuse(status) => return self.answer(now, server, message, status, out),
            Reaction::Accept => {}
        }
        let (impu, expires) = (impu_of(message), expires_of(message));
        self.answer_with(now, server, message, 200, out, |w| {
            for contact in message.values(HeaderName::Contact).filter(|_| expires > 0) {
                w.header(HeaderName::Contact, contact);
            }
            w.header_number(HeaderName::Expires, expires.into());
        });
        if expires == 0 {
            self.users.0.remove(&impu);
            return;
        }
        let until = now + Duration::from_secs(expires.into());
        self.timeouts.at(until, Due::Expiry(impu.clone()));
        self.users.0.insert(impu.clone(), until);
        if self.config.subscribe && !self.subscriptions.has(&impu) {
            let scscf = match message.contacts() {
                Ok(Contacts::List(contacts)) => contacts.first().map(|contact| contact.address.uri.text),
                _ => None,
            };
            if let Some(scscf) = scscf {
                self.subscribe(now, &impu, scscf, out);
            }
        }
    }
}

fn impu_of(message: &Message<'_>) -> Impu {
    let mut impu = String::new();
    if let Ok(to) = message.to() {
        to.uri.canonical(&mut impu);
    }
    Impu::from(impu)
}

/// RFC 3261 clause 10.2.1.1: an hour where nothing is said.
fn expires_of(message: &Message<'_>) -> u32 {
    message.expires().unwrap_or(3_600)
}
