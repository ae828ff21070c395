//! Forms: a recorded message as lines of [`crate::sip::form::Form`]. What an element makes anew has a placeholder; what it
//! does not know is repeated as it is.

use crate::sip::form::{escaped, split};
use crate::sip::header::grammar;
use crate::sip::{HeaderName, Line, Message, StartLine};

/// A form as text.
#[derive(Default, Debug)]
pub(super) struct FormText {
    pub(super) reason: Option<String>,
    pub(super) headers: Vec<String>,
    pub(super) left_out: Vec<&'static str>,
    /// What could not be put into it.
    pub(super) notes: Vec<String>,
}

/// Which request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    /// Before any challenge.
    Register,
    /// With an answer to one.
    Answer,
    /// To the registration event package.
    Subscribe,
}

/// The form of a request of a UE, whose own identity is `identity`.
pub(super) fn of_request(sip: &Message<'_>, request: Request, identity: &str) -> FormText {
    let mut form = FormText::default();
    for line in sip.lines() {
        form.take(&line, request_value(&line, sip, request, identity));
    }
    let own: &[HeaderName] = match request {
        Request::Subscribe => &OF_SUBSCRIBE,
        Request::Register | Request::Answer => &OF_REGISTER,
    };
    form.leave_out(own, sip);
    if !sip.body().is_empty() {
        form.notes.push("its body is not repeated".to_owned());
    }
    form
}

/// The form of an answer to a REGISTER; what it repeats of its request it may spell as that does.
pub(super) fn of_answer(sip: &Message<'_>, request: Option<&Message<'_>>) -> FormText {
    let mut form = FormText::default();
    let status = sip.status().unwrap_or_default();
    if let StartLine::Response { reason, .. } = sip.start()
        && reason != crate::sip::emit::reason_phrase(status)
    {
        form.reason = Some(reason.to_owned());
    }
    for line in sip.lines() {
        let value = answer_value(&line, sip, status);
        let is_kept = matches!(value, Value::Kept);
        let asked = request.filter(|_| is_kept && REPEATED.contains(&line.name));
        let asked = asked.and_then(|request| request.lines_of(line.name).next()).map(|line| line.name_text);
        let usual = line.name.as_str();
        match asked {
            Some(asked) if asked == line.name_text => form.headers.push(usual.to_owned()),
            Some(_) if line.name_text == usual => form.headers.push(format!("{usual}: {{}}")),
            _ => form.take(&line, value),
        }
    }
    if (200..300).contains(&status) {
        form.leave_out(&OF_A_200, sip);
    }
    form
}

/// What a line of the form has behind its name.
enum Value {
    /// What the element has.
    Kept,
    /// This.
    Text(String),
    /// The line is not repeated.
    Skipped(&'static str),
    /// The value is in an entry that stands already.
    Covered,
}

impl FormText {
    fn take(&mut self, line: &Line<'_>, value: Value) {
        let colon = colon(line);
        let value = match value {
            Value::Kept if colon == ": " => return self.headers.push(line.name_text.to_owned()),
            Value::Kept => "{}".to_owned(),
            Value::Text(text) => text,
            Value::Skipped(why) => return self.notes.push(format!("{} is not repeated: {why}", line.name_text)),
            Value::Covered => return,
        };
        let text = [line.name_text, &colon, &value].concat();
        if let Err(fault) = crate::sip::form::Form::new(None, &[&text], &[] as &[&str]) {
            return self.notes.push(format!("{} is not repeated: {fault}", line.name_text));
        }
        // A template over all lines of its name stands once.
        if !self.headers.contains(&text) {
            self.headers.push(text);
        }
    }

