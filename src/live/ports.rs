//! Who holds a port: from /proc, as far as it shows it.

use crate::packet::Transport;
use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// A process that holds a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.name, self.pid)
    }
}

/// The process whose socket occupies `address`; `None` if it belongs to somebody whose descriptors we may not see.
pub fn holder(address: SocketAddr, transport: Transport) -> Option<Holder> {
    let inode = socket_inode(address, transport)?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let fds = fs::read_dir(entry.path().join("fd")).ok()?;
        let holds = fds.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|t| t.as_os_str() == wanted.as_str()));
        let name = || fs::read_to_string(entry.path().join("comm")).ok();
        holds.then(|| Holder { pid, name: name().unwrap_or_default().trim().to_owned() })
    })
}

fn socket_inode(address: SocketAddr, transport: Transport) -> Option<u64> {
    let transport = if transport.is_stream() { Transport::Tcp } else { transport };
    let kind = transport.as_str().to_ascii_lowercase();
    let tables = [format!("/proc/net/{kind}"), format!("/proc/net/{kind}6")];
    tables.iter().filter_map(|t| fs::read_to_string(t).ok()).find_map(|table| {
        table.lines().skip(1).find_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (ip, port) = fields.get(1)?.split_once(':')?;
            // TCP state 0A is LISTEN: an established connection does not block a listener.
            let listening = transport != Transport::Tcp || *fields.get(3)? == "0A";
            let same_port = u16::from_str_radix(port, 16).ok()? == address.port();
            (listening && same_port && overlaps(ip, address.ip())).then(|| fields.get(9)?.parse().ok())?
        })
    })
}

/// True when a socket at the hexadecimal address `hex` of /proc/net keeps others from `ip`.
fn overlaps(hex: &str, ip: IpAddr) -> bool {
    let wildcard = hex.bytes().all(|b| b == b'0');
    let words = match ip {
        IpAddr::V4(v4) => format!("{:08X}", u32::from_ne_bytes(v4.octets())),
        IpAddr::V6(v6) => {
            v6.octets().chunks(4).map(|c| format!("{:08X}", u32::from_ne_bytes([c[0], c[1], c[2], c[3]]))).collect()
        }
    };
    wildcard || hex == words
}
