//! A message as received: a view of its bytes.

use super::header::contact::{Contact, Contacts};
use super::header::cseq::CSeq;
use super::header::digest::{Bearer, Digest};
use super::header::name_addr::NameAddr;
use super::header::sec_agree::Mechanisms;
use super::header::via::Via;
use super::header::{access_network::AccessNetwork, charging_vector::ChargingVector, grammar};
use super::parse::{self, Split};
use super::table::{Slot, Table};
use super::{HeaderError, HeaderName, Method, NameSet, ParseError, Uri};
use std::fmt;
use std::hash::Hasher;

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
    /// True when `raw` is one piece that ends in CRLF.
    pub(super) is_plain: bool,
}

/// Consecutive lines that are copied together: [`super::Writer::copy_run`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The lines as received, line ends included.
    pub raw: &'a [u8],
    /// True when every line is one piece that ends in CRLF.
    pub(super) is_plain: bool,
}

/// What [`Message::parts`] cuts the header lines into.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// A line of one of the names asked for.
    Line(Line<'a>),
    /// The lines of all other names up to the next such line or the end.
    Run(Run<'a>),
}

/// What [`Message::check`] reads, kept by [`Message::checked`].
#[derive(Clone, Copy, Debug)]
pub struct Checked<'a> {
    /// From.
    pub from: NameAddr<'a>,
    /// To.
    pub to: NameAddr<'a>,
    /// Call-ID.
    pub call_id: &'a str,
    /// CSeq.
    pub cseq: CSeq<'a>,
    /// Max-Forwards of a request, `None` if absent.
    pub max_forwards: Option<u8>,
    /// Contact is `*`.
    pub is_star: bool,
}

/// A view of one message. Cheap to make, lives on the stack, borrows the bytes.
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    /// Start line, headers, empty line.
    text: &'a str,
    start: StartLine<'a>,
    table: Table,
    /// The topmost Via of a request, and the rest of its line, read at once: the transaction layer, [`Message::check`] and
    /// whoever answers all need it. That of a response is the receiver's own: its branch is all that is looked at.
    top: Option<Result<(Via<'a>, Option<&'a str>), HeaderError>>,
}

