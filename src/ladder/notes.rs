//! Events in words.

use super::identity;
use crate::event::{Event, Role, What};
use crate::ipsec::association::SaSetId;
use std::collections::HashMap;

/// Numbers the sets of SAs of each element from 1, in the order in which they were installed.
#[derive(Default, Debug)]
pub(super) struct SetNumbers {
    numbers: HashMap<(Role, SaSetId), usize>,
    last: HashMap<Role, usize>,
}

impl SetNumbers {
    fn of(&mut self, role: Role, set: SaSetId) -> usize {
        let last = self.last.entry(role).or_default();
        *self.numbers.entry((role, set)).or_insert_with(|| {
            *last += 1;
            *last
        })
    }
}

/// `None`: not worth a line.
pub(super) fn text(event: &Event, sets: &mut SetNumbers) -> Option<String> {
    Some(match &event.what {
        What::AutnVerified { .. } => "AUTN verified: MAC right, SQN fresh".to_owned(),
        What::MacFailure { .. } => "AUTN refused: MAC wrong".to_owned(),
        What::SqnOutOfRange { sqn, sqn_ms, .. } => {
            format!("AUTN refused: SQN {sqn:012x} out of range, SQN_MS {sqn_ms:012x}")
        }
        What::SqnResynchronised { before, after, mac_s_valid: true, .. } => {
            format!("AUTS verified: SQN_HE {before:012x} becomes {after:012x}")
        }
        What::SqnResynchronised { before, .. } => format!("AUTS refused: MAC-S wrong, SQN_HE stays {before:012x}"),
        What::Challenged { .. } => "challenge made, reg-await-auth started".to_owned(),
        What::ResponseVerified { .. } => "RES verified".to_owned(),
        What::AuthenticationFailed { cause, .. } => format!("authentication failed: {cause}"),
        What::Registered { impu, expires, .. } => {
            format!("registered {} for {} s", identity(impu.as_str()), expires.as_secs())
        }
        What::RegistrationRestored { impu, expires, .. } => {
            format!("registration of {} restored from the HSS, {} s left", identity(impu.as_str()), expires.as_secs())
        }
        What::Deregistered { impu, cause, .. } => format!("no longer registered {}: {cause}", identity(impu.as_str())),
        What::Refused { status, cause, clause } => format!("refused by {status}: {cause} ({clause})"),
        What::SaInstalled { set, algorithms, spis, ports, .. } => format!(
            "SA set {} installed ({algorithms}, spi {}/{}, port {}/{})",
            sets.of(event.role, *set),
            spis.0,
            spis.1,
            ports.0,
            ports.1
        ),
        What::SaEstablished { set, lifetime } => {
            format!("SA set {} established for {} s", sets.of(event.role, *set), lifetime.as_secs())
        }
        What::SaRemoved { set, cause } => format!("SA set {} removed: {cause}", sets.of(event.role, *set)),
        What::TlsBound { ue } => format!("the TLS session with {ue} carries the registration"),
        What::TlsUnbound { ue, cause } => format!("no TLS session with {ue} any more: {cause}"),
        What::PacketDropped { from, to, cause } => format!("packet {from} to {to} dropped: {cause}"),
        What::OfferSkipped { unknown } => format!("skipped in the offer: {unknown}"),
        What::PeerDown { host, cause } => format!("Diameter peer {host} down: {cause}"),
        What::Discarded { from, cause } => format!("bytes from {from} dropped: {cause}"),
        What::MessageReceived { from, content_type, octets } => {
            format!("message of {}: {octets} octets of {content_type}", identity(from.as_str()))
        }
        What::RequestAnswered { method, status: 0, .. } => format!("{method} unanswered"),
        What::RequestAnswered { method, status, .. } => format!("{method} answered by {status}"),
        What::DialogEarly { call, status, .. } => format!("call {call}: dialog early by {status}"),
        What::DialogConfirmed { call, .. } => format!("call {call}: dialog confirmed"),
        What::DialogEnded { call, status, cause, .. } => format!("call {call} ended ({status}): {cause}"),
        What::Subscribed { watcher, expires, .. } => {
            format!("{} watches the registration for {} s", identity(watcher.as_str()), expires.as_secs())
        }
        What::SubscriptionEnded { cause, .. } => format!("a subscription has ended: {cause}"),
        What::NotifyFault { cause, clause } => format!("NOTIFY is faulty: {cause} ({clause})"),
        What::FilterFault { cause } => cause.clone(),
        What::ServiceFailed { server, impu, status, ends_registration } => {
            let outcome = if *status == 0 { "gave no answer".to_owned() } else { format!("answered {status}") };
            let consequence = if *ends_registration { "is to end" } else { "goes on" };
            format!("{server} {outcome}: what is registered for {} {consequence}", identity(impu.as_str()))
        }
        What::ServiceLeftOut { server, status, goes_on } => {
            let outcome = if *status == 0 { "cannot be reached".to_owned() } else { format!("failed ({status})") };
            format!("{server} {outcome}: the request {}", if *goes_on { "goes on without it" } else { "ends" })
        }
        What::RegistrationTold { impu, expires: 0, .. } => {
            format!("told that {} is registered no longer", identity(impu.as_str()))
        }
        What::RegistrationTold { impu, expires, content } => {
            let told = format!("told that {} is registered for {expires} s", identity(impu.as_str()));
            if content.is_empty() { told } else { format!("{told}, with {}", content.join(", ")) }
        }
        What::RegistrationNotified { impu, subscription, registrations, faults } => {
            let mut text = format!("notified of {} ({subscription})", identity(impu.as_str()));
            for one in registrations.iter().chain(faults) {
                text.push_str("; ");
                text.push_str(one);
            }
            text
        }
        What::UeSilent { ue, since } => format!("{ue} answers nothing, silent for {} s", since.as_secs()),
        What::RetryAt { after, cause } => format!("next attempt in {:.1} s: {cause}", after.as_secs_f64()),
        What::GaveUp { cause, .. } => format!("given up: {cause}"),
        // Peers open before anything is drawn; the ladder is about subscribers.
        What::PeerOpen { .. } => return None,
    })
}
