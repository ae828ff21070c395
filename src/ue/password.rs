//! Challenges that a password answers: of a registrar (401) and of proxies (407), for REGISTER and other requests
//! (RFC 3261 clause 22, TS 24.229 clauses 5.1.1.5.6 and 5.1.2A.1.7).

use super::attempt::{Answer, Answering, Attempt, remove_temporary};
use super::challenge::{Challenge, Credentials, MAX_ANSWERS, Proof};
use super::failure::{Failure, Stage};
use super::outgoing::Way;
use super::security::Proposal;
use super::{Asked, State, Ue};
use crate::packet::{Outbox, Transport};
use crate::sip::transaction::ClientId;
use crate::sip::{HeaderName, Message, StartLine, Writer};
use crate::time::Instant;

impl Ue {
    /// A 401 to a REGISTER that asks for the password.
    pub(super) fn on_password_asked(
        &mut self,
        now: Instant,
        mut attempt: Attempt,
        challenge: Challenge,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        let Some(login) = self.config.login.clone() else {
            let fault = "a password is asked for, and there is none";
            return self.fail(now, &attempt, &Failure::Challenge { fault }, None, out);
        };
        match attempt.proposal {
            // These need keys, which a password does not make.
            Some(Proposal::Sas { .. }) if message.header(HeaderName::SecurityServer).is_some() => {
                return self.fail(now, &attempt, &Failure::NoCommonMechanism, None, out);
            }
            Some(Proposal::Tls) => match self.agree_on_tls(message) {
                Ok(mirror) => attempt.mirror = mirror.or(attempt.mirror),
                Err(failure) => return self.fail(now, &attempt, &failure, None, out),
            },
            _ => {}
        }
        if attempt.answered > 0 && !challenge.is_stale {
            return self.fail(now, &attempt, &Failure::PasswordRefused, None, out);
        }
        attempt.answered += 1;
        if attempt.answered > MAX_ANSWERS {
            return self.fail(now, &attempt, &Failure::ChallengedTooOften(MAX_ANSWERS), None, out);
        }
        self.answer(now, attempt, Credentials::new(challenge, Proof::Password(login)), None, out);
    }

    /// A 407 to a REGISTER: the same again, with Proxy-Authorization.
    pub(super) fn on_proxy_challenge(
        &mut self,
        now: Instant,
        mut attempt: Attempt,
        answer: Option<Box<Answer>>,
        message: &Message<'_>,
        out: &mut Outbox,
    ) {
        attempt.proxied += 1;
        if attempt.proxied > MAX_ANSWERS {
            remove_temporary(answer, "the attempt ended without success", out);
            return self.fail(now, &attempt, &Failure::ChallengedTooOften(MAX_ANSWERS), None, out);
        }
        if let Err(failure) = self.take_proxy_challenge(message) {
            remove_temporary(answer, "the attempt ended without success", out);
            return self.fail(now, &attempt, &failure, None, out);
        }
        let Some(mut answer) = answer else {
            let agree = attempt.proposal.is_some();
            return self.ask(now, attempt, agree, out);
        };
        let authorization = answer.credentials.authorization(&self.config, &mut self.random);
        let sent = self.send(now, &attempt, answer.temporary.as_ref(), &authorization, Stage::Answer, out);
        self.state = State::Answering(Answering { attempt, sent, answer });
    }

    /// A 401 or 407 to another request: the same again, with credentials. Gives `asked` back where that is no use.
    pub(super) fn ask_again(
        &mut self,
        now: Instant,
        client: ClientId,
        asked: Asked,
        response: &Message<'_>,
        out: &mut Outbox,
    ) -> Option<Asked> {
        if self.config.login.is_none() || !matches!(response.status(), Some(401 | 407)) {
            return Some(asked);
        }
        let (Some(sent), Some(way)) = (self.transactions.sent(client).map(<[u8]>::to_vec), self.way()) else {
            return Some(asked);
        };
        let sent = Message::parse(&sent).expect("we have written it");
        let credentials = match response.status() {
            Some(407) => self.for_proxy(&sent, response),
            _ => self.for_registrar(&sent, response),
        };
        let Ok(credentials) = credentials else { return Some(asked) };
        let seq = sent.cseq().map_or(0, |cseq| cseq.number) + 1;
        let call = match asked {
            Asked::Invite(call) | Asked::Reinvite(call) | Asked::Bye(call) => Some(call),
            Asked::Subscribe => {
                self.on_subscribe_sent_again(seq);
                None
            }
            Asked::Register | Asked::Standalone { .. } | Asked::Nothing => None,
        };
        let timers = self.config.timers;
        let again = self.transactions.request(now, timers, way.route, true, asked, out, |bytes, transport, branch| {
            write_again(bytes, transport, branch, &sent, seq, &way, &credentials);
        });
        if let Some(call) = call {
            self.on_sent_again(call, again, seq);
        }
        None
    }