impl<'a> Message<'a> {
    /// Splits one whole message: a datagram, or what [`super::frame`] cut from a stream.
    /// Octets beyond Content-Length are ignored (RFC 3261 clause 18.3), missing ones are an error.
    ///
    /// Only framing is checked here. [`Message::check`] judges what every receiver must reject.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut this = Self::empty();
        let split = parse::split(bytes, &mut this.table)?;
        this.take(split);
        Ok(this)
    }

    /// What can be read of a request that [`Message::parse`] refused, without its body: enough to answer it. `None` when
    /// there is nothing that could be answered: no request line, an ACK, or Via, From, To, Call-ID or CSeq missing.
    pub fn salvage(bytes: &'a [u8]) -> Option<Self> {
        let mut this = Self::empty();
        let split = parse::salvage(bytes, &mut this.table)?;
        this.take(split);
        let needed = [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
        let answerable = needed.iter().all(|&name| this.header(name).is_some()) && this.via().is_ok();
        (answerable && this.method() != Some(Method::Ack)).then_some(this)
    }

    /// What can be read of a message that [`Message::parse`] refused, request or response, without its body: for readers
    /// of traces, in which the end of a message may be missing. `None` without a start line.
    pub fn beginning(bytes: &'a [u8]) -> Option<Self> {
        let mut this = Self::empty();
        let split = parse::beginning(bytes, &mut this.table)?;
        this.take(split);
        Some(this)
    }

    /// The rules that hold for every message whatever its method: mandatory headers, one value where one is allowed,
    /// CSeq method, numbers in range, well-formed Via, From, To, Contact, Request-URI (sip.md section 1). The error
    /// knows the status to answer.
    pub fn check(&self) -> Result<(), HeaderError> {
        self.checked().map(|_| ())
    }

    /// As [`Message::check`], and what was read on the way, so that nobody has to read it again.
    pub fn checked(&self) -> Result<Checked<'a>, HeaderError> {
        self.checked_with(|_| ())
    }

    /// As [`Message::checked`]; shows every Contact that is not `*` to `see`.
    pub fn checked_with(&self, see: impl FnMut(Contact<'a>)) -> Result<Checked<'a>, HeaderError> {
        let repeated = self.table.repeated().intersection(SINGLE_NAMES);
        if !repeated.is_empty() {
            self.check_repeated(repeated)?;
        }
        self.check_vias()?;
        let (from, to, call_id) = (self.from()?, self.to()?, self.call_id()?);
        let cseq = self.cseq()?;
        let mut max_forwards = None;
        if let StartLine::Request { method, uri } = self.start {
            check_request_uri(uri)?;
            max_forwards = self.max_forwards()?;
            if cseq.method != method {
                // RFC 4475 clause 3.1.2.18 leaves 501 or 400 for an unknown method.
                let status = if matches!(method, Method::Other(_)) { 501 } else { 400 };
                return Err(HeaderError { status, ..HeaderError::bad(HeaderName::CSeq, "method of another request") });
            }
        }
        let is_star = Contacts::read(self.values(HeaderName::Contact), see)?;
        if is_star && self.method() == Some(Method::Register) && self.expires() != Some(0) {
            return Err(HeaderError::bad(HeaderName::Contact, "* without Expires: 0"));
        }
        Ok(Checked { from, to, call_id, cseq, max_forwards, is_star })
    }

    /// What [`Message::check`] judges in those lines of a request that may differ from one to the next of a sequence: Via,
    /// From (whose tag many choose anew), CSeq and Max-Forwards. For whoever knows by [`Message::write_lines`] that the
    /// others are those of a request that was checked. Returns the last two.
    pub(crate) fn check_anew(&self) -> Result<(CSeq<'a>, Option<u8>), HeaderError> {
        let repeated = self.table.repeated().intersection(SINGLE_NAMES);
        if !repeated.is_empty() {
            self.check_repeated(repeated)?;
        }
        self.check_vias()?;
        let to = self.header(HeaderName::To).unwrap_or_default();
        if !self.header(HeaderName::From).is_some_and(|from| is_usual_from(from, to)) {
            self.from()?;
        }
        let cseq = self.cseq()?;
        if Some(cseq.method) != self.method() {
            return Err(HeaderError::bad(HeaderName::CSeq, "method of another request"));
        }
        Ok((cseq, self.max_forwards()?))
    }

    /// Writes the first line and the lines of `names`, as received and in order.
    pub(crate) fn write_lines(&self, names: NameSet, out: &mut impl Hasher) {
        let (rest, more) = self.table.slices();
        let (mut start, mut end) = (0, rest.first().map_or(self.text.len(), |slot| usize::from(slot.start)));
        for slots in [rest, more] {
            for slot in slots {
                if names.contains(slot.name) {
                    // Lines that follow each other are one piece.
                    if usize::from(slot.start) != end {
                        out.write(&self.bytes[start..end]);
                        start = usize::from(slot.start);
                    }
                    end = usize::from(slot.end);
                }
            }
        }
        out.write(&self.bytes[start..end]);
    }

    fn check_vias(&self) -> Result<(), HeaderError> {
        let mut rest = match &self.top {
            Some(top) => top.as_ref().map_err(HeaderError::clone)?.1,
            None => Via::parse(self.mandatory(HeaderName::Via)?)?.1,
        };
        let mut lines = self.values(HeaderName::Via);
        lines.next();
        while let Some(list) = rest.or_else(|| lines.next()) {
            rest = Via::parse(list)?.1;
        }
        Ok(())
    }

    #[cold]
    fn check_repeated(&self, repeated: NameSet) -> Result<(), HeaderError> {
        for name in SINGLE.into_iter().filter(|&name| repeated.contains(name)) {
            let mut values = self.values(name);
            let first = values.next();
            if values.any(|value| Some(value) != first) {
                return Err(HeaderError::bad(name, "two different values"));
            }
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
        self.table.iter().map(|slot| self.line(slot))
    }

    /// The lines of one header, in order.
    #[inline]
    pub fn lines_of(&self, name: HeaderName) -> impl Iterator<Item = Line<'a>> + '_ {
        self.table.named(name).map(|slot| self.line(slot))
    }

    /// The lines of any of these headers, in order.
    #[inline]
    pub fn lines_in(&self, names: NameSet) -> impl Iterator<Item = Line<'a>> + '_ {
        let (slots, more) = self.table.slices();
        slots.iter().chain(more).filter(move |slot| names.contains(slot.name)).map(|slot| self.line(slot))
    }

    /// The header lines in order, cut so that lines of `names` come one by one and everything between them in runs. A
    /// proxy rewrites the former and copies the latter with one call. Headers without a [`HeaderName`] are one by one
    /// when [`HeaderName::Other`] is among `names`.
    #[inline]
    pub fn parts(&self, names: NameSet) -> impl Iterator<Item = Part<'a>> + '_ {
        self.parts_without(NameSet::default(), names)
    }

    /// As [`Message::parts`], and lines of `left_out` do not come at all.
    #[inline]
    pub fn parts_without(&self, left_out: NameSet, names: NameSet) -> impl Iterator<Item = Part<'a>> + '_ {
        let apart = names.union(left_out);
        let (mut rest, mut more) = self.table.slices();
        std::iter::from_fn(move || {
            let first = loop {
                if rest.is_empty() {
                    rest = std::mem::take(&mut more);
                }
                let (first, behind) = rest.split_first()?;
                rest = behind;
                if !left_out.contains(first.name) {
                    break first;
                }
            };
            if names.contains(first.name) {
                return Some(Part::Line(self.line(first)));
            }
            let (mut end, mut is_plain) = (first.end, first.is_plain);
            while let [slot, behind @ ..] = rest
                && !apart.contains(slot.name)
            {
                (end, is_plain, rest) = (slot.end, is_plain & slot.is_plain, behind);
            }
            let raw = self.bytes.get(usize::from(first.start)..usize::from(end)).unwrap_or_default();
            Some(Part::Run(Run { raw, is_plain }))
        })
    }

    /// The value of the first line of this name.
    pub fn header(&self, name: HeaderName) -> Option<&'a str> {
        self.table.first(name).map(|slot| self.value(slot))
    }

    /// The values of all lines of this name, one item a line. Not for [`HeaderName::Other`], which is many names.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        self.table.named(name).map(|slot| self.value(slot))
    }

    /// True when a line of this name has a value that is so. Most names have one line.
    #[inline]
    pub fn any_value(&self, name: HeaderName, is_so: impl Fn(&'a str) -> bool) -> bool {
        self.header(name).is_some_and(&is_so)
            || self.table.repeated().contains(name) && self.values(name).skip(1).any(is_so)
    }

    /// The value of the only line of this name; `None` where there is no line of it, or more than one.
    pub fn only(&self, name: HeaderName) -> Option<&'a str> {
        if self.table.repeated().contains(name) { None } else { self.header(name) }
    }

    /// True when there is a line of one of these names.
    pub fn has_any(&self, names: NameSet) -> bool {
        !self.table.present().intersection(names).is_empty()
    }

    /// The elements of all lines of this name, split at commas outside quotes and angle brackets, empty ones left out.
    pub fn elements(&self, name: HeaderName) -> impl Iterator<Item = &'a str> + '_ {
        self.values(name).flat_map(elements)
    }

    /// True when `tag` is one of the option tags of `name` (Require, Proxy-Require, Supported); any case.
    pub fn has_option(&self, name: HeaderName, tag: &str) -> bool {
        let is_tag = |element: &str| grammar::same(element.as_bytes(), tag.as_bytes());
        self.any_value(name, |list| grammar::mentions(list, tag, 0) && elements(list).any(is_tag))
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
    #[inline]
    pub fn via(&self) -> Result<Via<'a>, HeaderError> {
        self.read_top().map(|(via, _)| via)
    }

    /// The topmost Via of a request, if it is well-formed, and the rest of its line after the comma.
    #[inline]
    pub(crate) fn top_via(&self) -> Option<&(Via<'a>, Option<&'a str>)> {
        self.top.as_ref()?.as_ref().ok()
    }

    fn read_top(&self) -> Result<(Via<'a>, Option<&'a str>), HeaderError> {
        self.top.clone().unwrap_or_else(|| Via::parse(self.mandatory(HeaderName::Via)?))
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
        if value.is_empty() || !grammar::is_word(value) {
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

    /// What these credentials say of whoever shows them. They are judged as there, and nothing else of them is kept.
    pub(crate) fn bearer(&self) -> Result<Option<Bearer<'a>>, HeaderError> {
        match self.header(HeaderName::Authorization).and_then(Bearer::usual) {
            None => Ok(self.authorization()?.map(|credentials| credentials.bearer())),
            bearer => Ok(bearer),
        }
    }

    /// `username` of the credentials where it is their first parameter, as nearly everybody writes it: the rest is not
    /// read. With a backslash in it, it is not told here.
    pub(crate) fn first_username(&self) -> Option<&'a str> {
        let text = self.header(HeaderName::Authorization)?.strip_prefix("Digest username=\"")?;
        let end = memchr::memchr2(b'"', b'\\', text.as_bytes())?;
        (text.as_bytes()[end] == b'"').then(|| &text[..end])
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

    /// The same, those elements that are well-formed.
    pub fn sound_security(&self, name: HeaderName) -> Mechanisms<'a> {
        Mechanisms::sound(name, self.values(name), |_, _| {})
    }

    /// P-Charging-Vector, `None` if absent.
    pub fn charging_vector(&self) -> Result<Option<ChargingVector<'a>>, HeaderError> {
        self.header(HeaderName::PChargingVector).map(ChargingVector::parse).transpose()
    }

    /// The elements of P-Access-Network-Info over all lines.
    pub fn access_networks(&self) -> impl Iterator<Item = Result<AccessNetwork<'a>, HeaderError>> + '_ {
        self.elements(HeaderName::PAccessNetworkInfo).map(AccessNetwork::parse)
    }

    /// Nothing yet: the table is filled where it is, it is too large to be moved.
    #[inline]
    fn empty() -> Self {
        let start = StartLine::Response { status: 0, reason: "" };
        Self { bytes: &[], text: "", start, table: Table::new(), top: None }
    }

    #[inline]
    fn take(&mut self, split: Split<'a>) {
        Split { bytes: self.bytes, text: self.text, start: self.start } = split;
        self.top = match (self.start, self.table.first(HeaderName::Via)) {
            (StartLine::Response { .. }, _) => None,
            (_, Some(slot)) => Some(Via::parse(slot.value(self.text))),
            (_, None) => Some(Err(missing(HeaderName::Via))),
        };
    }

    fn mandatory(&self, name: HeaderName) -> Result<&'a str, HeaderError> {
        self.header(name).ok_or_else(|| missing(name))
    }

    #[inline]
    fn line(&self, slot: &Slot) -> Line<'a> {
        Line {
            name: slot.name,
            name_text: self.text.get(usize::from(slot.start)..usize::from(slot.name_end)).unwrap_or_default(),
            value: self.value(slot),
            raw: self.bytes.get(usize::from(slot.start)..usize::from(slot.end)).unwrap_or_default(),
            is_plain: slot.is_plain,
        }
    }

    #[inline]
    fn value(&self, slot: &Slot) -> &'a str {
        slot.value(self.text)
    }
}

