//! What holds for captures whatever they hold: reading ends, never panics, counts what it hands out, and hands out no more
//! than there is. The fuzz target and `tests/trace_packets` call it.

use imsreg::packet::Protocol;
use imsreg::trace::packets::Reader;
use imsreg::trace::{Options, Place, Seen};

/// Takes octets as a file.
pub(crate) fn capture(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes, Options::default()) else { return };
    let (mut sip, mut diameter, mut unread, mut handed_out) = (0, 0, 0, 0);
    for sighting in reader.by_ref() {
        let sighting = sighting.expect("a slice can always be read");
        assert!(matches!(sighting.place, Place::Packet(number) if number as usize <= bytes.len()));
        match sighting.seen {
            Seen::Message(message) => {
                handed_out += message.bytes.len();
                match message.protocol {
                    Protocol::Sip => sip += 1,
                    Protocol::Diameter => diameter += 1,
                }
            }
            Seen::Unread(_) => unread += 1,
            Seen::Sealed(_) | Seen::Verified(_) | Seen::Lost(_) | Seen::Connection(_) => {}
        }
    }
    let summary = reader.summary();
    assert_eq!((summary.sip, summary.diameter), (sip, diameter));
    assert_eq!(summary.unread.values().map(|(times, _)| times).sum::<u64>(), unread);
    assert!(handed_out <= bytes.len(), "{handed_out} octets of {}", bytes.len());
    assert!(reader.next().is_none(), "it has ended");
}
