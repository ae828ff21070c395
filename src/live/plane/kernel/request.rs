//! From a set of SAs to the four states and four policies of the kernel.
//!
//! The kernel does not compare the addresses of transport-mode templates, and a template without SPI and reqid accepts
//! any SA. So each template names both, and each state carries the whole selector.

use crate::aka::{Ck, Ik};
use crate::identity::Spi;
use crate::ipsec::association::{Algorithms, Encryption, Integrity, SaSet};
use crate::ipsec::keys::{encryption_key, integrity_key};
use crate::time::Duration;
use netlink_packet_xfrm::constants::{
    IPPROTO_ESP, XFRM_MODE_TRANSPORT, XFRM_POLICY_ALLOW, XFRM_POLICY_BLOCK, XFRM_POLICY_IN, XFRM_POLICY_OUT,
};
use netlink_packet_xfrm::policy::{DelGetMessage as WhichPolicy, ModifyMessage as Policy};
use netlink_packet_xfrm::state::{DelGetMessage as WhichState, ModifyMessage as State};
use netlink_packet_xfrm::{
    Alg, AlgAead, AlgAuth, LifetimeConfig, ReplayEsn, Selector, UserTemplate, XfrmAttrs, XfrmMessage,
};
use std::net::{IpAddr, SocketAddr};

/// One SA of a set as the kernel knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Sa {
    from: SocketAddr,
    to: SocketAddr,
    spi: u32,
    direction: u8,
    reqid: u32,
}

/// The four SAs of a set (TS 33.203 clause 7.1), seen from the host of one side.
pub(super) fn four(set: &SaSet, reqid: u32) -> [Sa; 4] {
    let (us, them) = if set.at_ue { (&set.ue, &set.pcscf) } else { (&set.pcscf, &set.ue) };
    let (here, there) =
        if set.at_ue { (set.ue_address, set.pcscf_address) } else { (set.pcscf_address, set.ue_address) };
    let ours = |port| SocketAddr::new(here, port);
    let theirs = |port| SocketAddr::new(there, port);
    [
        Sa::inbound(theirs(them.port_c), ours(us.port_s), us.spi_s, reqid),
        Sa::inbound(theirs(them.port_s), ours(us.port_c), us.spi_c, reqid),
        Sa::outbound(ours(us.port_c), theirs(them.port_s), them.spi_s, reqid),
        Sa::outbound(ours(us.port_s), theirs(them.port_c), them.spi_c, reqid),
    ]
}

/// Algorithms with their keys, as attributes of a state.
pub(super) fn algorithms(Algorithms { integrity, encryption }: Algorithms, ck: &Ck, ik: &Ik) -> Vec<XfrmAttrs> {
    let (integrity_key, encryption_key) = (integrity_key(integrity, ck, ik), encryption_key(encryption, ck, ik));
    let (ik, ck) = (integrity_key.as_slice(), encryption_key.as_slice());
    let hmac = |kernel: &str| {
        XfrmAttrs::AuthenticationAlgTrunc(AlgAuth {
            alg_name: name(kernel),
            alg_key_len: bits(ik),
            alg_trunc_len: 96,
            alg_key: ik.to_vec(),
        })
    };
    let cipher = |kernel: &str| {
        XfrmAttrs::EncryptionAlg(Alg { alg_name: name(kernel), alg_key_len: bits(ck), alg_key: ck.to_vec() })
    };
    let combined = |kernel: &str, key: &[u8]| {
        XfrmAttrs::EncryptionAlgAead(AlgAead {
            alg_name: name(kernel),
            alg_key_len: bits(key),
            alg_icv_len: 128,
            alg_key: key.to_vec(),
        })
    };
    let mut all = Vec::with_capacity(3);
    match integrity {
        Integrity::HmacMd5 => all.push(hmac("hmac(md5)")),
        Integrity::HmacSha1 => all.push(hmac("hmac(sha1)")),
        Integrity::AesGmac => all.push(combined("rfc4543(gcm(aes))", ik)),
        Integrity::Null => {}
    }
    match encryption {
        // The combined algorithm of aes-gmac needs no other beside it.
        Encryption::Null if integrity == Integrity::AesGmac => {}
        Encryption::Null => all.push(cipher("ecb(cipher_null)")),
        Encryption::DesEde3Cbc => all.push(cipher("cbc(des3_ede)")),
        Encryption::AesCbc => all.push(cipher("cbc(aes)")),
        Encryption::AesGcm => all.push(combined("rfc4106(gcm(aes))", ck)),
    }
    all
}

impl Sa {
    /// An SA that ends here.
    pub(super) const fn inbound(from: SocketAddr, to: SocketAddr, spi: Spi, reqid: u32) -> Self {
        Self { from, to, spi: spi.0, direction: XFRM_POLICY_IN, reqid }
    }

    /// An SA that ends there.
    const fn outbound(from: SocketAddr, to: SocketAddr, spi: Spi, reqid: u32) -> Self {
        Self { from, to, spi: spi.0, direction: XFRM_POLICY_OUT, reqid }
    }

    /// A new state. `life` as in [`lifetime`].
    pub(super) fn add_state(&self, algorithms: Vec<XfrmAttrs>, life: Option<Duration>) -> XfrmMessage {
        XfrmMessage::AddSa(self.state(algorithms, life))
    }

    /// Another life, counted from the moment at which the state was added.
    pub(super) fn extend_state(&self, algorithms: Vec<XfrmAttrs>, life: Duration) -> XfrmMessage {
        XfrmMessage::UpdateSa(self.state(algorithms, Some(life)))
    }

    /// A new policy.
    pub(super) fn add_policy(&self, life: Option<Duration>) -> XfrmMessage {
        XfrmMessage::AddPolicy(self.policy(life))
    }

