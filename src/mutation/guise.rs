//! What would be protected, where nothing is: without a security agreement the answer to a challenge and all that follows
//! it stay in clear (TS 24.229 clause 5.1.1.5).

use super::sip::{SipText, parameter};
use std::collections::HashSet;

/// What of a UE counts as protected, in the order in which messages pass.
#[derive(Clone, Default, Debug)]
pub(crate) struct Guise {
    is_challenged: bool,
    /// Branches of requests that follow a challenge.
    behind: HashSet<Box<str>>,
}

impl Guise {
    /// Whether a message counts as protected.
    pub(crate) fn covers(&mut self, sip: &SipText) -> bool {
        let is = match sip.status() {
            Some(status) => {
                self.is_challenged |= status == "401";
                branch(sip).is_some_and(|branch| self.behind.contains(branch))
            }
            None => self.is_behind(sip),
        };
        if is {
            self.note(sip);
        }
        is
    }

    /// What it counts as whatever becomes of it on its way.
    pub(crate) fn note(&mut self, sip: &SipText) {
        if let Some(branch) = branch(sip) {
            self.behind.insert(branch.into());
        }
    }

    fn is_behind(&self, sip: &SipText) -> bool {
        if !sip.start.starts_with("REGISTER ") {
            return true;
        }
        // Whoever begins anew has no nonce.
        let nonce = sip.parameter("Authorization", "nonce");
        nonce.map_or(self.is_challenged, |nonce| !nonce.is_empty())
    }
}

fn branch(sip: &SipText) -> Option<&str> {
    parameter(sip.value("Via")?, "branch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sip(start: &str, branch: &str, more: &str) -> SipText {
        SipText::read(format!("{start}\r\nVia: SIP/2.0/UDP a;branch={branch}\r\n{more}\r\n\r\n").as_bytes()).unwrap()
    }

    #[test]
    fn what_follows_a_challenge() {
        let mut guise = Guise::default();
        let register = "REGISTER sip:h SIP/2.0";
        assert!(!guise.covers(&sip(register, "1", "Authorization: Digest nonce=\"\"")));
        assert!(!guise.covers(&sip("SIP/2.0 401 No", "1", "A: b")));
        assert!(guise.covers(&sip(register, "2", "Authorization: Digest nonce=\"x\", response=\"\"")));
        assert!(guise.covers(&sip("SIP/2.0 200 OK", "2", "A: b")));
        assert!(guise.covers(&sip(register, "3", "A: b")), "without Authorization");
        assert!(!guise.covers(&sip(register, "4", "Authorization: Digest nonce=\"\"")), "anew");
        assert!(guise.covers(&sip("SUBSCRIBE sip:h SIP/2.0", "5", "A: b")));
    }
}
