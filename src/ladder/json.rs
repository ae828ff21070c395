//! One JSON object for each message and event.

use super::Options;
use crate::capture::Entry;

/// The object as one line: `event`, `at` in seconds, and what the ladder would show.
pub fn entry(_entry: &Entry, _options: &Options) -> String {
    todo!()
}
