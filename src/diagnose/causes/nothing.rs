//! A trace in which nobody registers.

use crate::cx::{Lia, Lir};
use crate::diagnose::{Cause, Certainty, Found};
use crate::diameter::dictionary;
use crate::sip::{HeaderName, Method};
use crate::trace::story::{Carried, Exchange, Message, Registration, Totals};
use std::collections::BTreeMap;

pub(super) const CAUSES: &[&Cause] = &[&NO_ATTEMPT];

const NO_ATTEMPT: Cause = Cause {
    name: "DIAG-NO-ATTEMPT",
    clause: "TS 24.229 clauses 5.1.1.2.1 and 9.2.1",
    meaning: "Nobody tries to register in this trace.",
    action: "Look at the IMS bearer (is there a PDN connection or PDU session for IMS, does its PCO name a P-CSCF?) and at the \
             carrier configuration of the UE; then look whether the capture was taken where Gm passes.",
    behind: &[],
    // It is about the whole trace: see `Bystanders`.
    find: |_, _| {},
};

/// What a trace holds besides registrations.
#[derive(Clone, Debug, Default)]
pub struct Bystanders {
    kinds: BTreeMap<String, u64>,
    first: Vec<u64>,
    /// Somebody registered before the trace begins, or tries to with a REGISTER that tells nobody's name.
    is_registered: bool,
}

impl Bystanders {
    /// Notes messages that belong to no registration.
    pub fn see(&mut self, messages: &Registration<'_>) {
        self.is_registered |= messages.messages().any(tells_of_a_registration);
        for exchange in messages.exchanges() {
            self.is_registered |= serves_a_registered_user(exchange);
            let kind = match (exchange.method(), exchange.command()) {
                (Some(method), _) => format!("SIP {}", method.as_str()),
                (None, Some(command)) => match dictionary::command_names(command) {
                    Some((name, _)) => name.to_owned(),
                    None => format!("Diameter command {command}"),
                },
                (None, None) => continue,
            };
            *self.kinds.entry(kind).or_default() += 1;
            if self.first.len() < SHOWN {
                self.first.extend(exchange.messages().next().map(|message| message.number));
            }
        }
    }

    /// `DIAG-NO-ATTEMPT`, where the trace that ended with `totals` has no registration and nothing of a registered UE.
    pub fn no_attempt(self, totals: &Totals) -> Option<Found> {
        if totals.registrations > 0 || self.is_registered {
            return None;
        }
        let mut there: Vec<String> = self.kinds.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
        let shut: u64 = totals.shut.values().sum::<u64>() + totals.shut_elsewhere;
        if shut > 0 {
            there.push(format!("{shut} packets of ESP that stay shut"));
        }
        if totals.keep_alives > 0 {
            there.push(format!("keep-alives ({})", totals.keep_alives));
        }
        there.extend(totals.unread.iter().map(|(reason, unread)| format!("{reason} ({})", unread.count)));
        there.truncate(SHOWN);
        let found = if there.is_empty() { "nothing that can be read".to_owned() } else { there.join(", ") };
        Some(Found {
            cause: &NO_ATTEMPT,
            registration: None,
            messages: self.first,
            expected: "a REGISTER".to_owned(),
            found: format!("none; there is instead: {found}"),
            action: NO_ATTEMPT.action.to_owned(),
            // What is in ESP may be a REGISTER as well.
            certainty: if shut > 0 { Certainty::Likely } else { Certainty::Certain },
            ruled_out: Vec::new(),
        })
    }
}

/// True for what only a registered UE is part of: SIP over SAs, subscriptions to its registration. Also for a REGISTER, of
/// which nothing but its first lines is there.
fn tells_of_a_registration(message: Message<'_>) -> bool {
    let verifies = || message.sip().is_some_and(|sip| sip.header(HeaderName::SecurityVerify).is_some());
    let is_subscription = || message.sip().is_some() && message.subscription_state().is_some();
    let is_register = message.is_request() && message.is(Method::Register);
    matches!(message.carried(), Carried::Foreign | Carried::Sa(_)) || is_register || verifies() || is_subscription()
}

/// True where the S-CSCF of the called is found, or a request is granted whose sender the network asserts: a P-CSCF does that
/// for a registered user only (TS 24.229 clause 5.2.6.3; TS 29.228 clause 6.1.4).
fn serves_a_registered_user(exchange: Exchange<'_>) -> bool {
    let Some((request, answer)) = exchange.request().zip(exchange.last()) else { return false };
    if exchange.command() == Some(Lir::COMMAND) {
        let is_found = |lia: Lia<'_>| lia.result.is_success() && lia.server_name.is_some();
        return Lia::decode(&answer.record().bytes).is_ok_and(is_found);
    }
    let is_asserted = request.sip().is_some_and(|sip| sip.header(HeaderName::PAssertedIdentity).is_some());
    is_asserted && answer.status().is_some_and(|status| (200..300).contains(&status))
}

const SHOWN: usize = 12;