    fn leave_out(&mut self, own: &[HeaderName], sip: &Message<'_>) {
        self.left_out.extend(own.iter().filter(|name| sip.header(**name).is_none()).map(|name| name.as_str()));
    }
}

fn request_value(line: &Line<'_>, sip: &Message<'_>, request: Request, identity: &str) -> Value {
    let is = |usual: &str| line.value == usual;
    let kept_if = |usual: bool| if usual { Value::Kept } else { Value::Text(constant(line.value, identity)) };
    let protected = sip.header(HeaderName::SecurityVerify).is_some();
    let offers = sip.header(HeaderName::SecurityClient).is_some();
    match line.name {
        HeaderName::Via if sip.header(HeaderName::Via) != Some(line.value) => Value::Skipped("it is of another hop"),
        HeaderName::Via => Value::Text(via(line.value)),
        HeaderName::From | HeaderName::To => Value::Text(address(line, &["tag"])),
        HeaderName::CallId | HeaderName::CSeq | HeaderName::ContentLength | HeaderName::UserAgent => Value::Kept,
        HeaderName::MaxForwards => kept_if(is("70")),
        HeaderName::Contact if line.value == "*" => Value::Skipped("it is *"),
        HeaderName::Contact => contact_of_ue(line, sip, request),
        HeaderName::Expires => kept_if(request != Request::Subscribe || is("600000")),
        HeaderName::SecurityClient => Value::Text(security(line, sip)),
        HeaderName::SecurityVerify => Value::Text(joined("{}", sip, line, ",")),
        HeaderName::Authorization | HeaderName::ProxyAuthorization => Value::Text(credentials(line, request)),
        HeaderName::Supported => kept_if(is("path")),
        // Where nothing is offered, ours does not require it.
        HeaderName::Require | HeaderName::ProxyRequire => kept_if(is("sec-agree") && (offers || protected)),
        HeaderName::PAccessNetworkInfo => kept_if(protected),
        HeaderName::Route if request == Request::Subscribe => Value::Kept,
        HeaderName::Route => Value::Skipped("it names the recorded P-CSCF"),
        HeaderName::Event => kept_if(is("reg")),
        HeaderName::Accept => kept_if(is("application/reginfo+xml")),
        HeaderName::PPreferredIdentity => kept_if(request == Request::Subscribe),
        HeaderName::Date => Value::Skipped("it is the time of then"),
        HeaderName::ContentType => Value::Skipped("there is no body"),
        _ => kept_if(false),
    }
}

fn answer_value(line: &Line<'_>, sip: &Message<'_>, status: u16) -> Value {
    let text = |text: String| Value::Text(text);
    let is_success = (200..300).contains(&status);
    match line.name {
        HeaderName::Via
        | HeaderName::From
        | HeaderName::To
        | HeaderName::CallId
        | HeaderName::CSeq
        | HeaderName::ContentLength
        | HeaderName::RetryAfter
        | HeaderName::MinExpires
        | HeaderName::Unsupported
        | HeaderName::FlowTimer
        | HeaderName::AuthenticationInfo
        | HeaderName::Date => Value::Kept,
        HeaderName::WwwAuthenticate | HeaderName::ProxyAuthenticate => text(challenge(line)),
        HeaderName::SecurityServer if matches!(status, 401 | 421 | 494) => text(security(line, sip)),
        HeaderName::SecurityServer => Value::Skipped("its numbers are of another set"),
        HeaderName::Path | HeaderName::ServiceRoute if is_success => Value::Kept,
        HeaderName::PAssociatedUri if is_success => match associated_joiner(sip, line) {
            // One line for each is how ours are written where no joiner is told.
            None => text("<{uri}>".to_owned()),
            Some(joiner) => text(format!("<{{uri}}>{joiner}")),
        },
        HeaderName::Contact if is_success => {
            let value = joined(&binding(line), sip, line, "");
            if sip.header(HeaderName::Contact) == Some(line.value) { text(value) } else { Value::Covered }
        }
        HeaderName::Expires if is_success => text("{Contact:expires}".to_owned()),
        HeaderName::PChargingVector | HeaderName::PChargingFunctionAddresses => Value::Skipped("it ends at the P-CSCF"),
        HeaderName::Require if line.value.contains("outbound") || matches!(status, 421 | 494) => Value::Kept,
        HeaderName::ContentType => Value::Skipped("there is no body"),
        _ => text(escaped(line.value)),
    }
}

/// White space and colon as they are written.
fn colon(line: &Line<'_>) -> String {
    let behind = line.raw.get(line.name_text.len()..).unwrap_or_default();
    let end = behind.iter().position(|b| !matches!(b, b' ' | b'\t' | b':')).unwrap_or(0);
    match std::str::from_utf8(&behind[..end]) {
        Ok(colon) if colon.contains(':') && colon.matches(':').count() == 1 && !line.value.is_empty() => colon.into(),
        _ => ": ".to_owned(),
    }
}

/// A value that is repeated, with the identity of whoever sends it.
fn constant(value: &str, identity: &str) -> String {
    let folded: Vec<&str> = value.split_ascii_whitespace().collect();
    // White space stays as it is but for folds.
    let value = if value.contains(['\r', '\n']) { folded.join(" ") } else { value.to_owned() };
    if identity.is_empty() {
        return escaped(&value);
    }
    value.split(identity).map(escaped).collect::<Vec<_>>().join("{To:uri}")
}

fn via(value: &str) -> String {
    let (head, params) = split(HeaderName::Via, value);
    let head = match head.split_once(char::is_whitespace) {
        Some((protocol, _)) if protocol.to_ascii_uppercase().starts_with("SIP/2.0/") => "SIP/2.0/{transport} {sent-by}",
        _ => "{}",
    };
    let own = ["branch", "transport"];
    let named =
        |text: &str, name: &str| text.split('=').next().is_some_and(|own| own.trim().eq_ignore_ascii_case(name));
    // The receiver has written these into what the UE sent (RFC 3581).
    let sent: Vec<(&str, &str)> = params
        .into_iter()
        .filter(|(_, text)| !named(text, "received"))
        .map(|(separator, text)| (separator, if named(text, "rport") { "rport" } else { text }))
        .collect();
    head.to_owned() + &parameters(&sent, |name| own.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// An address whose URI, and parameters of these names, the element has.
fn address(line: &Line<'_>, own: &[&str]) -> String {
    let (head, params) = split(line.name, line.value);
    uri_in(head) + &parameters(&params, |name| own.iter().any(|own| own.eq_ignore_ascii_case(name)))
}

/// What is before the parameters of an address, its URI replaced.
fn uri_in(head: &str) -> String {
    match (head.find('<'), head.rfind('>')) {
        (Some(open), Some(close)) if open < close => {
            format!("{}<{{uri}}>{}", escaped(&head[..open]), escaped(&head[close + 1..]))
        }
        _ => "{uri}".to_owned(),
    }
}

fn contact_of_ue(line: &Line<'_>, sip: &Message<'_>, request: Request) -> Value {
    if sip.header(HeaderName::Contact) != Some(line.value) {
        return Value::Skipped("a UE of ours binds one Contact");
    }
    let (head, params) = split(HeaderName::Contact, line.value);
    let named = |text: &str| text.split('=').next().unwrap_or(text).trim().to_ascii_lowercase();
    let mut out = uri_in(head);
    let names: Vec<String> = params.iter().map(|(_, text)| named(text)).collect();
    // As ours: the instance, the flow, the features.
    let rank = |name: &String| match name.as_str() {
        "+sip.instance" => 0,
        "reg-id" => 1,
        _ => 2,
    };
    let in_order = !names.is_empty() && names.iter().map(rank).is_sorted();
    let is_usual = params.iter().all(|(separator, _)| *separator == ";") && !names.iter().any(|name| name == "expires");
    if in_order && is_usual && request != Request::Subscribe {
        return Value::Text(out + ";{*}");
    }
    for (separator, text) in params {
        let name = named(text);
        out.push_str(separator);
        match name.as_str() {
            "expires" => out.push_str(&with_value(text, "{Expires:}")),
            "+sip.instance" | "reg-id" if request != Request::Subscribe => out.push_str(&own(text)),
            _ => out.push_str(&escaped(text)),
        }
    }
    Value::Text(out)
}

fn credentials(line: &Line<'_>, request: Request) -> String {
    let (scheme, params) = split(line.name, line.value);
    if !scheme.trim().eq_ignore_ascii_case("Digest") {
        return escaped(line.value);
    }
    let known: &[&str] = match request {
        Request::Register => &["username", "realm", "uri", "nonce", "response"],
        _ => &OF_DIGEST,
    };
    let mut out = escaped(scheme);
    out.push_str(&parameters(&params, |name| known.iter().any(|known| known.eq_ignore_ascii_case(name))));
    if request != Request::Register {
        out.push_str(params.last().map_or(", ", |(separator, _)| if separator.is_empty() { ", " } else { separator }));
        out.push_str("{*}");
    }
    out
}

fn challenge(line: &Line<'_>) -> String {
    let (scheme, params) = split(line.name, line.value);
    let is_key = |text: &str| {
        let name = text.split('=').next().unwrap_or_default().trim();
        ["ck", "ik", "integrity-protected"].iter().any(|key| key.eq_ignore_ascii_case(name))
    };
    let mut out = escaped(scheme);
    let mut is_first = true;
    for (separator, text) in params.iter().filter(|(_, text)| !is_key(text)) {
        out.push_str(if is_first {
            ""
        } else if separator.is_empty() {
            ", "
        } else {
            separator
        });
        is_first = false;
        let name = text.split('=').next().unwrap_or(text).trim().to_ascii_lowercase();
        match name.as_str() {
            "realm" | "nonce" | "algorithm" | "qop" => out.push_str(&own(text)),
            // Of passwords `scscf.digest.opaque` says it, too; of AKA it is a habit of the network alone.
            "stale" | "opaque" => {
                let value = text.split_once('=').map_or("", |(_, value)| value).trim().trim_matches('"');
                let is_plain = value.bytes().all(|b| b.is_ascii_alphanumeric());
                let placeholder = if is_plain { format!("{{{name}|{value}}}") } else { format!("{{{name}}}") };
                out.push_str(&with_value(text, &placeholder));
            }
            _ => out.push_str(&escaped(text)),
        }
    }
    let kept = params.iter().filter(|(_, text)| !is_key(text));
    let separator = kept.skip(1).last().map_or(", ", |(separator, _)| separator);
    out + separator + "{*}"
}

/// Security-Client and Security-Server, element by element.
fn security(line: &Line<'_>, sip: &Message<'_>) -> String {
    let first = sip.header(line.name).unwrap_or(line.value);
    let element = first[..grammar::element_end(first)].trim();
    let (head, params) = split(line.name, element);
    let mut out = escaped(head);
    out.push_str(&parameters(&params, |name| OF_SECURITY.iter().any(|own| own.eq_ignore_ascii_case(name))));
    let has = |name: &str| params.iter().any(|(_, text)| text.to_ascii_lowercase().starts_with(name));
    let separator = params.first().map_or(";", |(separator, _)| separator);
    // Left out is null (TS 33.203 annex H).
    if head.eq_ignore_ascii_case("ipsec-3gpp") && !has("ealg") {
        out.push_str(&format!("{separator}ealg={{ealg?null}}"));
    }
    joined(&out, sip, line, ",")
}

/// A template for elements, and how they are joined: as in the first line that has two, else by `usual`; a line for each
/// where that is so.
fn joined(template: &str, sip: &Message<'_>, line: &Line<'_>, usual: &str) -> String {
    for value in sip.values(line.name) {
        let end = grammar::element_end(value);
        if let Some(after) = value.get(end + 1..) {
            let before = &value[value[..end].trim_end().len()..=end];
            let space = &after[..after.len() - after.trim_start().len()];
            let space = if space.contains(['\r', '\n']) { " " } else { space };
            return [template, before, space].concat();
        }
    }
    match sip.values(line.name).nth(1) {
        Some(_) => template.to_owned(),
        None => [template, usual].concat(),
    }
}

/// What stands between two addresses of P-Associated-URI: a network may forget the comma.
fn associated_joiner(sip: &Message<'_>, line: &Line<'_>) -> Option<String> {
    if let Some((_, after)) = line.value.split_once('>')
        && let Some((between, _)) = after.split_once('<')
        && between.bytes().all(|b| b == b',' || b.is_ascii_whitespace())
        && !between.is_empty()
    {
        let folded = if between.contains(['\r', '\n']) { ", " } else { between };
        return Some(folded.to_owned());
    }
    sip.only(HeaderName::PAssociatedUri).map(|_| ", ".to_owned())
}

/// A Contact of a 200: the binding, and which of its parameters are told in which order.
fn binding(line: &Line<'_>) -> String {
    let value = &line.value[..grammar::element_end(line.value)];
    let (head, params) = split(HeaderName::Contact, value);
    let named = |text: &str| text.split('=').next().unwrap_or(text).trim().to_ascii_lowercase();
    let expires = params.iter().position(|(_, text)| named(text) == "expires");
    let others = params.len() - usize::from(expires.is_some());
    let mut out = uri_in(head);
    let semicolon = params.first().map_or(";", |(separator, _)| separator);
    let rest = if expires.is_some() { "{*}" } else { "{*-expires}" };
    let expires_text = expires.map(|at| own(params[at].1));
    let mut parts: Vec<String> = Vec::new();
    match (expires, expires_text, others) {
        (Some(_), Some(text), 0) => parts.push(text),
        (Some(0), Some(text), _) => parts.extend([text, rest.to_owned()]),
        (Some(_), Some(text), _) => parts.extend([rest.to_owned(), text]),
        (_, _, 0) => {}
        _ => parts.push(rest.to_owned()),
    }
    for part in parts {
        out.push_str(semicolon);
        out.push_str(&part);
    }
    out
}

/// Parameters, those that `is_own` as placeholders.
fn parameters(params: &[(&str, &str)], is_own: impl Fn(&str) -> bool) -> String {
    let mut out = String::new();
    for (separator, text) in params {
        out.push_str(separator);
        let name = text.split('=').next().unwrap_or(text).trim();
        if is_own(name) && text.contains('=') { out.push_str(&own(text)) } else { out.push_str(&escaped(text)) }
    }
    out
}

/// `name=value` with a placeholder of that name, between quotes where the value has them.
fn own(text: &str) -> String {
    let name = text.split('=').next().unwrap_or(text).trim();
    with_value(text, &format!("{{{}}}", name.to_ascii_lowercase()))
}

/// `name=value` with `placeholder` in place of the value, between quotes where that has them.
fn with_value(text: &str, placeholder: &str) -> String {
    let Some((name, value)) = text.split_once('=') else { return escaped(text) };
    let space = &value[..value.len() - value.trim_start().len()];
    let quote = if value.trim().starts_with('"') { "\"" } else { "" };
    format!("{}={space}{quote}{placeholder}{quote}", escaped(name))
}

const OF_DIGEST: [&str; 11] =
    ["username", "realm", "nonce", "uri", "response", "algorithm", "qop", "nc", "cnonce", "opaque", "auts"];
const OF_SECURITY: [&str; 9] = ["q", "alg", "ealg", "prot", "mod", "spi-c", "spi-s", "port-c", "port-s"];

/// What a UE of ours has in a REGISTER, and need not have.
const OF_REGISTER: [HeaderName; 8] = [
    HeaderName::MaxForwards,
    HeaderName::Expires,
    HeaderName::Supported,
    HeaderName::Require,
    HeaderName::ProxyRequire,
    HeaderName::Authorization,
    HeaderName::PAccessNetworkInfo,
    HeaderName::UserAgent,
];
const OF_SUBSCRIBE: [HeaderName; 9] = [
    HeaderName::MaxForwards,
    HeaderName::Expires,
    HeaderName::Accept,
    HeaderName::Require,
    HeaderName::ProxyRequire,
    HeaderName::SecurityVerify,
    HeaderName::PAccessNetworkInfo,
    HeaderName::PPreferredIdentity,
    HeaderName::UserAgent,
];
/// What an answer repeats (RFC 3261 clause 8.2.6.2).
const REPEATED: [HeaderName; 5] =
    [HeaderName::Via, HeaderName::From, HeaderName::To, HeaderName::CallId, HeaderName::CSeq];
/// What a network of ours says in a 200, and need not say.
const OF_A_200: [HeaderName; 4] =
    [HeaderName::Path, HeaderName::ServiceRoute, HeaderName::PAssociatedUri, HeaderName::AuthenticationInfo];
