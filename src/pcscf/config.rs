//! What a P-CSCF is told.

use super::tls::TlsAccess;
use crate::ipsec::association::Algorithms;
use crate::packet::Transport;
use crate::sip::form::Form;
use crate::sip::overload::Limits;
use crate::sip::transaction::Timers;
use crate::time::Duration;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// What a P-CSCF wants of a UE without a security agreement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecAgreePolicy {
    /// Nothing is forwarded without one: 421 or 494.
    Required,
    /// Agreed with those who ask for it, others pass.
    Offered,
    /// Not done; the headers are removed.
    Off,
}

/// What a P-CSCF does with UEs that it sees behind a NAT (TS 33.203 annex M).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NatPolicy {
    /// SAs in UDP-encapsulated tunnel mode, or none: 494 to a UE that does not offer it.
    Required,
    /// UDP-encapsulated tunnel mode with those who offer it, transport mode with others.
    Offered,
    /// Nobody looks.
    Off,
}

/// Configuration of a [`super::Pcscf`].
#[derive(Clone, Debug)]
pub struct PcscfConfig {
    /// Unprotected listeners, UDP and TCP each.
    pub listen: Vec<SocketAddr>,
    /// Host name in Path, Via and Record-Route; the listen address where it is empty.
    pub host: Box<str>,
    /// port_ps, on every address of `listen`.
    pub port_s: u16,
    /// The pool of port_pc, on every address of `listen`.
    pub port_c: RangeInclusive<u16>,
    /// UEs are served over TLS, too.
    pub tls: Option<TlsAccess>,
    /// Policy.
    pub sec_agree: SecAgreePolicy,
    /// UEs behind a NAT.
    pub nat: NatPolicy,
    /// What carries ESP can do UDP-encapsulated tunnel mode.
    pub carries_tunnels: bool,
    /// Priority list of pairs, the best first: also the static Security-Server list.
    pub algorithms: Vec<Algorithms>,
    /// q of each of them in thousandths, where they are not counted down by 0.1.
    pub q: Vec<u16>,
    /// Send the whole static list (q ordered) in a 401, or only the chosen pair (q left out).
    pub full_list_in_401: bool,
    /// Where REGISTERs go: the I-CSCF, the first that answers. Addresses of the core side bind to the listener of the
    /// same family.
    pub next_hops: Vec<SocketAddr>,
    /// Our address towards the core.
    pub core: SocketAddr,
    /// Transport towards the core.
    pub core_transport: Transport,
    /// Timers towards the UE.
    pub gm_timers: Timers,
    /// Timers towards the core.
    pub core_timers: Timers,
    /// P-Visited-Network-ID.
    pub visited_network: Box<str>,
    /// orig-ioi of type 1.
    pub ioi: Box<str>,
    /// Flows of RFC 5626 are kept apart for UEs that offer a reg-id, and Path has `ob`; else none of them is one.
    pub outbound: bool,
    /// UEs behind one address are told apart by port (default on loopback).
    pub many_ues_per_address: bool,
    /// A 401 from the core without ck and ik after an agreement: 500 (TS 24.229), unless this is set for recorded
    /// vectors, whose keys nobody knows (plane `none` only): then keys of zeros stand for them.
    pub accept_challenge_without_keys: bool,
    /// Host names of Service-Route, Route and Request-URI: there is no DNS.
    pub hosts: BTreeMap<Box<str>, IpAddr>,
    /// Who may send requests for UEs; empty: loopback, `next_hops` and `hosts`.
    pub trusted: Vec<IpAddr>,
    /// How often UEs that offer `keep` are asked for keep-alives (RFC 6223), and what Flow-Timer says; `None`: never.
    pub keep_alive: Option<Duration>,
    /// How long a registered UE may be silent before it is asked by OPTIONS whether it is there; `None`: never asked.
    pub options_interval: Option<Duration>,
    /// Lines of the access network by the address of the UE behind each (NASS-Bundled authentication).
    pub lines: BTreeMap<IpAddr, Box<str>>,
    /// Subscribe to the reg event package of whoever registers (TS 24.229 clause 5.2.3).
    pub subscribe: bool,
    /// What is taken on; beyond it new registrations are shed.
    pub limits: Limits,
    /// Headers that the profile wants in the 200 towards the UE removed (as recorded networks do), by name.
    pub strip_from_answers: Vec<Box<str>>,
    /// The forms of the answers to REGISTER by status, where they are those of another make.
    pub forms: BTreeMap<u16, Form>,
}
