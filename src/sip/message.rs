//! A message as received: a view of its bytes.

use super::header::contact::Contacts;
use super::header::cseq::CSeq;
use super::header::digest::Digest;
use super::header::name_addr::NameAddr;
use super::header::sec_agree::Mechanisms;
use super::header::via::Via;
use super::header::{access_network::AccessNetwork, charging_vector::ChargingVector, grammar};
use super::parse::{self, Slot, Split, Table};
use super::{HeaderError, HeaderName, Method, ParseError, Uri};
use std::fmt;

/// The first line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// `METHOD uri SIP/2.0`
    Request {
        /// The method.
        method: Method<'a>,
        /// The Request-URI as text; parse it with [`super::Uri::parse`].
        uri: &'a str,
    },
    /// `SIP/2.0 status reason`
    Response {
        /// 100 to 699.
        status: u16,
        /// The reason phrase, possibly empty.
        reason: &'a str,
    },
}

/// One header line (with its folded continuation).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    /// Which header; compact forms and any case are recognised.
    pub name: HeaderName,
    /// The name as written.
    pub name_text: &'a str,
    /// The value without surrounding white space; may hold folds (CRLF and white space).
    pub value: &'a str,
    /// The whole line as received, line end included: what a proxy copies.
    pub raw: &'a [u8],
}

/// A view of one message. Cheap to make, lives on the stack, borrows the bytes.
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Start line, headers, empty line.
    text: &'a str,
    start: StartLine<'a>,
    table: Table,
}

