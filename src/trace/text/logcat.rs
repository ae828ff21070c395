//! logcat of Android: `05-16 12:50:56.100 26900 26926 D PHH     : IPSEC Sending > ` before each line of a message, lines
//! of other programs between them.

use super::dress::{Between, Undressed};
use super::lines::Ahead;
use super::shape;
use super::stamp::Stamp;

/// What the lines of one message have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Source {
    /// Process, thread, level and tag, as written.
    from: Vec<u8>,
    /// What the program writes before each line: the direction.
    lead: Vec<u8>,
}

/// The first line of a message: who wrote it, when, and the start line.
pub(super) fn begin(line: &[u8]) -> Option<(Source, Option<Stamp>, &[u8])> {
    let (stamp, from, said) = entry(line)?;
    let at = shape::start_at_end(said)?;
    Some((Source { from: from.to_vec(), lead: said[..at].to_vec() }, stamp, &said[at..]))
}

impl Source {
    /// The next line of the message.
    pub(super) fn undress(&self, ahead: &mut dyn Ahead, index: usize) -> Option<Undressed> {
        let mut between = Between::default();
        for index in index..index + MOST_BETWEEN {
            let line = ahead.get(index)?;
            let (_, from, said) = entry(&line.text)?;
            if from == self.from {
                let text = match said.strip_prefix(self.lead.as_slice()) {
                    Some(text) => text,
                    None if said.trim_ascii_end() == self.lead.trim_ascii_end() => &[],
                    None => return None,
                };
                return Some(Undressed { text: text.to_vec(), has_cr: line.has_cr, next: index + 1, between });
            }
            between.add(Between { first: Some(line.number), octets: line.octets });
            if between.octets > MOST_OCTETS_BETWEEN {
                return None;
            }
        }
        None
    }
}

/// The parts of a line: when, who (from process to tag), and what.
fn entry(line: &[u8]) -> Option<(Option<Stamp>, &[u8], &[u8])> {
    let (stamp, rest) = Stamp::read(line).map_or((None, line), |(stamp, rest)| (Some(stamp), rest));
    let rest = rest.trim_ascii_start();
    let colon = memchr::memmem::find(rest, b": ").or_else(|| rest.strip_suffix(b":").map(<[u8]>::len))?;
    let (from, said) = (&rest[..colon], rest.get(colon + 2..).unwrap_or_default());
    is_source(from).then_some((stamp, from, said))
}

/// `26900 26926 D PHH     ` (threadtime), and `D/PHH( 26900)` (brief, time).
fn is_source(text: &[u8]) -> bool {
    if let [level, b'/', rest @ ..] = text {
        return is_level(*level) && rest.ends_with(b")") && rest.contains(&b'(');
    }
    let mut words = text.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let mut is_number = || words.next().is_some_and(|word| word.iter().all(u8::is_ascii_digit));
    let has_process = is_number() && is_number();
    has_process && matches!(words.next(), Some([level]) if is_level(*level))
}

const fn is_level(b: u8) -> bool {
    matches!(b, b'V' | b'D' | b'I' | b'W' | b'E' | b'F')
}

/// Lines of others between two of a message.
const MOST_BETWEEN: usize = 64;
const MOST_OCTETS_BETWEEN: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, only, text_of, times, unread};

    #[test]
    fn lines_of_one_program_are_one_message() {
        let text = "05-16 12:50:56.100 26900 26926 D PHH     : IPSEC Sending > OPTIONS sip:a SIP/2.0\n\
            05-16 12:50:56.101 26900 26926 D PHH     : IPSEC Sending > Via: SIP/2.0/TCP 10.0.0.1\n\
            05-16 12:50:56.999  1681  2968 I Telephony: Call-ID: unrelated\n\
            05-16 12:50:56.102 26900 26926 D PHH     : IPSEC Sending > Call-ID: 1\n\
            05-16 12:50:56.103 26900 26926 D PHH     : IPSEC Sending >\n\
            05-16 12:50:56.200 26900 26926 D PHH     : IPSEC Received < SIP/2.0 200 OK\n\
            05-16 12:50:56.201 26900 26926 D PHH     : IPSEC Received < Via: SIP/2.0/TCP 10.0.0.1\n\
            05-16 12:50:56.202 26900 26926 D PHH     : IPSEC Received < \n";
        let found = messages(text);
        assert_eq!(text_of(&found[0]), "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1\r\nCall-ID: 1\r\n\r\n");
        assert_eq!(text_of(&found[1]), "SIP/2.0 200 OK\r\nVia: SIP/2.0/TCP 10.0.0.1\r\n\r\n");
        assert_eq!(times(&found), [Some(0), Some(100_000)]);
        assert_eq!(unread(text), [3]);
    }

    #[test]
    fn the_brief_form_is_read() {
        let text = "D/SIP     ( 123): OPTIONS sip:a SIP/2.0\nD/SIP     ( 123): Via: SIP/2.0/UDP 10.0.0.1\nD/SIP     ( 123): \n";
        let found = only(text);
        assert_eq!(text_of(&found), "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\n\r\n");
        assert_eq!(times(&[found]), [None]);
    }
}
