//! The log of a session border controller: `Mar  6 13:34:49.416 On [6:0]10.0.0.1:5060 received from 10.0.0.2:5060`, or
//! `sent to`, then the message with LF line ends, then a rule.

use super::banner::{Banner, socket};
use super::stamp::Stamp;

/// Reads the line above a message.
pub(super) fn banner(line: &[u8]) -> Option<Banner> {
    let (stamp, rest) = Stamp::read(line)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"On ")?;
    let mut words = rest.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let (here, verb, preposition, there) = (words.next()?, words.next()?, words.next()?, words.next()?);
    // The slot and port of the interface stand before its address.
    let here = here.strip_prefix(b"[").and_then(slot).unwrap_or(here);
    let (here, there) = (socket(here)?, socket(there)?);
    let addresses = match (verb, preposition) {
        (b"received", b"from") => (there, here),
        (b"sent", b"to") => (here, there),
        _ => return None,
    };
    Some(Banner { stamp: Some(stamp), addresses: Some(addresses), transport: None })
}

/// What follows `6:0]`.
fn slot(text: &[u8]) -> Option<&[u8]> {
    let end = text.iter().position(|&b| b == b']')?;
    let is_slot = text[..end].split(|&b| b == b':').all(|n| !n.is_empty() && n.iter().all(u8::is_ascii_digit));
    (is_slot && end <= 7).then(|| &text[end + 1..])
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, text_of, times, unread};

    #[test]
    fn received_and_sent_are_told_apart() {
        let text = "File opened.\nMar  6 13:34:22.599 UDP[3:0]10.0.0.1:5060 OPENED\n\
            Mar  6 13:34:49.416 On [6:0]10.0.0.1:5060 received from 10.0.0.2:5070\n\
            OPTIONS sip:a SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.2:5070\nContent-Length: 0\n\n\n\
            ----------------------------------------\n\
            Mar  6 13:34:49.516 On [2001:db8::1]:5060 sent to [2001:db8::2]:5070\n\
            SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.2:5070\n\n\n----------------------------------------\n\
            Mar  6 13:34:50.000 On 127.0.0.1:2945 sent to 127.0.0.1:2944\n  0000: ac 3e fd 01   .>..\n";
        let found = messages(text);
        assert_eq!(ends(&found[0]), "10.0.0.2:5070 -> 10.0.0.1:5060 UDP");
        assert_eq!(ends(&found[1]), "[2001:db8::1]:5060 -> [2001:db8::2]:5070 UDP");
        assert_eq!(text_of(&found[1]), "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.2:5070\r\n\r\n");
        assert_eq!(times(&found), [Some(0), Some(100_000)]);
        assert_eq!(unread(text), [1, 16]);
    }
}