impl<'a> Message<'a> {
    /// Splits one whole message: a datagram, or what [`super::frame`] cut from a stream.
    /// Octets beyond Content-Length are ignored (RFC 3261 clause 18.3), missing ones are an error.
    ///
    /// Only framing is checked here. [`Message::check`] judges what every receiver must reject.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        parse::split(bytes).map(Self::new)
    }

    /// What can be read of a request that [`Message::parse`] refused, without its body: enough to answer it. `None` when
    /// there is nothing that could be answered: no request line, an ACK, or Via, From, To, Call-ID or CSeq missing.
    pub fn salvage(bytes: &'a [u8]) -> Option<Self> {
        let this = Self::new(parse::salvage(bytes)?);
        let needed = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
        let answerable = needed.iter().all(|&name| this.header(name).is_some()) && this.via().is_ok();
        (answerable && this.method() != Some(Method::Ack)).then_some(this)
    }

    /// The rules that hold for every message whatever its method: mandatory headers, one value where one is allowed,
    /// CSeq method, numbers in range, well-formed Via, From, To, Contact, Request-URI (sip.md section 1). The error
    /// knows the status to answer.
    pub fn check(&self) -> Result<(), HeaderError> {
        for name in SINGLE {
            let mut values = self.values(name);
            let first = values.next();
            if values.any(|value| Some(value) != first) {
                return Err(HeaderError::bad(name, "two different values"));
            }
        }
        self.via()?;
        for line in self.values(HeaderName::Via) {
            let mut rest = Some(line);
            while let Some(list) = rest {
                rest = Via::parse(list)?.1;
            }
        }
        self.from()?;
        self.to()?;
        self.call_id()?;
        let cseq = self.cseq()?;
        if let StartLine::Request { method, uri } = self.start {
            check_request_uri(uri)?;
            self.max_forwards()?;
            if cseq.method != method {
                // RFC 4475 clause 3.1.2.18 leaves 501 or 400 for an unknown method.
                let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
                return Err(HeaderError { status, ..HeaderError::bad(HeaderName::CSeq, "method of another request") });
            }
        }
        if let Contacts::Star = self.contacts()?
            && self.method() == Some(Method::Register)
            && self.expires() != Some(0)
        {
            return Err(HeaderError::bad(HeaderName::Contact, "* without Expires: 0"));
        }
        Ok(())
    }

    /// The bytes of this message, body included, nothing after it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start(&self) -> StartLine<'a> {
        self.start
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI text of a request.
    pub fn request_uri(&self) -> Option<&'a str> {
        match self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[self.text.len()..]
    }

    /// Every header line, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + '_ {
        self.table.iter().map(|slot| Line {
            name: slot.name,
            name_text: &self.text[usize::from(slot.start)..usize::from(slot.name_end)],
            value: self.value(slot),
            raw: &self.bytes[usize::from(slot.start)..usize::from(slot.end)],
        })
    }

    /// The value of the first line of this name.
    pub fn header(&self, name: HeaderName) -> Option<&'a str> {
        self.values(name).next()
    }

    /// The values of all lines of this name, one item a line. Not for [`HeaderName::Other`], which is many names.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        self.table.named(name).map(|slot| self.value(slot))
    }

    /// The elements of all lines of this name, split at commas outside quotes and angle brackets, empty ones left out.
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        self.values(name).flat_map(elements)
    }

    /// True when `tag` is one of the option tags of `name` (Require, Proxy-Require, Supported); any case.
    pub fn has_option(&self, name: HeaderName, tag: &str) -> bool {
        self.elements(name).any(|element| element.eq_ignore_ascii_case(tag))
    }

    /// The value of the first line whose name is `name`, for headers without a [`HeaderName`].
    pub fn header_named(&self, name: &str) -> Option<&'a str> {
        match HeaderName::from_text(name) {
            HeaderName::Other => {
                self.lines().find(|line| line.name_text.eq_ignore_ascii_case(name)).map(|line| line.value)
            }
            known => self.header(known),
        }
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via<'a>, HeaderError> {
        Via::parse(self.mandatory(HeaderName::Via)?).map(|(via, _)| via)
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr<'a>, HeaderError> {
        NameAddr::parse(HeaderName::From, self.mandatory(HeaderName::From)?)
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr<'a>, HeaderError> {
        NameAddr::parse(HeaderName::To, self.mandatory(HeaderName::To)?)
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<&'a str, HeaderError> {
        let value = self.mandatory(HeaderName::CallId)?;
        if value.is_empty() || value.bytes().any(|b| grammar::is(b, grammar::LWS)) {
            return Err(HeaderError::bad(HeaderName::CallId, "expected one word"));
        }
        Ok(value)
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq<'a>, HeaderError> {
        CSeq::parse(self.mandatory(HeaderName::CSeq)?)
    }

    /// Max-Forwards, `None` if absent.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        let Some(value) = self.header(HeaderName::MaxForwards) else { return Ok(None) };
        match grammar::number(value, 255) {
            Some(hops) => Ok(Some(hops as u8)),
            None => Err(HeaderError::bad(HeaderName::MaxForwards, "not 0 to 255")),
        }
    }

    /// Expires in seconds, `None` if absent or malformed (RFC 3261 clause 20.19: a recipient then uses its default);
    /// larger values are clamped to 2^32-1.
    pub fn expires(&self) -> Option<u32> {
        self.header(HeaderName::Expires).and_then(grammar::seconds)
    }

    /// The Contact elements; `*` is [`super::header::contact::Contacts::Star`].
    pub fn contacts(&self) -> Result<Contacts<'a>, HeaderError> {
        Contacts::parse(self.values(HeaderName::Contact))
    }

    /// The name-addr elements of Path, Service-Route, Route, Record-Route, P-Associated-URI, P-Asserted-Identity, ...
    pub fn name_addrs(&self, name: HeaderName) -> Result<Vec<NameAddr<'a>>, HeaderError> {
        let mut elements = Vec::new();
        for value in self.values(name) {
            NameAddr::take_all(name, value, &mut elements)?;
        }
        Ok(elements)
    }

    /// The first credentials of scheme Digest in Authorization; another scheme counts as none (sip.md section 7).
    pub fn authorization(&self) -> Result<Option<Digest<'a>>, HeaderError> {
        for value in self.values(HeaderName::Authorization) {
            if let Some(credentials) = Digest::parse(HeaderName::Authorization, value)? {
                return Ok(Some(credentials));
            }
        }
        Ok(None)
    }

    /// Every challenge of scheme Digest in WWW-Authenticate, in order.
    pub fn challenges(&self) -> Result<Vec<Digest<'a>>, HeaderError> {
        let mut challenges = Vec::new();
        for value in self.values(HeaderName::WwwAuthenticate) {
            challenges.extend(Digest::parse(HeaderName::WwwAuthenticate, value)?);
        }
        Ok(challenges)
    }

    /// All elements of Security-Client, Security-Server or Security-Verify over all lines; empty if absent.
    pub fn security(&self, name: HeaderName) -> Result<Mechanisms<'a>, HeaderError> {
        Mechanisms::parse(name, self.values(name))
    }

    /// P-Charging-Vector, `None` if absent.
    pub fn charging_vector(&self) -> Result<Option<ChargingVector<'a>>, HeaderError> {
        self.header(HeaderName::PChargingVector).map(ChargingVector::parse).transpose()
    }

    /// The elements of P-Access-Network-Info over all lines.
    pub fn access_networks(&self) -> impl Iterator<Item = Result<AccessNetwork<'a>, HeaderError>> + '_ {
        self.elements(HeaderName::PAccessNetworkInfo).map(AccessNetwork::parse)
    }

    fn new(split: Split<'a>) -> Self {
        Self { bytes: split.bytes, text: split.text, start: split.start, table: split.table }
    }

    fn mandatory(&self, name: HeaderName) -> Result<&'a str, HeaderError> {
        self.header(name).ok_or(HeaderError::bad(name, "missing"))
    }

    fn value(&self, slot: &Slot) -> &'a str {
        &self.text[usize::from(slot.value_start)..usize::from(slot.value_end)]
    }
}

/// Headers hold identities and keys: only the start line and the number of lines are shown.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({:?}, {} headers, {} octets)", self.start, self.table.len(), self.bytes.len())
    }
}

impl fmt::Debug for StartLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { method, uri } => write!(f, "{method} {}", crate::identity::Shortened(uri)),
            Self::Response { status, reason } => write!(f, "{status} {reason}"),
        }
    }
}

/// The name only: a value may be an identity or a key.
impl fmt::Debug for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({})", self.name_text)
    }
}

/// The elements of one list, empty ones left out.
pub(crate) fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut rest = list;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (element, after) = grammar::split_element(rest);
            rest = after;
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    })
}

/// A scheme that nobody here can route is 416 (RFC 3261 clause 8.2.2.1); `urn` is for emergency services (RFC 5031).
fn check_request_uri(uri: &str) -> Result<(), HeaderError> {
    let uri = Uri::parse(uri)?;
    if ["sip", "sips", "tel", "urn"].iter().any(|known| uri.scheme.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(HeaderError {
        status: 416,
        ..HeaderError::bad(HeaderName::Other, "scheme of the Request-URI is not supported")
    })
}

/// Headers of which a second, different value makes the message ambiguous.
const SINGLE: [HeaderName; 5] =
    [HeaderName::CallId, HeaderName::CSeq, HeaderName::From, HeaderName::To, HeaderName::MaxForwards];
