//! The leaves of configuration files: what each may be, and how to say so.

use super::profile::{Peer, PlaneChoice, SecurityMechanism};
use super::read::Leaf;
use crate::application_server::Reaction;
use crate::diameter::peer::Side;
use crate::hss::SqnScheme;
use crate::ims::Wiring;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, Mod};
use crate::packet::Transport;
use crate::pcscf::{NatPolicy, SecAgreePolicy};
use crate::scscf::{ChallengePolicy, DateForm, SarAtRefresh, Unauthenticated};
use crate::time::Duration;
use crate::ue::{InvitePolicy, KeepAlivePolicy};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

pub(super) const TEXT: Leaf<Box<str>> = Leaf {
    // These texts become parts of header fields.
    read: |t| (!t.chars().any(char::is_control)).then(|| t.into()),
    expected: "a text in one line",
};

pub(super) const TOKEN: Leaf<Box<str>> = Leaf {
    read: |t| {
        let sound = !t.is_empty() && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&b));
        sound.then(|| t.into())
    },
    expected: "a name of letters, digits and '-'",
};

/// q in thousandths.
pub(super) const Q: Leaf<u16> = Leaf {
    read: |t| {
        let (whole, decimals) = t.split_once('.').unwrap_or((t, ""));
        let sound = matches!(whole, "0" | "1") && decimals.len() <= 3 && decimals.bytes().all(|b| b.is_ascii_digit());
        format!("{whole}{decimals:0<3}").parse().ok().filter(|q: &u16| sound && *q <= 1_000)
    },
    expected: "a number from 0 to 1 with at most three decimals",
};

/// The user part of a SIP URI; empty where there is none.
pub(super) const USER: Leaf<Box<str>> = Leaf {
    read: |t| {
        let sound = t.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,;?/%#".contains(&b));
        sound.then(|| t.into())
    },
    expected: "the user part of a SIP URI",
};

pub(super) const URI_PARAMETERS: Leaf<Box<str>> = Leaf {
    read: |t| {
        let sound = t.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"@?".contains(&b));
        (sound && (t.is_empty() || t.starts_with(';'))).then(|| t.into())
    },
    expected: "parameters of a SIP URI, each behind a semicolon",
};

pub(super) const HOST: Leaf<Box<str>> = Leaf {
    read: |t| host(t).then(|| t.into()),
    expected: "a host name or address of letters, digits, '.', '-' and ':'",
};

pub(super) const REALM: Leaf<Box<str>> =
    Leaf { read: |t| domain(t).then(|| t.into()), expected: "a domain name such as ims.mnc001.mcc001.3gppnetwork.org" };

pub(super) const SIP_URI: Leaf<Box<str>> =
    Leaf { read: |t| uri_host(t).map(|_| t.into()), expected: "a SIP URI such as sip:scscf.example.org:6060" };

pub(super) const FLAG: Leaf<bool> = Leaf {
    read: |t| match t {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    },
    expected: "true or false",
};

pub(super) const NUMBER: Leaf<u32> = Leaf { read: |t| t.parse().ok(), expected: "a number from 0 to 4294967295" };

pub(super) const COUNT: Leaf<u32> =
    Leaf { read: |t| t.parse().ok().filter(|n| *n > 0), expected: "a number from 1 to 4294967295" };

pub(super) const PORT: Leaf<u16> =
    Leaf { read: |t| t.parse().ok().filter(|p| *p > 0), expected: "a port from 1 to 65535" };

pub(super) const PORTS: Leaf<RangeInclusive<u16>> =
    Leaf { read: ports, expected: "ports such as 5100-5163, from 1 to 65535" };

pub(super) const IP: Leaf<IpAddr> = Leaf { read: |t| unbracketed(t).parse().ok(), expected: "an IPv4 or IPv6 address" };

