//! The REGISTER of a UE (TS 24.229 clauses 5.1.1.2, 5.1.1.4, 5.1.1.6).

use super::{KeepAlivePolicy, UeConfig};
use crate::identity::Impu;
use crate::packet::Transport;
use crate::random::{Random, Token};
use crate::sip::form::Form;
use crate::sip::{HeaderName, Uri, Writer};
use std::fmt::Write;
use std::net::SocketAddr;

/// What ties the REGISTERs of one attempt, and of the registration that comes of it (RFC 3261 clause 10.2).
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    call_id: Token<24>,
    from_tag: Token<12>,
    cseq: u32,
}

impl Sequence {
    /// A new Call-ID; nothing sent yet.
    pub(super) fn new(random: &mut Random) -> Self {
        Self { call_id: random.token(), from_tag: random.token(), cseq: 0 }
    }

    /// Of all of them.
    pub(super) fn call_id(&self) -> &str {
        self.call_id.as_str()
    }

    /// CSeq of the last one.
    pub(super) const fn last(&self) -> u32 {
        self.cseq
    }

    /// The next REGISTER.
    pub(super) fn advance(&mut self) {
        self.cseq += 1;
    }
}

/// One REGISTER, ready to be written for either transport.
#[derive(Debug)]
pub(super) struct Register<'a> {
    pub(super) config: &'a UeConfig,
    pub(super) sequence: &'a Sequence,
    /// The identity.
    pub(super) impu: &'a Impu,
    /// What Via and Contact name: our unprotected port, or port_us.
    pub(super) reachable: SocketAddr,
    pub(super) expires: u32,
    pub(super) authorization: &'a str,
    pub(super) proxy_authorization: Option<&'a str>,
    pub(super) security_client: Option<&'a str>,
    pub(super) security_verify: Option<&'a str>,
    /// Another form than ours.
    pub(super) form: Option<&'a Form>,
}

impl Register<'_> {
    /// Appends the message.
    pub(super) fn write(&self, out: &mut Vec<u8>, transport: Transport, branch: &str) {
        let (UeConfig { realm, .. }, impu) = (self.config, self.impu);
        let Sequence { call_id, from_tag, cseq } = self.sequence;
        let protected = self.security_verify.is_some();
        // RFC 3581 asks for the source port, which a protected answer must not go to (TS 24.229 clause 5.1.1.2.2).
        let rport = if protected { "" } else { ";rport" };
        // RFC 6223 clause 4.1.
        let keep = if self.config.keep_alive == KeepAlivePolicy::Negotiated { ";keep" } else { "" };
        let start = out.len();
        let mut w = Writer::request(out, "REGISTER", &format!("sip:{realm}"));
        w.header_fmt(
            HeaderName::Via,
            format_args!("SIP/2.0/{transport} {};branch={branch}{rport}{keep}", self.reachable),
        );
        w.header(HeaderName::MaxForwards, "70");
        w.header_fmt(HeaderName::From, format_args!("<{impu}>;tag={from_tag}"));
        w.header_fmt(HeaderName::To, format_args!("<{impu}>"));
        w.header(HeaderName::CallId, call_id.as_str());
        w.header_fmt(HeaderName::CSeq, format_args!("{cseq} REGISTER"));
        w.header(HeaderName::Contact, &self.contact());
        w.header_fmt(HeaderName::Expires, format_args!("{}", self.expires));
        let outbound = if self.config.flow().is_some() { ", outbound" } else { "" };
        let gruu = if self.config.gruu { ", gruu" } else { "" };
        w.header_parts(HeaderName::Supported, &["path", outbound, gruu]);
        if self.security_client.is_some() || protected {
            w.header(HeaderName::Require, "sec-agree");
            w.header(HeaderName::ProxyRequire, "sec-agree");
        }
        if let Some(offer) = self.security_client {
            w.header(HeaderName::SecurityClient, offer);
        }
        if let Some(mirror) = self.security_verify {
            w.header(HeaderName::SecurityVerify, mirror);
        }
        w.header(HeaderName::Authorization, self.authorization);
        if let Some(credentials) = self.proxy_authorization {
            w.header(HeaderName::ProxyAuthorization, credentials);
        }
        if let Some(access) = self.config.access_network.as_deref().filter(|_| protected) {
            w.header(HeaderName::PAccessNetworkInfo, access);
        }
        if !self.config.user_agent.is_empty() {
            w.header(HeaderName::UserAgent, &self.config.user_agent);
        }
        w.finish(b"");
        if let Some(form) = self.form {
            form.dress(out, start);
        }
    }

    fn contact(&self) -> String {
        let mut out = format!("<{}>", contact_uri(self.config, self.reachable));
        if let Some(instance) = &self.config.instance {
            write!(out, ";+sip.instance=\"<{instance}>\"").expect("writing to a String");
        }
        if let Some(reg_id) = self.config.flow() {
            write!(out, ";reg-id={reg_id}").expect("writing to a String");
        }
        out.push_str(&self.config.features);
        out
    }
}

/// The URI that a UE at `reachable` registers.
pub(super) fn contact_uri(config: &UeConfig, reachable: SocketAddr) -> String {
    let sos = if config.emergency { ";sos" } else { "" };
    let tls = if config.transport == Transport::Tls { ";transport=tls" } else { "" };
    let more = &config.contact_parameters;
    let user = match &config.contact_user {
        Some(user) => Some(&**user).filter(|user| !user.is_empty()),
        None => Uri::parse(config.impu.as_str()).ok().and_then(|uri| uri.user),
    };
    match user {
        Some(user) => format!("sip:{user}@{reachable}{tls}{sos}{more}"),
        None => format!("sip:{reachable}{tls}{sos}{more}"),
    }
}

impl UeConfig {
    /// reg-id of the flow asked for. It means nothing without an instance (RFC 5626 clause 4.2).
    pub(super) fn flow(&self) -> Option<u32> {
        self.reg_id.filter(|_| self.instance.is_some() && !self.emergency)
    }
}
