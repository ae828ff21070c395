//! How long is waited: time is spent only where the other side, or a timer of it, needs it.

use crate::conformance::{Case, Expectation};
use crate::time::Duration;

/// How long is waited for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    /// Nothing has passed for so long, and nothing is awaited: what was to follow has followed.
    pub(super) settled: Duration,
    /// Nothing has come for so long: nothing will.
    pub(super) silent: Duration,
}

impl Pace {
    /// While nothing is known of the other side. It is the time of two retransmissions on Gm, after 2 s and 6 s
    /// (TS 24.229 table 7.7.1): one request that is lost, and its answer, are no silence.
    pub(super) const UNKNOWN: Self = Self { settled: Duration::from_millis(1_500), silent: Duration::from_secs(8) };
    /// Of a side that answers at once.
    pub(super) const LEAST: Self = Self { settled: Duration::from_millis(150), silent: Duration::from_millis(2_500) };

    /// Of a side that took so long at most.
    pub(super) fn of(slowest: Duration) -> Self {
        let (least, most) = (Self::LEAST, Self::UNKNOWN);
        Self {
            settled: (slowest * 10).clamp(least.settled, most.settled),
            silent: (slowest * 50).clamp(least.silent, most.silent),
        }
    }
}

/// Whether a case needs no further look, so long after its last step. `is_silent`: nothing will come any more if nothing
/// came for this time. `is_met`: all that is expected is there, as far as the recording goes.
pub(super) fn is_enough(
    case: &Case,
    passed: Duration,
    is_silent: impl FnOnce(Duration) -> bool,
    is_met: impl FnOnce() -> bool,
) -> bool {
    let (of_never, of_all) = spans(case);
    let waits = case.waits.unwrap_or_default();
    match passed.checked_sub(of_all.max(of_never).max(waits)) {
        Some(over) => is_silent(over) || is_met(),
        None => (!case.lasts() || passed >= of_never.max(waits)) && is_met(),
    }
}

/// Whether something is to come of which nobody says when.
pub(super) fn awaits(case: &Case) -> bool {
    case.expect.iter().any(|expectation| matches!(expectation, Expectation::Follows { within: None, .. }))
}

/// How long a case may take.
pub(super) fn span(case: &Case) -> Duration {
    let (of_never, of_all) = spans(case);
    of_never.max(of_all).max(case.waits.unwrap_or_default())
}

/// How long something must not come, and how long something may take to come.
fn spans(case: &Case) -> (Duration, Duration) {
    let (mut of_never, mut of_all) = (Duration::ZERO, Duration::ZERO);
    for expectation in &case.expect {
        match expectation {
            Expectation::Never { within: Some(within), .. } => of_never = of_never.max(*within),
            Expectation::Follows { within: Some(within), .. } => of_all = of_all.max(*within),
            _ => {}
        }
    }
    (of_never, of_all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CheckCase;
    use crate::conformance::{Accused, Selector};

    #[test]
    fn a_slow_side_is_given_more_time_and_a_fast_one_less() {
        let of = |millis| Pace::of(Duration::from_millis(millis));
        assert_eq!(of(1), Pace::LEAST);
        assert_eq!(of(60), Pace { settled: Duration::from_millis(600), silent: Duration::from_secs(3) });
        assert_eq!(of(5_000), Pace::UNKNOWN);
    }

    #[test]
    fn a_case_is_watched_as_long_as_what_is_expected_can_come() {
        let secs = Duration::from_secs;
        let comes =
            |within| Expectation::Follows { message: Selector::of("REGISTER"), after: None, within, with: Vec::new() };
        let follows = |within| comes(Some(secs(within)));
        let never =
            |within| Expectation::Never { message: Selector::of("REGISTER"), after: None, within: Some(secs(within)) };
        let case = |expect| Case { expect, ..CheckCase::control(Accused::Ue).case };
        let one = case(vec![follows(30)]);
        let enough = |case: &Case, passed, is_met| is_enough(case, secs(passed), |_| true, || is_met);
        assert!(enough(&one, 0, true) && !enough(&one, 29, false));
        assert!(enough(&one, 30, false));
        // It may be slow: what is not there yet may come while it is not silent.
        assert!(!is_enough(&one, secs(30), |_| false, || false) && is_enough(&one, secs(30), |_| false, || true));
        assert!(awaits(&case(vec![comes(None)])) && !awaits(&one));
        let both = case(vec![follows(30), never(5)]);
        assert!(!enough(&both, 4, true) && enough(&both, 5, true));
        let timed = Case { waits: Some(secs(60)), ..case(vec![never(5)]) };
        assert!(!enough(&timed, 59, true) && enough(&timed, 60, true));
        assert_eq!((span(&both), span(&timed)), (secs(30), secs(60)));
    }
}
