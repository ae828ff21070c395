//! The watchdog algorithm of RFC 3539 clause 3.4.1, without its timer.

/// Where an open connection stands. It begins as `Okay`, or as `Reopening` after a failure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Watchdog {
    phase: Phase,
    /// Hop-by-hop id of the DWR that waits for its answer.
    awaited: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// OKAY: requests go here.
    Okay,
    /// SUSPECT: requests went to another peer; the next timer closes the connection.
    Suspect,
    /// REOPEN: no requests until so many more DWAs; `missed` after a timer without one.
    Reopening { wanted: u8, missed: bool },
}

/// What Tw asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expired {
    /// Send a DWR.
    Ask,
    /// Move pending requests to another peer.
    Failover,
    /// Nothing but another wait.
    Wait,
    /// Close the connection.
    Close,
}

/// What a DWA changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answered {
    /// Requests may be sent now.
    Usable,
    /// More DWAs are needed.
    NotYet,
    /// Nothing.
    AsBefore,
}

impl Watchdog {
    /// A connection that was not lost before.
    pub(super) const fn okay() -> Self {
        Self { phase: Phase::Okay, awaited: None }
    }

    /// A connection to a peer that was lost: three DWAs before requests.
    pub(super) const fn reopening() -> Self {
        Self { phase: Phase::Reopening { wanted: DWAS_TO_REOPEN, missed: false }, awaited: None }
    }

    /// True when requests may be sent.
    pub(super) const fn is_okay(&self) -> bool {
        matches!(self.phase, Phase::Okay)
    }

    /// True while DWAs are counted: other messages do not put off the next DWR then.
    pub(super) const fn is_reopening(&self) -> bool {
        matches!(self.phase, Phase::Reopening { .. })
    }

    /// A DWR left.
    pub(super) const fn asked(&mut self, hop_by_hop: u32) {
        self.awaited = Some(hop_by_hop);
    }

    /// Any message but a DWA came. True if requests may be sent again.
    pub(super) fn heard(&mut self) -> bool {
        let suspect = self.phase == Phase::Suspect;
        if suspect {
            self.phase = Phase::Okay;
        }
        suspect
    }

    /// A DWA came. One that answers no DWR of ours counts as any other message.
    pub(super) fn answered(&mut self, hop_by_hop: u32) -> Answered {
        if self.awaited != Some(hop_by_hop) {
            return if self.heard() { Answered::Usable } else { Answered::AsBefore };
        }
        self.awaited = None;
        match self.phase {
            Phase::Okay => Answered::AsBefore,
            Phase::Reopening { missed: true, .. } => {
                // NumDWA was set to -1: this answer makes it 0.
                self.phase = Phase::Reopening { wanted: DWAS_TO_REOPEN, missed: false };
                Answered::NotYet
            }
            Phase::Reopening { wanted: wanted @ 2.., .. } => {
                self.phase = Phase::Reopening { wanted: wanted - 1, missed: false };
                Answered::NotYet
            }
            Phase::Suspect | Phase::Reopening { .. } => {
                self.phase = Phase::Okay;
                Answered::Usable
            }
        }
    }

    /// Nothing came for Tw.
    pub(super) fn expired(&mut self) -> Expired {
        match (self.phase, self.awaited) {
            (Phase::Okay | Phase::Reopening { .. }, None) => Expired::Ask,
            (Phase::Okay, Some(_)) => {
                self.phase = Phase::Suspect;
                Expired::Failover
            }
            (Phase::Reopening { wanted, missed: false }, Some(_)) => {
                self.phase = Phase::Reopening { wanted, missed: true };
                Expired::Wait
            }
            (Phase::Suspect, _) | (Phase::Reopening { missed: true, .. }, Some(_)) => Expired::Close,
        }
    }
}

/// RFC 3539 clause 3.4.1: "NumDWA == 2" and one more.
const DWAS_TO_REOPEN: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_asks_then_fails_over_then_closes() {
        let mut w = Watchdog::okay();
        assert_eq!(w.expired(), Expired::Ask);
        w.asked(7);
        assert_eq!(w.expired(), Expired::Failover);
        assert!(!w.is_okay());
        assert_eq!(w.expired(), Expired::Close);
    }

    #[test]
    fn a_suspect_that_speaks_is_okay() {
        let mut w = Watchdog::okay();
        w.asked(7);
        w.expired();
        assert!(w.heard());
        assert!(w.is_okay());
        w.expired();
        assert_eq!(w.answered(7), Answered::Usable);
        assert!(w.is_okay());
    }

    #[test]
    fn three_answers_reopen_and_a_foreign_one_does_not_count() {
        let mut w = Watchdog::reopening();
        for (id, outcome) in [(1, Answered::NotYet), (2, Answered::NotYet), (3, Answered::Usable)] {
            assert_eq!(w.expired(), Expired::Ask);
            w.asked(id);
            assert!(!w.heard());
            assert_eq!(w.answered(99), Answered::AsBefore);
            assert!(!w.is_okay());
            assert_eq!(w.answered(id), outcome);
        }
        assert!(w.is_okay());
    }

    #[test]
    fn two_misses_while_reopening_close() {
        let mut w = Watchdog::reopening();
        w.asked(1);
        assert_eq!(w.expired(), Expired::Wait);
        assert_eq!(w.expired(), Expired::Close);
    }
}
