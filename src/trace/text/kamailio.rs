//! Kamailio: the files of its module sipdump, and messages in its log.
//!
//! `xlog` writes a message behind a prefix of its own, the lines after the first without one. A syslog daemon makes one
//! line of it, see [`super::escaped`].

use super::banner::{self, Banner};
use super::lines::Ahead;
use super::shape;
use super::stamp::Stamp;
use std::net::{IpAddr, SocketAddr};

/// Reads the head that sipdump writes above each message: `name: value` lines between two rules.
pub(super) fn banner(ahead: &mut dyn Ahead) -> Option<(Banner, usize)> {
    if !ahead.text(0)?.starts_with(RULE_ABOVE) || !ahead.text(1)?.starts_with(b"tag: ") {
        return None;
    }
    let (mut banner, mut ips, mut ports) = (Banner::default(), [None; 2], [None; 2]);
    for index in 1..MOST_LINES {
        let line = ahead.text(index)?;
        if line.starts_with(RULE_BELOW) {
            let ends = ips.into_iter().zip(ports).map(|(ip, port)| Some(SocketAddr::new(ip?, port?)));
            if let [Some(from), Some(to)] = ends.collect::<Vec<_>>()[..] {
                banner.addresses = Some((from, to));
            }
            return Some((banner, index + 1));
        }
        let value = shape::header_value(line);
        match shape::header_name(line)? {
            b"time" => banner.stamp = Stamp::epoch(value),
            b"proto" => banner.transport = value.split(|&b| b == b' ').next().and_then(banner::transport),
            b"srcip" => ips[0] = ip(value),
            b"dstip" => ips[1] = ip(value),
            b"srcport" => ports[0] = port(value),
            b"dstport" => ports[1] = port(value),
            _ => {}
        }
    }
    None
}

/// A line without the rule that ends a message of sipdump, which does not begin a line where the body has no line end.
pub(super) fn without_rule(line: &[u8]) -> &[u8] {
    line.strip_suffix(RULE_AFTER).unwrap_or(line)
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    str::from_utf8(value).ok()?.trim_matches(['[', ']']).parse().ok()
}

fn port(value: &[u8]) -> Option<u16> {
    str::from_utf8(value).ok()?.parse().ok()
}

const RULE_ABOVE: &[u8] = b"====================";
const RULE_BELOW: &[u8] = b"~~~~~~~~~~~~~~~~~~~~";
const RULE_AFTER: &[u8] = b"||||||||||||||||||||";

/// A head has twelve.
const MOST_LINES: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, only, text_of, times, unread};

    const HEAD: &str = "====================\ntag: rcv\npid: 7\nprocess: 1\ntime: 1394112889.416000\n\
        date: Thu Mar  6 13:34:49 2014\nproto: tcp ipv4\nsrcip: 10.0.0.1\nsrcport: 5060\ndstip: 10.0.0.2\ndstport: 5062\n\
        ~~~~~~~~~~~~~~~~~~~~\n";

    #[test]
    fn files_of_sipdump_are_read() {
        let message = "MESSAGE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nContent-Type: text/plain\r\n\
            Content-Length: 5\r\n\r\nhello";
        let later = HEAD.replace(".416", ".516");
        let text = format!("{HEAD}{message}||||||||||||||||||||\n{later}{message}||||||||||||||||||||\n");
        let found = messages(&text);
        assert_eq!((text_of(&found[0]), text_of(&found[1])), (message.to_owned(), message.to_owned()));
        assert_eq!(ends(&found[0]), "10.0.0.1:5060 -> 10.0.0.2:5062 TCP");
        assert_eq!(times(&found), [Some(0), Some(100_000)]);
        assert_eq!(unread(&text), Vec::<u64>::new());
    }

    #[test]
    fn messages_behind_the_prefix_of_the_log_are_read() {
        let text = " 0(12) INFO: <script>: REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nContent-Length: 0\r\n\r\n\n\
            Mar  6 13:34:49 core kamailio[12]: INFO: <script>: SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.1\n\n";
        let found = messages(text);
        assert_eq!(
            text_of(&found[0]),
            "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(times(&found), [None, Some(0)]);
        assert_eq!(unread(text), Vec::<u64>::new());
    }

    #[test]
    fn a_head_without_message_is_counted() {
        let text = format!("{HEAD}\x01\x02||||||||||||||||||||\n");
        assert_eq!(unread(&text), [1]);
    }

    #[test]
    fn lines_that_all_have_the_prefix_are_read() {
        let text = "pcscf  | OPTIONS sip:a SIP/2.0\npcscf  | Via: SIP/2.0/UDP 10.0.0.1\npcscf  | Content-Length: 0\npcscf  | \n\
            icscf  | ready\n";
        let expected = "OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(text_of(&only(text)), expected);
        assert_eq!(unread(text), [5]);
    }
}