    /// The same policy anew in the place of the old, with a life from now on.
    pub(super) fn extend_policy(&self, life: Duration) -> XfrmMessage {
        XfrmMessage::UpdatePolicy(self.policy(Some(life)))
    }

    pub(super) fn delete_state(&self) -> XfrmMessage {
        delete_state(&self.state(Vec::new(), None))
    }

    pub(super) fn get_state(&self) -> XfrmMessage {
        XfrmMessage::GetSa(which_state(&self.state(Vec::new(), None)))
    }

    pub(super) const fn is_inbound(&self) -> bool {
        self.direction == XFRM_POLICY_IN
    }

    pub(super) fn delete_policy(&self) -> XfrmMessage {
        delete_policy(&self.policy(None))
    }

    fn state(&self, algorithms: Vec<XfrmAttrs>, life: Option<Duration>) -> State {
        let mut state = State::default();
        let info = &mut state.user_sa_info;
        info.source(&self.from.ip());
        info.destination(&self.to.ip());
        info.id.proto = IPPROTO_ESP;
        info.id.spi = self.spi;
        info.mode = XFRM_MODE_TRANSPORT;
        info.reqid = self.reqid;
        info.selector = selector(Some(self.from), Some(self.to));
        info.lifetime_cfg = lifetime(life);
        state.nlas = algorithms;
        state.nlas.push(XfrmAttrs::ReplayStateEsn(window()));
        state
    }

    fn policy(&self, life: Option<Duration>) -> Policy {
        let mut policy = Policy::default();
        let info = &mut policy.user_policy_info;
        info.selector = selector(Some(self.from), Some(self.to));
        info.lifetime_cfg = lifetime(life);
        info.priority = PRIORITY;
        info.direction = self.direction;
        info.action = XFRM_POLICY_ALLOW;
        let mut template = UserTemplate::default();
        template.source(&self.from.ip());
        template.destination(&self.to.ip());
        template.protocol(IPPROTO_ESP);
        template.mode(XFRM_MODE_TRANSPORT);
        template.spi(self.spi);
        template.reqid(self.reqid);
        policy.nlas.push(XfrmAttrs::Template(vec![template]));
        policy
    }
}

/// The two walls of a protected port, in and out: what no set lets through goes no further. `life` as in [`lifetime`].
pub(super) fn walls(local: SocketAddr, priority: u32, life: Option<Duration>) -> [Policy; 2] {
    [(XFRM_POLICY_IN, None, Some(local)), (XFRM_POLICY_OUT, Some(local), None)].map(|(direction, from, to)| {
        let mut policy = Policy::default();
        let info = &mut policy.user_policy_info;
        info.selector = selector(from, to);
        info.lifetime_cfg = lifetime(life);
        info.priority = priority;
        info.direction = direction;
        info.action = XFRM_POLICY_BLOCK;
        policy
    })
}

pub(super) fn delete_state(state: &State) -> XfrmMessage {
    XfrmMessage::DeleteSa(which_state(state))
}

/// Names a state by what identifies it.
fn which_state(state: &State) -> WhichState {
    let info = &state.user_sa_info;
    let mut which = WhichState::default();
    which.user_sa_id.daddr = info.id.daddr;
    which.user_sa_id.spi = info.id.spi;
    which.user_sa_id.family = info.family;
    which.user_sa_id.proto = info.id.proto;
    which.nlas.push(XfrmAttrs::SrcAddr(info.saddr));
    which
}

/// Names a policy by what identifies it.
pub(super) fn delete_policy(policy: &Policy) -> XfrmMessage {
    let mut which = WhichPolicy::default();
    which.user_policy_id.selector = policy.user_policy_info.selector;
    which.user_policy_id.direction = policy.user_policy_info.direction;
    XfrmMessage::DeletePolicy(which)
}

/// Addresses and ports; the transport stays open, since UDP and TCP share an SA. A side that is `None` is any.
fn selector(from: Option<SocketAddr>, to: Option<SocketAddr>) -> Selector {
    let mut selector = Selector::default();
    let any: IpAddr = match from.or(to) {
        Some(SocketAddr::V6(_)) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        _ => std::net::Ipv4Addr::UNSPECIFIED.into(),
    };
    let whole = if any.is_ipv6() { 128 } else { 32 };
    selector.source_prefix(&from.map_or(any, |from| from.ip()), whole);
    selector.destination_prefix(&to.map_or(any, |to| to.ip()), whole);
    if let Some(from) = from {
        (selector.sport, selector.sport_mask) = (from.port(), u16::MAX);
    }
    if let Some(to) = to {
        (selector.dport, selector.dport_mask) = (to.port(), u16::MAX);
    }
    selector
}

/// No limit but that of time: the end of life in whole seconds, never earlier than asked for.
fn lifetime(life: Option<Duration>) -> LifetimeConfig {
    let hard_add_expires_seconds = life.map_or(0, |life| life.as_secs() + 1);
    LifetimeConfig { hard_add_expires_seconds, ..LifetimeConfig::default() }
}

/// A window of 64 packets.
fn window() -> ReplayEsn {
    ReplayEsn { bmp_len: 2, replay_window: 64, bmp: vec![0; 2], ..ReplayEsn::default() }
}

fn name<const N: usize>(kernel: &str) -> [u8; N] {
    let mut name = [0; N];
    name[..kernel.len()].copy_from_slice(kernel.as_bytes());
    name
}

fn bits(key: &[u8]) -> u32 {
    u32::try_from(8 * key.len()).expect("a key of some octets")
}

/// Before any wall.
const PRIORITY: u32 = 1_000;
