//! One response context: who was asked, and the best response so far (RFC 3261 clause 16.7).

use crate::sip::transaction::{ClientId, ServerId};
use crate::sip::{HeaderName, Message};
use crate::time::{Duration, Instant};
use std::fmt;

/// The request of one server transaction, while copies of it are out.
#[derive(Debug)]
pub(super) struct Context<K> {
    pub(super) server: ServerId,
    pub(super) is_invite: bool,
    pub(super) kept: K,
    /// The copies, by number of branch.
    copies: Vec<Sent>,
    pub(super) best: Option<Best>,
    /// The challenge lines of every 401 and 407 but the best response.
    pub(super) challenges: Vec<u8>,
    /// A final response has been sent back.
    pub(super) is_answered: bool,
    pub(super) is_cancelled: bool,
    /// A 2xx to INVITE may still be repeated.
    pub(super) lasts: bool,
    /// For how long: 64 T1 of the slowest side.
    pub(super) repeats: Duration,
}

/// One copy of the request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sent {
    /// No final response yet.
    Pending {
        client: ClientId,
        /// When timer C fires.
        until: Instant,
        /// A provisional response has come.
        has_rung: bool,
    },
    /// It is through.
    Ended,
}

/// The best response so far, as it came.
pub(super) struct Best {
    pub(super) status: u16,
    pub(super) response: Box<[u8]>,
}

impl<K> Context<K> {
    pub(super) const fn new(server: ServerId, is_invite: bool, kept: K) -> Self {
        Self {
            server,
            is_invite,
            kept,
            copies: Vec::new(),
            best: None,
            challenges: Vec::new(),
            is_answered: false,
            is_cancelled: false,
            lasts: false,
            repeats: Duration::ZERO,
        }
    }

    /// The number of the next branch.
    pub(super) fn next_number(&self) -> u32 {
        u32::try_from(self.copies.len()).expect("memory ends before 2^32 copies")
    }

    pub(super) fn add(&mut self, copy: Sent) {
        self.copies.push(copy);
    }

    pub(super) fn sent(&self, number: u32) -> Option<Sent> {
        self.copies.get(number as usize).copied()
    }

    /// The copies without final response.
    pub(super) fn pending(&self) -> impl Iterator<Item = (u32, ClientId)> {
        (0..).zip(&self.copies).filter_map(|(number, copy)| match copy {
            Sent::Pending { client, .. } => Some((number, *client)),
            Sent::Ended => None,
        })
    }

    /// A provisional response came; any but 100 starts timer C again (clause 16.7 step 2).
    pub(super) fn heard(&mut self, number: u32, status: u16, again: Instant) {
        if let Some(Sent::Pending { until, has_rung, .. }) = self.copies.get_mut(number as usize) {
            *has_rung = true;
            if status > 100 {
                *until = again;
            }
        }
    }

    pub(super) fn ended(&mut self, number: u32) {
        if let Some(copy) = self.copies.get_mut(number as usize) {
            *copy = Sent::Ended;
        }
    }

    /// Keeps a response if it is better than the best so far. The challenges of the other one are kept in any case
    /// (clause 16.7 step 7).
    pub(super) fn consider(&mut self, status: u16, response: &Message<'_>) {
        let is_better = self.best.as_ref().is_none_or(|best| rank(status) < rank(best.status));
        if !is_better {
            return collect(response, &mut self.challenges);
        }
        if let Some(Best { response, .. }) = self.best.replace(Best { status, response: response.bytes().into() })
            && let Ok(response) = Message::parse(&response)
        {
            collect(&response, &mut self.challenges);
        }
    }
}

fn collect(response: &Message<'_>, challenges: &mut Vec<u8>) {
    if !matches!(response.status(), Some(401 | 407)) {
        return;
    }
    let is_challenge = |name| matches!(name, HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate);
    for line in response.lines().filter(|line| is_challenge(line.name)) {
        challenges.extend_from_slice(line.name.as_str().as_bytes());
        challenges.extend_from_slice(b": ");
        challenges.extend(line.value.bytes().map(|b| if matches!(b, b'\r' | b'\n') { b' ' } else { b }));
        challenges.extend_from_slice(b"\r\n");
    }
}

/// The lower the better (clause 16.7 step 6): 6xx decides, then the lowest class; of 4xx what helps to try again.
const fn rank(status: u16) -> u8 {
    match status {
        600.. => 0,
        ..400 => 1,
        401 | 407 | 415 | 420 | 484 => 2,
        // That nobody answered says least.
        408 => 4,
        400..500 => 3,
        503 => 6,
        _ => 5,
    }
}

impl fmt::Debug for Best {
    /// Shows no message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Best({})", self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best_of(statuses: &[u16]) -> (u16, String) {
        let mut context = Context::new(ServerId { index: 0, generation: 0 }, true, ());
        for (n, status) in statuses.iter().enumerate() {
            let text = format!("SIP/2.0 {status} x\r\nWWW-Authenticate: Digest realm=\"{n}\"\r\n\r\n");
            context.consider(*status, &Message::parse(text.as_bytes()).unwrap());
        }
        (context.best.unwrap().status, String::from_utf8(context.challenges).unwrap())
    }

    #[test]
    fn the_best_response_is_that_of_clause_16_7() {
        for (statuses, best) in [
            (&[404, 500, 486][..], 404),
            (&[503, 500], 500),
            (&[503], 503),
            (&[408, 480], 480),
            (&[486, 302], 302),
            (&[302, 603, 404], 603),
            (&[404, 484], 484),
            (&[408, 503], 408),
        ] {
            assert_eq!(best_of(statuses).0, best, "{statuses:?}");
        }
    }

    #[test]
    fn challenges_of_others_are_kept() {
        assert_eq!(best_of(&[404, 401, 407]), (401, "WWW-Authenticate: Digest realm=\"2\"\r\n".into()));
    }
}
