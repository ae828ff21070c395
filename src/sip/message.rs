//! A message as received: a view of its bytes.

use super::header::cseq::CSeq;
use super::header::digest::Digest;
use super::header::name_addr::NameAddr;
use super::header::sec_agree::Mechanisms;
use super::header::via::Via;
use super::{HeaderError, HeaderName, Method, ParseError};

/// The first line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// Splits one whole message: a datagram, or what [`super::frame`] cut from a stream.
    /// Octets beyond Content-Length are ignored (RFC 3261 clause 18.3), missing ones are an error.
    ///
    /// Only framing is checked here. [`Message::check`] judges what every receiver must reject.
    pub fn parse(_bytes: &'a [u8]) -> Result<Self, ParseError> {
        todo!()
    }

    /// The rules that hold for every message whatever its method: mandatory headers, one value where one is allowed,
    /// CSeq method, numbers in range, well-formed Via, From, To, Contact, Request-URI (sip.md section 1). The error
    /// knows the status to answer.
    pub fn check(&self) -> Result<(), HeaderError> {
        todo!()
    }

    /// The bytes of this message, body included, nothing after it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start(&self) -> StartLine<'a> {
        todo!()
    }

    /// The method of a request.
    pub fn method(&self) -> Option<Method<'a>> {
        todo!()
    }

    /// The Request-URI text of a request.
    pub fn request_uri(&self) -> Option<&'a str> {
        todo!()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        todo!()
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        todo!()
    }

    /// Every header line, in order.
    pub fn lines(&self) -> impl Iterator<Item = Line<'a>> + '_ {
        std::iter::empty()
    }

    /// The value of the first line of this name.
    pub fn header(&self, _name: HeaderName) -> Option<&'a str> {
        todo!()
    }

    /// The values of all lines of this name, one item a line.
    pub fn values(&self, _name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        std::iter::empty()
    }

    /// The elements of all lines of this name, split at commas outside quotes and angle brackets, empty ones left out.
    pub fn elements(&self, _name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        std::iter::empty()
    }

    /// True when `tag` is one of the option tags of `name` (Require, Proxy-Require, Supported); any case.
    pub fn has_option(&self, _name: HeaderName, _tag: &str) -> bool {
        todo!()
    }

    /// The value of the first line whose name is `name`, for headers without a [`HeaderName`].
    pub fn header_named(&self, _name: &str) -> Option<&'a str> {
        todo!()
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via<'a>, HeaderError> {
        todo!()
    }

    /// From.
    pub fn from(&self) -> Result<NameAddr<'a>, HeaderError> {
        todo!()
    }

    /// To.
    pub fn to(&self) -> Result<NameAddr<'a>, HeaderError> {
        todo!()
    }

    /// Call-ID.
    pub fn call_id(&self) -> Result<&'a str, HeaderError> {
        todo!()
    }

    /// CSeq.
    pub fn cseq(&self) -> Result<CSeq<'a>, HeaderError> {
        todo!()
    }

    /// Max-Forwards, `None` if absent.
    pub fn max_forwards(&self) -> Result<Option<u8>, HeaderError> {
        todo!()
    }

    /// Expires in seconds, `None` if absent or malformed (RFC 3261 clause 20.19: a recipient then uses its default);
    /// larger values are clamped to 2^32-1.
    pub fn expires(&self) -> Option<u32> {
        todo!()
    }

    /// The Contact elements; `*` is [`super::header::contact::Contacts::Star`].
    pub fn contacts(&self) -> Result<super::header::contact::Contacts<'a>, HeaderError> {
        todo!()
    }

    /// The name-addr elements of Path, Service-Route, Route, Record-Route, P-Associated-URI, P-Asserted-Identity, ...
    pub fn name_addrs(&self, _name: HeaderName) -> Result<Vec<NameAddr<'a>>, HeaderError> {
        todo!()
    }

    /// The first credentials of scheme Digest in Authorization; another scheme counts as none (sip.md section 7).
    pub fn authorization(&self) -> Result<Option<Digest<'a>>, HeaderError> {
        todo!()
    }

    /// Every challenge of scheme Digest in WWW-Authenticate, in order.
    pub fn challenges(&self) -> Result<Vec<Digest<'a>>, HeaderError> {
        todo!()
    }

    /// All elements of Security-Client, Security-Server or Security-Verify over all lines; empty if absent.
    pub fn security(&self, _name: HeaderName) -> Result<Mechanisms<'a>, HeaderError> {
        todo!()
    }
}
