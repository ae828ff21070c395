//! Requests: the recorded octets, with everything renewed that must be.

use super::comparison::Sender;
use super::player::Player;
use super::renewals::Renewals;
use super::report::Outcome;
use super::rewrite::{Rewrite, renewed_value, replaced, rewrite};
use super::script::{Step, endpoint};
use crate::ipsec::negotiate;
use crate::packet::{Outbox, Route, Transport};
use crate::sip::header::digest::Digest;
use crate::sip::header::sec_agree::Mechanisms;
use crate::sip::header::via::Via;
use crate::sip::transaction::Timers;
use crate::sip::{HeaderName, Line, Message};
use crate::time::Instant;
use std::net::SocketAddr;

impl Player {
    /// Sends the message of step `index`.
    pub(super) fn play(&mut self, now: Instant, index: usize, out: &mut Outbox) {
        let step = self.script.steps[index].clone();
        if step.is_request() {
            self.ask(now, index, &step, out);
        } else {
            self.answer(now, index, &step, out);
        }
    }

    /// The request of step `asked`, as it was sent.
    pub(super) fn sent(&self, asked: usize) -> Option<Vec<u8>> {
        self.sent.get(&asked).cloned()
    }

    fn ask(&mut self, now: Instant, index: usize, step: &Step, out: &mut Outbox) {
        self.renew_own(step);
        let route = self.route_of(step);
        let values = match self.credentials(step) {
            Ok(values) => values,
            Err(why) => {
                self.report.note(now, Some(step.number), &step.name(), Outcome::NotSent(why));
                return self.finish(now);
            }
        };
        let Self { transactions, renewals, routes, clients, sent, script, config, mirrors, .. } = self;
        let verify = sent_verify(&script.steps[index], mirrors);
        let mut written = Vec::new();
        let client = transactions.request(now, Timers::GM, route, false, index, out, |bytes, transport, branch| {
            let mut first_via = true;
            let mut first_verify = true;
            let mut used_route = false;
            let route_now = routes_now(step, routes, renewals, config.pcscf.ip() == route.to.ip(), route.to);
            let message = rewrite(&step.bytes, renewals, None, |line| match line.name {
                HeaderName::Via if std::mem::take(&mut first_via) => {
                    let value = renewed_value(line, renewals);
                    Rewrite::Value(top_via(line, value, renewals, transport, branch))
                }
                HeaderName::Authorization | HeaderName::ProxyAuthorization => {
                    let given = values.iter().find(|(recorded, _)| recorded == line.value);
                    given.map_or(Rewrite::Renew, |(_, now)| Rewrite::Value(now.clone()))
                }
                HeaderName::SecurityVerify => match &verify {
                    Some(verify) if std::mem::take(&mut first_verify) => Rewrite::Value(verify.clone()),
                    Some(_) => Rewrite::Drop,
                    None => Rewrite::Renew,
                },
                HeaderName::Route => match &route_now {
                    Some(list) if !std::mem::replace(&mut used_route, true) => Rewrite::Value(list.clone()),
                    Some(_) => Rewrite::Drop,
                    None => Rewrite::Renew,
                },
                _ => Rewrite::Renew,
            });
            written.clone_from(&message);
            bytes.extend_from_slice(&message);
        });
        let branch = |bytes: &[u8]| Some(Message::parse(bytes).ok()?.via().ok()?.branch()?.to_owned());
        if let (Some(recorded), Some(now)) = (branch(&step.bytes), branch(&written)) {
            renewals.branch(&recorded, &now);
        }
        sent.insert(index, written);
        clients.insert(step.exchange, client);
        self.report.note(now, Some(step.number), &step.name(), Outcome::Sent);
    }

    /// Call-ID, tag, SPIs and ports that the recorded sender chose.
    fn renew_own(&mut self, step: &Step) {
        let Some(sip) = step.sip() else { return };
        if let Ok(call_id) = sip.call_id()
            && self.renewals.call_id_of(call_id).is_none()
        {
            let fresh = self.random.token::<20>();
            let host = call_id.split_once('@').map(|(_, host)| self.renewals.renewed(host));
            let fresh = host.map_or_else(|| fresh.to_string(), |host| format!("{fresh}@{host}"));
            self.renewals.call_id(call_id, &fresh);
        }
        if let Some(tag) = sip.from().ok().and_then(|from| from.tag())
            && !self.renewals.has_tag(tag)
        {
            let fresh = self.random.token::<10>();
            self.renewals.tag(tag, fresh.as_str());
        }
        if self.config.side == Sender::Ue
            && let Some(recorded) = endpoint(&sip, HeaderName::SecurityClient)
        {
            self.renew_endpoint(recorded);
        }
    }

