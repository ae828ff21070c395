//! A line of time, sender, arrow and receiver above each message: the text export of sngrep, and notes in that manner,
//! which name the two ends instead.

use super::banner::{Banner, socket};
use super::stamp::Stamp;

/// `2015/06/17 10:20:30.123456 10.0.0.1:5060 -> 10.0.0.2:5060`, or `10:20:30 UE -> P-CSCF`.
pub(super) fn banner(line: &[u8]) -> Option<Banner> {
    let line = line.trim_ascii();
    let (stamp, rest) = Stamp::read(line).map_or((None, line), |(stamp, rest)| (Some(stamp), rest));
    let (arrow, length) = ARROWS.iter().find_map(|a| memchr::memmem::find(rest, a).map(|at| (at, a.len())))?;
    let (from, to) = (rest[..arrow].trim_ascii(), rest[arrow + length..].trim_ascii());
    let addresses = socket(from).zip(socket(to));
    let is_name =
        |name: &[u8]| !name.is_empty() && name.len() <= LONGEST_NAME && name.split(|&b| b == b' ').count() <= 3;
    // Prose has arrows too.
    let is_banner = addresses.is_some() || (stamp.is_some() && is_name(from) && is_name(to));
    is_banner.then_some(Banner { stamp, addresses, transport: None })
}

const ARROWS: [&[u8]; 4] = [b" -> ", b" --> ", b" => ", " → ".as_bytes()];

const LONGEST_NAME: usize = 40;

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, text_of, times, unread};

    #[test]
    fn an_export_of_sngrep_is_read_octet_for_octet() {
        let sdp = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\n";
        let invite = format!(
            "INVITE sip:b@b.example SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\nCall-ID: 1\r\n\
             Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{sdp}",
            sdp.len()
        );
        let trying = "SIP/2.0 100 Trying\r\nVia: SIP/2.0/TCP 10.0.0.1;branch=z9hG4bK1\r\nContent-Length: 0\r\n\r\n";
        let text = format!(
            "2015/06/17 10:20:30.123456 10.0.0.1:5060 -> 10.0.0.2:5060\n{invite}\n\n\
             2015/06/17 10:20:30.223456 10.0.0.2:5060 -> 10.0.0.1:5060\n{trying}\n\n"
        );
        let found = messages(&text);
        assert_eq!((text_of(&found[0]).as_str(), text_of(&found[1]).as_str()), (invite.as_str(), trying));
        assert_eq!(ends(&found[0]), "10.0.0.1:5060 -> 10.0.0.2:5060 TCP");
        assert_eq!(times(&found), [Some(0), Some(100_000)]);
        assert_eq!(unread(&text), Vec::<u64>::new());
    }

    #[test]
    fn ends_that_are_only_named_are_not_known() {
        let text = "09:16:38.020 UE -> P-CSCF\n\nOPTIONS sip:a SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1\n\n\
            09:16:38.040 P-CSCF -> UE\n\nSIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1\n\n";
        let found = messages(text);
        assert_eq!(times(&found), [Some(0), Some(20_000)]);
        assert_eq!(ends(&found[0]), "");
    }

    #[test]
    fn arrows_of_prose_are_prose() {
        assert_eq!(super::banner(b"UAC --> UAS"), None);
        assert_eq!(super::banner(b"12:00:00 the phone sends what it has been told to -> nothing"), None);
    }
}
