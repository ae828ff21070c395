//! The TUN device under the protected sockets.

use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec, RouteMessageBuilder};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;
use tokio_tun::Tun;

/// A device of this process. It is not persistent: with its last descriptor the kernel takes it away, and its addresses
/// and routes with it.
pub(super) struct Device(Tun);

/// What is missing, and what helps.
type Fault = (String, &'static str);

impl Device {
    /// Makes the device of this process, up, with routes.
    pub(super) async fn open() -> Result<Self, Fault> {
        let name = free_name();
        let mut builder = Tun::builder().name(&name);
        // The larger value counts, that of all devices or its own, which begins with the default.
        let filter = knob("all", "rp_filter").max(knob("default", "rp_filter")).unwrap_or_default();
        if filter != OFF {
            // Loose: the device needs any address.
            builder = builder.address(link_local()).netmask(Ipv4Addr::BROADCAST);
        }
        let tun = builder.build().map_err(|error| missing(&error))?.pop().expect("one queue was asked for");
        let fail = |what: &str, error: String| (format!("{what} of {name} not set: {error}"), CAPABILITY);
        let index = tun.index().map_err(|e| fail("index", e.to_string()))?;
        // Strict: a packet from the device would have to come the way that a packet to its sender goes.
        if filter == STRICT && fs::write(path(&name, "rp_filter"), LOOSE).is_err() {
            return Err((IS_STRICT.to_owned(), "sysctl -w net.ipv4.conf.all.rp_filter=2"));
        }
        // Both ends may be on this host: then packets come from an address of ours. Where /proc is read-only that is
        // not to be had, and not needed in most cases.
        let _ = fs::write(path(&name, "accept_local"), "1");
        let _ = fs::write(path(&name, "route_localnet"), "1");
        let (connection, netlink, _) = rtnetlink::new_connection().map_err(|e| fail("link", e.to_string()))?;
        tokio::select! {
            result = set_up(&netlink, index) => result.map_err(|e| fail("link", e.to_string()))?,
            () = connection => return Err(fail("link", "the kernel ended the connection".to_owned())),
        }
        Ok(Self(tun))
    }

    /// What sockets are bound to.
    pub(super) fn name(&self) -> &str {
        self.0.name()
    }

    /// Waits for a packet that a socket has sent.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer).await
    }

    /// The same without waiting.
    pub(super) fn try_receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(buffer)
    }

    /// Hands a packet to the socket that it is for.
    pub(super) fn send(&self, packet: &[u8]) -> io::Result<usize> {
        self.0.try_send(packet)
    }
}

/// Up, with an MTU above any datagram: what is sealed is fragmented as a whole, on its way out.
async fn set_up(netlink: &Handle, index: u32) -> Result<(), rtnetlink::Error> {
    let link = LinkMessageBuilder::<LinkUnspec>::default().index(index).mtu(MTU).up();
    let mut link = link.build();
    link.attributes.push(LinkAttribute::TxQueueLen(QUEUE));
    netlink.link().set(link).execute().await?;
    // IPv6 reaches a device only by a route. Nothing else takes one of this metric where there is another, and each
    // process has its own.
    if Path::new("/proc/sys/net/ipv6").exists() {
        let route = RouteMessageBuilder::<Ipv6Addr>::new().output_interface(index).priority(METRIC + index).build();
        match netlink.route().add(route).execute().await {
            // IPv6 is switched off for devices here.
            Err(rtnetlink::Error::NetlinkError(e)) if matches!(-e.raw_code(), EACCES | EINVAL) => {
                tracing::debug!("no route for IPv6");
            }
            done => done?,
        }
    }
    Ok(())
}

/// One that no device has: a process may have several planes at the same time. At most 15 octets.
fn free_name() -> String {
    let own = format!("imsreg{}", std::process::id());
    let letters = || 'a'..='z';
    let further = letters().flat_map(|first| letters().map(move |second| format!("{first}{second}")));
    let mut names = std::iter::once(own.clone()).chain(further.map(|letters| format!("{own}{letters}")));
    names.find(|name| knob(name, "rp_filter").is_none()).unwrap_or(own)
}

fn missing(error: &tokio_tun::Error) -> Fault {
    let text = error.to_string();
    let lacks = !Path::new("/dev/net/tun").exists();
    let todo = if lacks { "modprobe tun, or give the container --device /dev/net/tun" } else { CAPABILITY };
    (format!("no TUN device (/dev/net/tun): {text}"), todo)
}

/// One that belongs to no network: by the number of the process.
fn link_local() -> Ipv4Addr {
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(169, 254, high.clamp(1, 254), low)
}

fn path(device: &str, knob: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{device}/{knob}")
}

fn knob(device: &str, name: &str) -> Option<String> {
    fs::read_to_string(path(device, name)).ok().map(|text| text.trim().to_owned())
}

const CAPABILITY: &str =
    "run it as root or with CAP_NET_ADMIN (setcap cap_net_admin,cap_net_raw+ep), or take plane unprivileged";
const IS_STRICT: &str =
    "the reverse path filter of this host is strict (net.ipv4.conf.all.rp_filter = 1), and /proc/sys cannot be written";
/// Values of rp_filter.
const OFF: &str = "0";
const STRICT: &str = "1";
const LOOSE: &str = "2";
const MTU: u32 = 65_535;
/// Packets that may wait while this thread is busy with others.
const QUEUE: u32 = 10_000;
const METRIC: u32 = 4_096;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