    /// Authorization and Proxy-Authorization as recorded, and as they are now.
    fn credentials(&self, step: &Step) -> Result<Vec<(String, String)>, String> {
        let Some(sip) = step.sip() else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for name in [HeaderName::Authorization, HeaderName::ProxyAuthorization] {
            for value in sip.values(name) {
                let now = self.renewals.renewed(value);
                let nonce = Digest::parse(name, value).ok().flatten().and_then(|digest| digest.nonce);
                let challenge = self.challenges.iter().rev().find(|one| Some(&*one.recorded.nonce) == nonce);
                let answered = match challenge {
                    Some(challenge) => {
                        let answer = challenge.answer(&now, name, &step.method, sip.body(), &self.config.known);
                        answer.map_err(|why| why.to_string())?
                    }
                    None => now,
                };
                all.push((value.to_owned(), answered));
            }
        }
        Ok(all)
    }

    /// How a request of ours goes: through the newest set where an SA carried it.
    fn route_of(&self, step: &Step) -> Route {
        let mirrors = || step.sip().is_some_and(|sip| sip.header(HeaderName::SecurityVerify).is_some());
        let protected = step.protected.unwrap_or_else(|| if step.is_register() { mirrors() } else { true });
        if let Some(route) = protected.then(|| self.protected_route(step.transport)).flatten() {
            return route;
        }
        match (self.config.side, self.other) {
            (Sender::Network, Some(other)) => Route::sip(other.transport, other.from, other.to),
            _ => {
                let port = if step.transport == Transport::Udp { self.config.local.port() } else { 0 };
                let from = SocketAddr::new(self.config.local.ip(), port);
                Route::sip(step.transport, from, self.config.pcscf)
            }
        }
    }
}

/// The topmost Via of a request of ours: transport, sent-by and branch.
fn top_via(line: &Line<'_>, value: String, renewals: &Renewals, transport: Transport, branch: &str) -> String {
    let Ok((recorded, _)) = Via::parse(line.value) else { return value };
    let sent_by = renewals.sent_by(&recorded);
    // In what is renewed already sent-by may stand without its port.
    let Ok((via, _)) = Via::parse(&value) else { return value };
    let mut edits = vec![(via.transport, transport.as_str().to_owned())];
    if let Some(sent_by) = sent_by {
        let start = (via.host.as_ptr() as usize).wrapping_sub(value.as_ptr() as usize);
        let end = start + via.host.len();
        let port =
            value[end..].strip_prefix(':').map_or(0, |rest| 1 + rest.bytes().take_while(u8::is_ascii_digit).count());
        edits.push((&value[start..end + port], sent_by));
    }
    match via.branch() {
        Some(given) => {
            edits.push((given, branch.to_owned()));
            replaced(&value, edits)
        }
        None => replaced(&value, edits) + ";branch=" + branch,
    }
}

/// Route with the route set of now, where the recorded one is known.
fn routes_now(
    step: &Step,
    known: &[(Vec<String>, Vec<String>)],
    renewals: &Renewals,
    is_to_pcscf: bool,
    to: SocketAddr,
) -> Option<String> {
    let sip = step.sip()?;
    let recorded: Vec<&str> = sip.elements(HeaderName::Route).collect();
    let (old, now) = known
        .iter()
        .rev()
        .find(|(old, _)| recorded.len() >= old.len() && recorded[recorded.len() - old.len()..].iter().eq(old.iter()))?;
    let front = &recorded[..recorded.len() - old.len()];
    let mut list: Vec<String> = front.iter().map(|element| renewals.renewed(element)).collect();
    // The P-CSCF by a name that nobody here can resolve.
    if let ([recorded], [first], true) = (front, &mut list[..], is_to_pcscf)
        && recorded == first
        && !recorded.contains('[')
        && let Some((scheme, rest)) = recorded.split_once("sip:")
    {
        let end = rest.find([';', '>']).unwrap_or(rest.len());
        *first = format!("{scheme}sip:{to}{}", &rest[end..]);
    }
    list.extend(now.iter().cloned());
    Some(list.join(", "))
}

/// Security-Verify: Security-Server as it came, where the recorded one mirrored what it had got.
fn sent_verify(step: &Step, mirrors: &[(String, String)]) -> Option<String> {
    let sip = step.sip()?;
    let recorded: Vec<&str> = sip.values(HeaderName::SecurityVerify).collect();
    let text = recorded.join(", ");
    mirrors.iter().rev().find(|(old, _)| !text.is_empty() && is_same_list(old, &text)).map(|(_, now)| now.clone())
}

fn is_same_list(a: &str, b: &str) -> bool {
    let list = |text| Mechanisms::parse(HeaderName::SecurityServer, std::iter::once(text));
    matches!((list(a), list(b)), (Ok(a), Ok(b)) if negotiate::same(&a, &b))
}
