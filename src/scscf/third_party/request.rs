//! The third-party REGISTER itself, and its bodies (TS 24.229 clauses 5.4.1.7 and 7.6).

use super::Announcement;
use crate::cx::user_data::ApplicationServer;
use crate::packet::Transport;
use crate::random::{Random, Token};
use crate::scscf::ScscfConfig;
use crate::scscf::answer::write_charging;
use crate::scscf::profile::Profile;
use crate::sip::{HeaderName, Uri, Writer};

/// One request to one application server.
pub(super) struct ThirdPartyRegister<'a> {
    config: &'a ScscfConfig,
    /// Which of our listeners Via names.
    listener: usize,
    server: &'a ApplicationServer,
    impu: &'a str,
    announcement: &'a Announcement<'a>,
    tag: Token<10>,
    call_id: Token<20>,
    /// Content-Type and octets.
    body: Option<(String, Vec<u8>)>,
}

impl<'a> ThirdPartyRegister<'a> {
    pub(super) fn new(
        config: &'a ScscfConfig,
        listener: usize,
        server: &'a ApplicationServer,
        impu: &'a str,
        announcement: &'a Announcement<'a>,
        random: &mut Random,
    ) -> Self {
        let (tag, call_id) = (random.token(), random.token());
        let body = body(server, announcement, random);
        Self { config, listener, server, impu, announcement, tag, call_id, body }
    }

    pub(super) fn write(&self, transport: Transport, branch: &str, profile: &Profile, out: &mut Vec<u8>) {
        let Self { config, announcement, .. } = self;
        let host = Uri::parse(&config.name).map_or("", |uri| uri.host);
        let port = config.listen[self.listener].port();
        let mut w = Writer::request(out, "REGISTER", &self.server.server_name);
        w.header_fmt(HeaderName::Via, format_args!("SIP/2.0/{transport} {host}:{port};branch={branch}"));
        w.header_number(HeaderName::MaxForwards, 70);
        w.header_parts(HeaderName::From, &["<", &config.name, ">;tag=", self.tag.as_str()]);
        w.header_parts(HeaderName::To, &["<", self.impu, ">"]);
        w.header_parts(HeaderName::CallId, &[self.call_id.as_str(), "@", host]);
        w.header(HeaderName::CSeq, "1 REGISTER");
        w.header_parts(HeaderName::Contact, &["<", &config.name, ">"]);
        w.header_number(HeaderName::Expires, announcement.expires);
        let mut icid = None;
        if let Some(register) = announcement.register {
            for name in [HeaderName::PAccessNetworkInfo, HeaderName::PVisitedNetworkId] {
                for value in register.values(name) {
                    w.header(name, value);
                }
            }
            icid = register.charging_vector().ok().flatten().map(|vector| vector.icid);
        }
        // What nobody has sent is charged under an ICID of its own.
        let icid = icid.unwrap_or(self.call_id.as_str());
        w.header_parts(
            HeaderName::PChargingVector,
            &["icid-value=\"", icid, "\";orig-ioi=\"Type 3", &config.ioi, "\""],
        );
        write_charging(&mut w, profile.charging());
        match &self.body {
            Some((content_type, body)) => {
                w.header(HeaderName::ContentType, content_type);
                w.finish(body);
            }
            None => w.finish(b""),
        }
    }
}

/// The parts that the criteria ask for; several make a multipart/mixed (RFC 2046 clause 5.1.3). A registration that ends
/// has none.
fn body(server: &ApplicationServer, announcement: &Announcement<'_>, random: &mut Random) -> Option<(String, Vec<u8>)> {
    if announcement.expires == 0 {
        return None;
    }
    let mut parts: Vec<(&str, Vec<u8>)> = Vec::new();
    if let Some(info) = &server.service_info {
        parts.push((SERVICE_INFO, service_info(info)));
    }
    let register = announcement.register.filter(|_| server.include_register_request);
    parts.extend(register.map(|register| (SIP_MESSAGE, register.bytes().to_vec())));
    if server.include_register_response && !announcement.answer.is_empty() {
        parts.push((SIP_MESSAGE, announcement.answer.to_vec()));
    }
    if parts.len() <= 1 {
        return parts.pop().map(|(content_type, part)| (content_type.to_owned(), part));
    }
    let boundary = random.token::<24>();
    let mut body = Vec::with_capacity(parts.iter().map(|(_, part)| part.len() + 100).sum());
    for (content_type, part) in parts {
        for piece in ["--", boundary.as_str(), "\r\nContent-Type: ", content_type, "\r\n\r\n"] {
            body.extend_from_slice(piece.as_bytes());
        }
        body.extend_from_slice(&part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Some((format!("multipart/mixed;boundary={boundary}"), body))
}

/// The 3GPP IM CN subsystem XML body with ServiceInfo (TS 24.229 clause 7.6).
fn service_info(info: &str) -> Vec<u8> {
    let info = quick_xml::escape::escape(info);
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <ims-3gpp version=\"1\"><service-info>{info}</service-info></ims-3gpp>"
    )
    .into_bytes()
}

const SERVICE_INFO: &str = "application/3gpp-ims+xml";
const SIP_MESSAGE: &str = "message/sip";