    fn for_proxy(&mut self, sent: &Message<'_>, response: &Message<'_>) -> Result<(HeaderName, String), Failure> {
        if sent.header(HeaderName::ProxyAuthorization).is_none() {
            // Others were asked before this one was answered: what they know is of no use for it.
            self.proxy_credentials = None;
        }
        self.take_proxy_challenge(response)?;
        let value = self.proxy_authorization(covered(sent)).ok_or(Failure::PasswordRefused)?;
        Ok((HeaderName::ProxyAuthorization, value))
    }

    fn for_registrar(&mut self, sent: &Message<'_>, response: &Message<'_>) -> Result<(HeaderName, String), Failure> {
        let challenge = Challenge::pick(response, &self.config)?;
        let login = self.config.login.clone().filter(|_| challenge.aka.is_none()).ok_or(Failure::PasswordRefused)?;
        if sent.header(HeaderName::Authorization).is_some() && !challenge.is_stale {
            return Err(Failure::PasswordRefused);
        }
        let mut credentials = Credentials::new(challenge, Proof::Password(login));
        Ok((HeaderName::Authorization, credentials.value(&self.config, covered(sent), &mut self.random)))
    }

    /// From now on every request proves to the proxy who we are; an error where it has refused this password.
    pub(super) fn take_proxy_challenge(&mut self, message: &Message<'_>) -> Result<(), Failure> {
        let challenge = Challenge::pick(message, &self.config)?;
        let login = self.config.login.clone().filter(|_| challenge.aka.is_none());
        let login = login.ok_or(Failure::Challenge { fault: "a proxy asks for no password" })?;
        if self.proxy_credentials.is_some() && !challenge.is_stale {
            self.proxy_credentials = None;
            return Err(Failure::PasswordRefused);
        }
        self.proxy_credentials = Some(Box::new(Credentials::new(challenge, Proof::Password(login))));
        Ok(())
    }

    /// The value of Proxy-Authorization for a request, once a proxy has asked.
    pub(super) fn proxy_authorization(&mut self, request: (&str, &str, &[u8])) -> Option<String> {
        let credentials = self.proxy_credentials.as_mut()?;
        Some(credentials.value(&self.config, request, &mut self.random))
    }
}

/// What a digest covers of a request.
fn covered<'a>(sent: &Message<'a>) -> (&'a str, &'a str, &'a [u8]) {
    let method = match sent.start() {
        StartLine::Request { method, .. } => method.as_str(),
        StartLine::Response { .. } => "",
    };
    (method, sent.request_uri().unwrap_or_default(), sent.body())
}

/// The same request in another transaction (RFC 3261 clause 22.2: CSeq counts on).
fn write_again(
    out: &mut Vec<u8>,
    transport: Transport,
    branch: &str,
    sent: &Message<'_>,
    seq: u32,
    way: &Way,
    (header, credentials): &(HeaderName, String),
) {
    let (method, uri, body) = covered(sent);
    let rport = if way.verify.is_some() { "" } else { ";rport" };
    let mut w = Writer::request(out, method, uri);
    w.header_fmt(HeaderName::Via, format_args!("SIP/2.0/{transport} {};branch={branch}{rport}", way.reachable));
    for line in sent.lines() {
        match line.name {
            HeaderName::CSeq => {
                w.header_fmt(HeaderName::CSeq, format_args!("{seq} {method}"));
            }
            HeaderName::Via | HeaderName::ContentLength => {}
            name if name == *header => {}
            _ => {
                w.copy(&line);
            }
        }
    }
    w.header(*header, credentials);
    w.finish(body);
}