const fn missing(name: HeaderName) -> HeaderError {
    HeaderError::bad(name, "missing")
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

/// How long it is only: a value may be an identity or a key.
impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Run({} octets)", self.raw.len())
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

/// True for `<sip:user@host>;tag=token` of plain characters, which most have in From: a part of what is well-formed. Who
/// registers himself has in it what `to` is, which is known to be well-formed.
fn is_usual_from(value: &str, to: &str) -> bool {
    let (params, is_address) = match value.strip_prefix(to).filter(|_| to.ends_with('>')) {
        Some(params) => (params, true),
        None => {
            let Some(end) = memchr::memchr(b'>', value.as_bytes()) else { return false };
            let (address, params) = value.split_at(end + 1);
            (params, super::uri::canonical_address(address).is_some())
        }
    };
    let tag = params.strip_prefix(";tag=").unwrap_or_default();
    is_address && !tag.is_empty() && grammar::token_end(tag.as_bytes(), 0) == tag.len()
}

/// Headers have no place here (RFC 3261 table 1). A scheme that nobody here can route is 416 (RFC 3261 clause 8.2.2.1); `urn` is for emergency services (RFC 5031).
fn check_request_uri(uri: &str) -> Result<(), HeaderError> {
    let uri = Uri::parse(uri)?;
    if uri.headers.is_some() {
        return Err(HeaderError::bad(HeaderName::Other, "headers in the Request-URI"));
    }
    if ["sip", "sips", "tel", "urn"].iter().any(|known| grammar::same(uri.scheme.as_bytes(), known.as_bytes())) {
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
const SINGLE_NAMES: NameSet = NameSet::of(&SINGLE);

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: x\r\n";

    fn register(lines: &str) -> String {
        format!("REGISTER sip:b SIP/2.0\r\n{HEAD}{lines}\r\n")
    }

    fn check(text: &str) -> Result<(), (HeaderName, u16)> {
        Message::parse(text.as_bytes()).expect("it frames").check().map_err(|error| (error.header, error.status))
    }

    #[test]
    fn headers_in_any_case_form_and_number() {
        let text = "REGISTER sip:b SIP/2.0\nSUPPORTED: path\nk : sec-agree,\n\tgruu\nX-Y: 1\nx-y: 2\n\nbody";
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.elements(HeaderName::Supported).collect::<Vec<_>>(), ["path", "sec-agree", "gruu"]);
        assert!(
            message.has_option(HeaderName::Supported, "Sec-Agree") && !message.has_option(HeaderName::Supported, "x")
        );
        assert_eq!((message.header_named("X-y"), message.header_named("Z")), (Some("1"), None));
        assert_eq!(message.body(), b"body");
        let line = message.lines().nth(1).unwrap();
        assert_eq!((line.name, line.name_text, line.value), (HeaderName::Supported, "k", "sec-agree,\n\tgruu"));
        assert_eq!(line.raw, b"k : sec-agree,\n\tgruu\n");
    }

    #[test]
    fn more_lines_than_fit_on_the_stack() {
        let many: String = (0..200).map(|n| format!("X-{n}: {n}\r\nRoute: <sip:r{n}>\r\n")).collect();
        let text = format!("REGISTER sip:b SIP/2.0\r\n{many}To: <sip:last>\r\n\r\n");
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(message.lines().count(), 401);
        assert_eq!(message.values(HeaderName::Route).count(), 200);
        assert_eq!(message.values(HeaderName::Route).last(), Some("<sip:r199>"));
        assert_eq!(message.header_named("X-150"), Some("150"));
        assert_eq!(message.to().unwrap().uri.host, "last");
    }

    #[test]
    fn what_every_receiver_rejects() {
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nMax-Forwards: 70\r\nm: *\r\nExpires: 0\r\n")), Ok(()));
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nCSeq: 1 REGISTER\r\n")), Ok(()));
        assert_eq!(check(&register("")), Err((HeaderName::CSeq, 400)));
        assert_eq!(check(&register("CSeq: 1 INVITE\r\n")), Err((HeaderName::CSeq, 400)));
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nCSeq: 2 REGISTER\r\n")), Err((HeaderName::CSeq, 400)));
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nMax-Forwards: 256\r\n")), Err((HeaderName::MaxForwards, 400)));
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nVia: x\r\n")), Err((HeaderName::Via, 400)));
        assert_eq!(check(&register("CSeq: 1 REGISTER\r\nm: *\r\n")), Err((HeaderName::Contact, 400)));
        assert_eq!(
            check(&register("CSeq: 1 REGISTER\r\nm: *, <sip:a@b>\r\nExpires: 0\r\n")),
            Err((HeaderName::Contact, 400))
        );
        let other = register("CSeq: 1 REGISTER\r\n").replace("sip:b SIP", "http:b SIP");
        assert_eq!(check(&other), Err((HeaderName::Other, 416)));
        let unknown = register("CSeq: 1 A\r\n").replace("REGISTER", "B");
        assert_eq!(check(&unknown), Err((HeaderName::CSeq, 501)));
    }

    #[test]
    fn what_is_usual_in_from_is_well_formed() {
        for (value, is_usual) in [
            ("<sip:001010000000001@ims.example>;tag=a.b-c", true),
            ("<tel:+1>;tag=1", true),
            ("<sip:a@b>;tag=", false),
            ("<sip:a@b>;tag=1;tag=2", false),
            ("<sip:a@b>tag=1", false),
            ("<sip:a@b;tag=1", false),
            ("\"A\" <sip:a@b>;tag=1", false),
            ("sip:a@b;tag=1", false),
        ] {
            assert_eq!(is_usual_from(value, "<sip:c@d>"), is_usual, "{value}");
            // The same beside the same address in To.
            let to = value.split(";tag").next().unwrap_or_default();
            if NameAddr::parse(HeaderName::To, to).is_ok() {
                assert!(!is_usual || is_usual_from(value, to), "{value}");
                assert!(!is_usual_from(value, to) || NameAddr::parse(HeaderName::From, value).is_ok(), "{value}");
            }
        }
    }

    #[test]
    fn a_refused_request_can_be_answered() {
        let good = register("CSeq: 1 REGISTER\r\n");
        for (text, status) in [
            (good.replace("SIP/2.0\r\nVia", "SIP/7.0\r\nVia"), 505),
            (good.replace("sip:b", "sip:b; lr"), 400),
            (good.replace("Call-ID", "l: -1\r\nCall-ID"), 400),
            (good.replace("\r\n\r\n", "\r\nbroken\r\n\r\n"), 400),
            (format!("{}{}\r\n", good.trim_end(), "\r\nX: y".repeat(1000)), 513),
        ] {
            assert_eq!(Message::parse(text.as_bytes()).unwrap_err().status(), status, "{text:.60}");
            let salvaged = Message::salvage(text.as_bytes()).expect("enough to answer");
            assert_eq!((salvaged.cseq().unwrap().number, salvaged.body().len()), (1, 0));
            assert_eq!(salvaged.method(), Some(Method::Register));
        }
        let mut encoding = good.replace("\r\n\r\n", "\r\nX: ").into_bytes();
        encoding.extend_from_slice(b"\xff\r\n\r\n");
        assert_eq!(Message::parse(&encoding).unwrap_err(), ParseError::Encoding);
        assert!(Message::salvage(&encoding).is_some());
    }

    #[test]
    fn the_beginning_of_what_was_cut() {
        let text = b"SIP/2.0 401 Unauthorized\r\nCall-ID: a@b\r\nl: 10\r\nWWW-Auth";
        let message = Message::beginning(text).expect("a start line");
        assert_eq!((message.status(), message.call_id(), message.lines().count()), (Some(401), Ok("a@b"), 2));
        assert!(Message::beginning(b"SIP/2.0 4").is_none());
    }

    #[test]
    fn what_cannot_be_answered() {
        assert!(Message::salvage(b"SIP/2.0 99 X\r\n\r\n").is_none());
        assert!(Message::salvage(b"REGISTER sip:b SIP/2.0\r\nVia: SIP/2.0/UDP h\r\nbroken\r\n").is_none());
        let ack = register("CSeq: 1 ACK\r\nl: 9\r\n").replace("REGISTER", "ACK");
        assert!(Message::salvage(ack.as_bytes()).is_none());
    }

    #[test]
    fn debug_shows_no_values() {
        let text = "SIP/2.0 401 Unauthorized\r\nWWW-Authenticate: Digest ck=\"0011\"\r\n\r\n";
        let message = Message::parse(text.as_bytes()).unwrap();
        let shown = format!("{message:?} {:?}", message.lines().next().unwrap());
        assert_eq!(
            shown,
            format!("Message(401 Unauthorized, 1 headers, {} octets) Line(WWW-Authenticate)", text.len())
        );
    }
}
