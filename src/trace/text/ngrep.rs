//! ngrep with `-W byline`: `U 2004/12/01 10:31:32.123456 10.0.0.1:5060 -> 10.0.0.2:5060`, then the message with every CR
//! shown as a dot at the end of its line.

use super::banner::{Banner, socket};
use super::stamp::Stamp;
use crate::packet::Transport;

/// Reads the line above a packet: protocol, date and time (`-t`) or difference (`-T`), addresses, flags and number.
pub(super) fn banner(line: &[u8]) -> Option<Banner> {
    let (protocol, rest) = line.split_at_checked(2)?;
    let transport = match protocol {
        b"U " => Transport::Udp,
        b"T " => Transport::Tcp,
        b"S " => Transport::Sctp,
        _ => return None,
    };
    let (stamp, rest) = match rest.strip_prefix(b"+") {
        Some(rest) => Stamp::since_before(rest).map(|(stamp, rest)| (Some(stamp), rest))?,
        None => Stamp::read(rest).map_or((None, rest), |(stamp, rest)| (Some(stamp), rest)),
    };
    let mut words = rest.split(|&b| b == b' ').filter(|word| !word.is_empty());
    let (from, arrow, to) = (words.next()?, words.next()?, words.next()?);
    if arrow != b"->" {
        return None;
    }
    Some(Banner { stamp, addresses: Some((socket(from)?, socket(to)?)), transport: Some(transport) })
}

/// True where a start line and the line after it show their CR as a dot.
pub(super) fn is_dotted(start: &[u8], next: &[u8]) -> bool {
    start.ends_with(b".") && (next.ends_with(b".") || next.is_empty())
}

/// A line without the dot that stands for its CR, and whether there was one.
pub(super) fn without_dot(line: &[u8]) -> (&[u8], bool) {
    line.strip_suffix(b".").map_or((line, false), |line| (line, true))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ends, messages, only, text_of, times};

    #[test]
    fn packets_are_read_with_their_addresses() {
        let text = "interface: eth0 (10.0.0.0/255.255.255.0)\nfilter: ( port 5060 ) and (ip or ip6)\n####\n\
            U 2004/12/01 10:31:32.123456 10.0.0.1:5060 -> 10.0.0.2:5062 #4\n\
            REGISTER sip:a.example SIP/2.0.\nVia: SIP/2.0/UDP 10.0.0.1.\nCall-ID: 1.\n\
            Server: kamailio (4.0.2 (x86_64/linux)).\nContent-Type: text/plain.\nContent-Length: 12.\n.\none.\ntwo.\nx\n\
            \n#\nT 2004/12/01 10:31:33.123456 2001:db8::2:5062 -> 2001:db8::1:5060 [AP]\n\
            SIP/2.0 403 Wrong password..\nVia: SIP/2.0/UDP 10.0.0.1.\nContent-Length: 0.\n.\n\n";
        let found = messages(text);
        assert_eq!(found.len(), 2);
        let first = "REGISTER sip:a.example SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nCall-ID: 1\r\n\
            Server: kamailio (4.0.2 (x86_64/linux))\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n\
            one\r\ntwo\r\nx\n";
        assert_eq!(text_of(&found[0]), first);
        assert_eq!(ends(&found[0]), "10.0.0.1:5060 -> 10.0.0.2:5062 UDP");
        let second = "SIP/2.0 403 Wrong password.\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(text_of(&found[1]), second);
        assert_eq!(ends(&found[1]), "[2001:db8::2]:5062 -> [2001:db8::1]:5060 TCP");
        assert_eq!(times(&found), [Some(0), Some(1_000_000)]);
    }

    #[test]
    fn dots_of_a_message_that_is_not_dotted_stay() {
        let text = "SIP/2.0 403 Wrong password.\nVia: SIP/2.0/UDP 10.0.0.1\nServer: we.\n\n";
        let expected = "SIP/2.0 403 Wrong password.\r\nVia: SIP/2.0/UDP 10.0.0.1\r\nServer: we.\r\n\r\n";
        assert_eq!(text_of(&only(text)), expected);
    }

    #[test]
    fn differences_of_time_add_up() {
        let text = "U +0.000000 10.0.0.1:1 -> 10.0.0.2:2\nSIP/2.0 200 OK.\nCall-ID: 1.\n.\n\n\
            U +0.500000 10.0.0.1:1 -> 10.0.0.2:2\nSIP/2.0 200 OK.\nCall-ID: 1.\n.\n\n\
            U +0.250000 10.0.0.1:1 -> 10.0.0.2:2\nSIP/2.0 200 OK.\nCall-ID: 1.\n.\n\n";
        assert_eq!(times(&messages(text)), [Some(0), Some(500_000), Some(750_000)]);
    }
}