pub(super) const LISTENER: Leaf<SocketAddr> = Leaf {
    // An SA, a Path and a CER name the address, so it cannot be "any".
    read: |t| t.parse().ok().filter(|a: &SocketAddr| !a.ip().is_unspecified()),
    expected: "an address of this machine with a port, such as 127.0.0.1:5060 or [::1]:5060",
};

pub(super) const DURATION: Leaf<Duration> =
    Leaf { read: duration, expected: "a time such as 500ms, 60s, 4m or 2h, above zero" };

pub(super) const WATCHDOG: Leaf<Duration> = Leaf {
    read: |t| duration(t).filter(|d| *d >= Duration::from_secs(6)),
    expected: "a time of 6s or more (RFC 3539 clause 3.4.1)",
};

pub(super) const TRANSPORT: Leaf<Transport> = Leaf {
    read: |t| match t {
        "udp" => Some(Transport::Udp),
        "tcp" => Some(Transport::Tcp),
        _ => None,
    },
    expected: "udp or tcp",
};

pub(super) const UE_TRANSPORT: Leaf<Transport> = Leaf {
    read: |t| match t {
        "tls" => Some(Transport::Tls),
        _ => (TRANSPORT.read)(t),
    },
    expected: "udp, tcp or tls",
};

pub(super) const MECHANISM: Leaf<SecurityMechanism> = Leaf {
    read: |t| match t {
        "ipsec-3gpp" => Some(SecurityMechanism::Ipsec3gpp),
        "tls" => Some(SecurityMechanism::Tls),
        _ => None,
    },
    expected: "ipsec-3gpp or tls",
};

pub(super) const DIAMETER_TRANSPORT: Leaf<Transport> = Leaf {
    read: |t| match t {
        "tcp" => Some(Transport::Tcp),
        "sctp" => Some(Transport::Sctp),
        _ => None,
    },
    expected: "tcp or sctp",
};

pub(super) const PEER: Leaf<Peer> = Leaf {
    read: peer,
    expected: "host:port, with ;transport=sctp and ;side=waiting where the peer speaks SCTP or connects to us",
};

pub(super) const DATE: Leaf<Option<DateForm>> = Leaf {
    read: |t| match t {
        "off" => Some(None),
        "sip" => Some(Some(DateForm::Sip)),
        "iso" => Some(Some(DateForm::Iso)),
        _ => None,
    },
    expected: "off, sip or iso",
};

pub(super) const UNAUTHENTICATED: Leaf<Unauthenticated> = Leaf {
    read: |t| match t {
        "nobody" => Some(Unauthenticated::Nobody),
        "everybody" => Some(Unauthenticated::Everybody),
        _ => None,
    },
    expected: "nobody, everybody, or a list of identities",
};

pub(super) const INTERVAL: Leaf<Option<Duration>> = Leaf {
    read: |t| if t == "off" { Some(None) } else { duration(t).map(Some) },
    expected: "off, or a time such as 60s",
};

pub(super) const INVITE: Leaf<InvitePolicy> = Leaf {
    read: |t| match t {
        "ring" => Some(InvitePolicy::Ring),
        "busy" => Some(InvitePolicy::Refuse { status: 486 }),
        "decline" => Some(InvitePolicy::Refuse { status: 603 }),
        "0s" => Some(InvitePolicy::Answer { after: Duration::ZERO }),
        _ => duration(t).map(|after| InvitePolicy::Answer { after }),
    },
    expected: "ring, busy, decline, or the time until the answer such as 2s",
};

pub(super) const KEEP_ALIVE: Leaf<KeepAlivePolicy> = Leaf {
    read: |t| match t {
        "off" => Some(KeepAlivePolicy::Off),
        "negotiated" => Some(KeepAlivePolicy::Negotiated),
        _ => duration(t).map(KeepAlivePolicy::Every),
    },
    expected: "off, negotiated, or a time such as 25s",
};

pub(super) const DELAY: Leaf<Duration> = Leaf {
    read: |t| if t == "0s" { Some(Duration::ZERO) } else { duration(t) },
    expected: "a time such as 0s, 500ms or 60s",
};

