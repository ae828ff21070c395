//! The console of pjsua: `11:27:38.985 pjsua_core.c .TX 507 bytes Request msg REGISTER/cseq=1 (tdta0x1) to UDP
//! 10.0.0.2:5060:` above each message, `--end msg--` below, and on some consoles an empty line after each line.

use super::banner::{self, Banner};
use super::stamp::Stamp;

/// Reads the line above a message. It shows one end only, so the ends stay unknown.
pub(super) fn banner(line: &[u8]) -> Option<Banner> {
    let line = line.trim_ascii().strip_suffix(b":")?;
    let (direction, preposition) = [(b"TX ", " to "), (b"RX ", " from ")]
        .into_iter()
        .find_map(|(direction, preposition)| memchr::memmem::find(line, direction).map(|at| (at, preposition)))?;
    let rest = &line[direction + 3..];
    let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits == 0 || !rest[digits..].starts_with(b" bytes ") {
        return None;
    }
    let at = memchr::memmem::rfind(rest, preposition.as_bytes())? + preposition.len();
    let mut words = rest[at..].split(|&b| b == b' ');
    let transport = words.next().and_then(|name| banner::transport(name.strip_suffix(b"6").unwrap_or(name)));
    words.next()?;
    Some(Banner { stamp: Stamp::read(line).map(|(stamp, _)| stamp), addresses: None, transport })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, text_of, times, unread};

    #[test]
    fn a_line_after_each_line_is_left_out() {
        let text = "11:27:38.985            pjsua_core.c  .TX 507 bytes Request msg OPTIONS/cseq=1 (tdta0x1) to UDP 10.0.0.2:5060:\n\
            OPTIONS sip:a SIP/2.0\n\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport\n\nCall-ID: 1\n\nContent-Type: text/plain\n\n\
            Content-Length: 8\n\n\n\none\n\ntwo\n\n--end msg--\n\
            11:27:38.986            pjsua_aud.c  Setting null sound device..\n\
            11:27:39.085            pjsua_core.c  .RX 390 bytes Response msg 200/OPTIONS/cseq=1 (rdata0x1) from UDP 10.0.0.2:5060:\n\
            SIP/2.0 200 OK\n\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport\n\nContent-Length:  0\n\n--end msg--\n";
        let found = messages(text);
        let first = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport\r\nCall-ID: 1\r\n\
            Content-Type: text/plain\r\nContent-Length: 8\r\n\r\none\r\ntwo";
        assert_eq!(text_of(&found[0]), first);
        assert_eq!((times(&found), ends(&found[0])), (vec![Some(0), Some(100_000)], String::new()));
        assert_eq!(unread(text), [19]);
    }

    #[test]
    fn what_is_no_such_line_is_none() {
        assert!(super::banner(b"TX many bytes to UDP 10.0.0.2:5060:").is_none());
        assert!(super::banner(b"TX 12 bytes:").is_none());
    }
}
