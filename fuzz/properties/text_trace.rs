//! What holds for every sequence of octets taken as a text with messages. The fuzz target and `tests/trace_text.rs` call it.

use imsreg::trace::text::{Reader, write};
use imsreg::trace::{Place, Seen, Sighting};

/// Reading ends without a panic, no octet is counted twice as unread, places are lines of the text, and what was read is written
/// so that the same messages are read again.
pub(crate) fn text_trace(bytes: &[u8]) {
    let first = messages(bytes);
    let mut written = Vec::new();
    for sighting in &first {
        write(sighting, &mut written);
    }
    let again = messages(&written);
    assert_eq!(again.len(), first.len());
    for (again, first) in again.iter().zip(&first) {
        assert_eq!((&again.seen, again.at), (&first.seen, first.at));
    }
}

fn messages(bytes: &[u8]) -> Vec<Sighting> {
    let lines = bytes.iter().filter(|&&b| b == b'\n').count() as u64 + 1;
    let mut unread = 0;
    let mut messages = Vec::new();
    for sighting in Reader::new(bytes) {
        let sighting = sighting.expect("memory does not fail");
        assert!(matches!(sighting.place, Place::Line(line) if (1..=lines).contains(&line)));
        match &sighting.seen {
            Seen::Unread(no_message) => unread += no_message.octets,
            Seen::Message(_) => messages.push(sighting),
            Seen::Sealed(_) | Seen::Verified(_) | Seen::Lost(_) | Seen::Connection(_) => {
                unreachable!("texts show messages")
            }
        }
    }
    assert!(unread <= bytes.len());
    messages
}
