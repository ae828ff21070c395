//! The monotonic clock, as the elements' [`Instant`].

use crate::time::{Duration, Epoch, Instant};
use std::time::SystemTime;

/// Microseconds since the run began, and the calendar time of that moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: tokio::time::Instant,
    epoch: Epoch,
}

impl Clock {
    /// Starts now.
    pub fn start() -> Self {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let epoch = Epoch::from_unix_micros(u64::try_from(unix.as_micros()).unwrap_or(u64::MAX));
        Self { start: tokio::time::Instant::now(), epoch }
    }

    /// Now.
    pub fn now(&self) -> Instant {
        Instant::ZERO + self.start.elapsed()
    }

    /// Calendar time of the start.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When `at` is, for the runtime.
    pub(super) fn deadline(&self, at: Instant) -> tokio::time::Instant {
        self.start + Duration::from_micros(at.as_micros())
    }
}