pub(super) const REACTION: Leaf<Reaction> = Leaf {
    read: |t| match t {
        "accept" => Some(Reaction::Accept),
        "silent" => Some(Reaction::Silence),
        _ => t.parse().ok().filter(|status| (300..700).contains(status)).map(Reaction::Refuse),
    },
    expected: "accept, silent, or a status from 300 to 699",
};

pub(super) const WIRING: Leaf<Wiring> = Leaf {
    read: |t| match t {
        "local" => Some(Wiring::Local),
        "wire" => Some(Wiring::Wire),
        _ => None,
    },
    expected: "local or wire",
};

pub(super) const SEC_AGREE: Leaf<SecAgreePolicy> = Leaf {
    read: |t| match t {
        "required" => Some(SecAgreePolicy::Required),
        "offered" => Some(SecAgreePolicy::Offered),
        "off" => Some(SecAgreePolicy::Off),
        _ => None,
    },
    expected: "required, offered or off",
};

pub(super) const NAT: Leaf<NatPolicy> = Leaf {
    read: |t| match t {
        "required" => Some(NatPolicy::Required),
        "offered" => Some(NatPolicy::Offered),
        "off" => Some(NatPolicy::Off),
        _ => None,
    },
    expected: "required, offered or off",
};

pub(super) const MODE: Leaf<Mod> = Leaf { read: Mod::from_token, expected: "trans or UDP-enc-tun" };

pub(super) const PLANE: Leaf<PlaneChoice> =
    Leaf { read: PlaneChoice::from_name, expected: "none, userspace, kernel or unprivileged" };

pub(super) const ACCEPT: Leaf<bool> = Leaf {
    read: |t| match t {
        "accept" => Some(true),
        "refuse" => Some(false),
        _ => None,
    },
    expected: "accept or refuse",
};

pub(super) const SQN_SCHEME: Leaf<SqnScheme> = Leaf {
    read: |t| match t {
        "counter" => Some(SqnScheme::Counter),
        "time" => Some(SqnScheme::TimeBased),
        _ => None,
    },
    expected: "counter or time",
};

pub(super) const CHALLENGE: Leaf<ChallengePolicy> =
    Leaf { read: challenge, expected: "always, never, \"every N\" (N from 1) or \"after TIME\"" };

pub(super) const SAR_AT_REFRESH: Leaf<SarAtRefresh> = Leaf {
    read: |t| match t {
        "always" => Some(SarAtRefresh::Always),
        "when-changed" => Some(SarAtRefresh::WhenChanged),
        _ => None,
    },
    expected: "always or when-changed",
};

pub(super) const INTEGRITY: Leaf<Integrity> =
    Leaf { read: Integrity::from_token, expected: "hmac-md5-96, hmac-sha-1-96, aes-gmac or null" };

pub(super) const ENCRYPTION: Leaf<Encryption> =
    Leaf { read: Encryption::from_token, expected: "null, des-ede3-cbc, aes-cbc or aes-gcm" };

/// A pair as text, `hmac-sha-1-96/aes-cbc`.
pub(super) const ALGORITHMS: Leaf<Algorithms> = Leaf {
    read: |t| {
        let (integrity, encryption) = t.split_once('/')?;
        let pair = Algorithms {
            integrity: Integrity::from_token(integrity.trim())?,
            encryption: Encryption::from_token(encryption.trim())?,
        };
        pair.is_valid().then_some(pair)
    },
    expected: "a pair such as [hmac-sha-1-96, aes-cbc], as TS 33.203 annex H allows",
};

fn duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = text[..at].parse().ok().filter(|n| *n > 0)?;
    match &text[at..] {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3_600)?)),
        _ => None,
    }
    // A hundred years: what is longer would overflow the arithmetic of deadlines somewhere.
    .filter(|d| d.as_secs() <= 100 * 365 * 86_400)
}

fn challenge(text: &str) -> Option<ChallengePolicy> {
    match text.split_once(' ') {
        None if text == "always" => Some(ChallengePolicy::Always),
        None if text == "never" => Some(ChallengePolicy::Never),
        Some(("every", n)) => n.trim().parse().ok().filter(|n| *n > 0).map(ChallengePolicy::Every),
        Some(("after", time)) => duration(time.trim()).map(ChallengePolicy::After),
        _ => None,
    }
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (u16, u16) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first > 0 && first <= last).then_some(first..=last)
}

fn host(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
}

fn domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn unbracketed(text: &str) -> &str {
    text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text)
}

/// Host and port of a SIP URI, without user and parameters; an IPv6 address loses its brackets.
pub(super) fn uri_host(uri: &str) -> Option<(&str, u16)> {
    let rest = uri.strip_prefix("sip:")?;
    let rest = rest.split(';').next()?;
    let rest = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let (name, port) = match rest.strip_prefix('[') {
        Some(v6) => {
            let (address, behind) = v6.split_once(']')?;
            (address, behind.strip_prefix(':'))
        }
        None => rest.split_once(':').map_or((rest, None), |(name, port)| (name, Some(port))),
    };
    let port = port.map_or(Some(5060), |p| p.parse().ok().filter(|p| *p > 0))?;
    (!name.is_empty() && host(name)).then_some((name, port))
}

/// A host with a port, or an address with one: `icscf.example.org:4060`.
pub(super) fn host_port(text: &str) -> Option<(Box<str>, u16)> {
    let (name, port) = text.rsplit_once(':')?;
    let name = unbracketed(name);
    (!name.is_empty() && host(name)).then_some((name.into(), port.parse().ok().filter(|p| *p > 0)?))
}

pub(super) const HOST_PORT: Leaf<(Box<str>, u16)> =
    Leaf { read: host_port, expected: "a host or address with a port, such as 127.0.0.1:4060" };

/// `hss.example.org:3868;transport=sctp;side=waiting`, the parameters as in a Diameter URI (RFC 6733 clause 4.3.1).
fn peer(text: &str) -> Option<Peer> {
    let mut parts = text.split(';');
    let at = host_port(parts.next()?)?;
    let mut peer = Peer { at, transport: Transport::Tcp, side: Side::Opening };
    for part in parts {
        match part.split_once('=')? {
            ("transport", transport) => peer.transport = (DIAMETER_TRANSPORT.read)(transport)?,
            ("side", "opening") => peer.side = Side::Opening,
            ("side", "waiting") => peer.side = Side::Waiting,
            _ => return None,
        }
    }
    Some(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_a_transport_and_a_side() {
        let read = |text| peer(text).map(|p| (p.at.1, p.transport, p.side));
        assert_eq!(read("[::1]:3868"), Some((3868, Transport::Tcp, Side::Opening)));
        assert_eq!(read("hss.x:3869;side=waiting;transport=sctp"), Some((3869, Transport::Sctp, Side::Waiting)));
        for wrong in ["hss.x", "hss.x:1;transport=udp", "hss.x:1;side=left", "hss.x:1;sctp", "hss.x:1;"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("600000s"), Some(Duration::from_secs(600_000)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("4m"), Some(Duration::from_secs(240)));
        for wrong in ["", "60", "s", "-1s", "1.5s", "0s", "99999999999999999999s", "9000000h", "60 s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn hosts_of_uris() {
        assert_eq!(uri_host("sip:scscf.example.org:6060"), Some(("scscf.example.org", 6060)));
        assert_eq!(uri_host("sip:orig@[::1]:6060;lr"), Some(("::1", 6060)));
        assert_eq!(uri_host("sip:host"), Some(("host", 5060)));
        assert_eq!(uri_host("host:5060"), None);
        assert_eq!(host_port("[::1]:4060"), Some(("::1".into(), 4060)));
    }
}
