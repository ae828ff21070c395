//! The form that somebody else gives a message: names, order and parameters of its header lines.
//!
//! An element writes its messages in its own form. A [`Form`] takes such a message and says the same as another make of
//! phone or network says it. Nothing but the text changes: branch, tags, nonces, SPIs stay those of the element.
//!
//! ```
//! use imsreg::sip::form::Form;
//!
//! let lines = ["v", "f: <{uri}>;tag={tag}", "Allow: INVITE,ACK", "Authorization: Digest uri=\"{uri}\",nonce=\"{nonce}\",{*}"];
//! let form = Form::new(None, &lines, &["User-Agent"]).unwrap();
//! let mut out = b"REGISTER sip:h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z\r\nFrom: <sip:u@h>;tag=7\r\nTo: <sip:u@h>\r\n\
//!     Authorization: Digest nonce=\"n\", uri=\"sip:h\", qop=auth\r\nUser-Agent: x\r\nContent-Length: 0\r\n\r\n".to_vec();
//! form.dress(&mut out, 0);
//! let expected = "REGISTER sip:h SIP/2.0\r\nv: SIP/2.0/UDP a;branch=z\r\nf: <sip:u@h>;tag=7\r\nAllow: INVITE,ACK\r\n\
//!     Authorization: Digest uri=\"sip:h\",nonce=\"n\",qop=auth\r\nTo: <sip:u@h>\r\nContent-Length: 0\r\n\r\n";
//! assert_eq!(String::from_utf8(out).unwrap(), expected);
//! ```

mod template;

pub use template::{escaped, split};

use super::{HeaderName, Line, Message};
use std::fmt;
use template::Template;

/// The form of one kind of message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// Of a response, in place of the usual phrase.
    reason: Option<Box<str>>,
    entries: Box<[Entry]>,
    left_out: Box<[Name]>,
}

/// A line of the form.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Entry {
    name: Name,
    /// Between name and value.
    colon: Box<str>,
    value: Value,
    /// A later entry of this name has a line of its own.
    comes_again: bool,
}

/// A header name as it is to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Name {
    known: HeaderName,
    text: Box<str>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    /// As the element has it; its name as well, where this is the usual one.
    Kept,
    /// Always this, whatever the element has.
    Free(Template),
    /// What the element has, put otherwise.
    Template(Template),
}

/// Why a text is no form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FormFault {
    /// The name is no token.
    #[error("the name of a header expected")]
    Name,
    /// A brace without its other half, or nothing sensible between them.
    #[error("a placeholder such as {{branch}}, {{uri}} or {{*}} expected between braces, {{{{ for a brace")]
    Placeholder,
    /// No answer finds its way without it.
    #[error("{0} cannot be left out")]
    Needed(Box<str>),
    /// Its value is not for the form to say.
    #[error("{0} cannot have a value of its own")]
    NotConstant(Box<str>),
}

impl Form {
    /// Reads a form. Of `lines` each is a header name, or a name with a colon and a value with placeholders. Lines that the
    /// element has and no entry names come before Content-Length, in their order, but for those in `left_out`.
    pub fn new(
        reason: Option<&str>,
        lines: &[impl AsRef<str>],
        left_out: &[impl AsRef<str>],
    ) -> Result<Self, FormFault> {
        let mut entries = lines.iter().map(|line| Entry::read(line.as_ref())).collect::<Result<Vec<_>, _>>()?;
        for at in 0..entries.len() {
            let (entry, later) = entries[at..].split_first_mut().expect("it is one of them");
            let again = |other: &Entry| !matches!(other.value, Value::Free(_)) && other.name.same(&entry.name);
            entry.comes_again = later.iter().any(again);
        }
        let left_out = left_out.iter().map(|name| Name::read(name.as_ref())).collect::<Result<Box<[_]>, _>>()?;
        if let Some(needed) = left_out.iter().find(|name| NEEDED.contains(&name.known)) {
            return Err(FormFault::Needed(needed.text.clone()));
        }
        Ok(Self { reason: reason.map(Into::into), entries: entries.into(), left_out })
    }

    /// Gives the message that begins at `start` this form.
    pub fn dress(&self, out: &mut Vec<u8>, start: usize) {
        let written = out.split_off(start);
        match Message::parse(&written) {
            Ok(message) => self.write(&message, out),
            // What an element writes can be read; were it otherwise, it is better left alone.
            Err(_) => out.extend_from_slice(&written),
        }
    }

    fn write(&self, message: &Message<'_>, out: &mut Vec<u8>) {
        let bytes = message.bytes();
        match (&self.reason, message.status()) {
            (Some(reason), Some(status)) => out.extend_from_slice(format!("SIP/2.0 {status} {reason}\r\n").as_bytes()),
            _ => {
                let end = memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1);
                out.extend_from_slice(&bytes[..end]);
            }
        }
        let mut lines: Vec<(Line<'_>, bool)> = message.lines().map(|line| (line, false)).collect();
        let mut others_written = false;
        for entry in &self.entries {
            if entry.name.known == HeaderName::ContentLength {
                self.write_others(&lines, out);
                others_written = true;
            }
            entry.write(message, &mut lines, out);
        }
        if !others_written {
            self.write_others(&lines, out);
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(message.body());
    }

    /// The lines that no entry names.
    fn write_others(&self, lines: &[(Line<'_>, bool)], out: &mut Vec<u8>) {
        for (line, _) in lines {
            let names = |name: &Name| name.is(line);
            if !self.entries.iter().any(|entry| names(&entry.name)) && !self.left_out.iter().any(names) {
                out.extend_from_slice(line.raw);
            }
        }
    }
}

impl Entry {
    fn read(text: &str) -> Result<Self, FormFault> {
        let Some((name, value)) = text.split_once(':') else {
            return Ok(Self { name: Name::read(text)?, colon: ": ".into(), value: Value::Kept, comes_again: false });
        };
        let bare = name.trim_ascii_end();
        let shown = value.trim_ascii_start();
        let colon = [&name[bare.len()..], ":", &value[..value.len() - shown.len()]].concat();
        let name = Name::read(bare)?;
        let template = Template::read(name.known, shown)?;
        let value = match template.is_free() {
            true if NEEDED.contains(&name.known) => return Err(FormFault::NotConstant(name.text)),
            true => Value::Free(template),
            false => Value::Template(template),
        };
        Ok(Self { name, colon: colon.into(), value, comes_again: false })
    }

    fn write(&self, message: &Message<'_>, lines: &mut [(Line<'_>, bool)], out: &mut Vec<u8>) {
        if let Value::Free(template) = &self.value {
            return self.line(out, &template.free_text(message));
        }
        let mut taken = Vec::new();
        let copies = matches!(self.value, Value::Kept) && &*self.name.text == self.name.known.as_str();
        for (line, is_taken) in lines.iter_mut().filter(|(line, is_taken)| !is_taken && self.name.is(line)) {
            *is_taken = true;
            if copies {
                out.extend_from_slice(line.raw);
            } else {
                taken.push(line.value);
            }
            if self.comes_again {
                break;
            }
        }
        match &self.value {
            Value::Template(template) => template.write(message, &taken, |value| self.line(out, value)),
            _ => taken.iter().for_each(|value| self.line(out, value)),
        }
    }

    fn line(&self, out: &mut Vec<u8>, value: &str) {
        for part in [&*self.name.text, &*self.colon, value, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

impl Name {
    fn read(text: &str) -> Result<Self, FormFault> {
        if !template::is_token(text) {
            return Err(FormFault::Name);
        }
        Ok(Self { known: HeaderName::from_text(text), text: text.into() })
    }

    fn same(&self, other: &Self) -> bool {
        self.known == other.known && (self.known != HeaderName::Other || self.text.eq_ignore_ascii_case(&other.text))
    }

    fn is(&self, line: &Line<'_>) -> bool {
        self.known == line.name && (line.name != HeaderName::Other || line.name_text.eq_ignore_ascii_case(&self.text))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the transaction and the other side go by.
const NEEDED: [HeaderName; 6] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::ContentLength,
];

#[cfg(test)]
mod tests {
    use super::{Form, FormFault};

    const REGISTER: &str = "REGISTER sip:h SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.0.0.7:5060;branch=z9;rport\r\n\
        Max-Forwards: 70\r\n\
        From: <sip:u@h>;tag=7\r\n\
        To: <sip:u@h>\r\n\
        Call-ID: c\r\n\
        CSeq: 1 REGISTER\r\n\
        Contact: <sip:u@10.0.0.7:5060>;+sip.instance=\"<urn:x>\";audio\r\n\
        Security-Client: ipsec-3gpp;alg=a;ealg=null;port-s=9, ipsec-3gpp;alg=b;ealg=c;port-s=9\r\n\
        Authorization: Digest username=\"u, v\", nonce=\"n\", qop=auth, nc=00000001\r\n\
        Content-Length: 0\r\n\r\n";

    fn dressed(reason: Option<&str>, message: &str, lines: &[&str], left_out: &[&str]) -> String {
        let mut out = b"before".to_vec();
        out.extend_from_slice(message.as_bytes());
        Form::new(reason, lines, left_out).unwrap().dress(&mut out, 6);
        String::from_utf8(out.split_off(6)).unwrap()
    }

    /// The value of the first line of the form, for REGISTER.
    fn value(line: &str) -> String {
        let text = dressed(None, REGISTER, &[line], &[]);
        let line = text.lines().nth(1).unwrap();
        line.split_once(": ").unwrap().1.to_owned()
    }

    #[test]
    fn order_spelling_and_what_no_entry_names() {
        let lines = ["t", "v:{}", "Content-Length", "Call-Id"];
        let request = REGISTER.replace("CSeq:", "CSEQ:");
        assert!(dressed(None, &request, &["CSeq"], &[]).contains("\r\nCSEQ: 1"), "the usual name is the element's");
        assert!(dressed(None, &request, &["CSeq: {}"], &[]).contains("\r\nCSeq: 1"));
        let text = dressed(None, REGISTER, &lines, &["contact", "Max-Forwards", "Security-Client", "Authorization"]);
        let expected = "REGISTER sip:h SIP/2.0\r\nt: <sip:u@h>\r\nv:SIP/2.0/UDP 10.0.0.7:5060;branch=z9;rport\r\n\
            From: <sip:u@h>;tag=7\r\nCSeq: 1 REGISTER\r\nContent-Length: 0\r\nCall-Id: c\r\n\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn parameters_in_another_order() {
        assert_eq!(
            value("Via: SIP/2.0/{transport} {sent-by};rport;branch={branch}"),
            "SIP/2.0/UDP 10.0.0.7:5060;rport;branch=z9"
        );
        assert_eq!(value("Contact: \"x\" <{uri}>;{*}"), "\"x\" <sip:u@10.0.0.7:5060>;+sip.instance=\"<urn:x>\";audio");
        assert_eq!(
            value("Contact: <{uri}>;audio;+sip.instance=\"{+sip.instance}\""),
            "<sip:u@10.0.0.7:5060>;audio;+sip.instance=\"<urn:x>\""
        );
        assert_eq!(
            value("Authorization: Digest nonce=\"{nonce}\",opaque=\"{opaque}\",username=\"{username}\",{*}"),
            "Digest nonce=\"n\",username=\"u, v\",qop=auth,nc=00000001"
        );
        assert_eq!(
            value("Contact: <{uri}>;port={Security-Client:port-s};x={Warning:y}"),
            "<sip:u@10.0.0.7:5060>;port=9"
        );
        assert_eq!(value("To: {{{uri}}};a={a};b={b|c}"), "{sip:u@h};b=c");
        assert_eq!(value("Contact: <{uri}>;{*-audio}"), "<sip:u@10.0.0.7:5060>;+sip.instance=\"<urn:x>\"");
        assert_eq!(value("P-Preferred-Identity: <{To:uri}>;n={CSeq:}"), "<sip:u@h>;n=1 REGISTER");
    }

    #[test]
    fn lists_in_one_line_or_in_several() {
        assert_eq!(
            value("Security-Client: ipsec-3gpp; ealg={ealg?null}; alg={alg},"),
            "ipsec-3gpp; alg=a,ipsec-3gpp; ealg=c; alg=b"
        );
        let text = dressed(None, REGISTER, &["Security-Client: ipsec-3gpp;alg={alg}"], &[]);
        assert!(
            text.contains("\r\nSecurity-Client: ipsec-3gpp;alg=a\r\nSecurity-Client: ipsec-3gpp;alg=b\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_name_that_comes_again_takes_one_line_at_a_time() {
        let answer = "SIP/2.0 200 OK\r\nVia: a\r\nVia: b\r\nVia: c\r\nX-A: 1\r\nContent-Length: 0\r\n\r\n";
        let text = dressed(Some("Fine"), answer, &["Via", "x-a", "v", "X-A: 2", "Date: {}"], &[]);
        let expected = "SIP/2.0 200 Fine\r\nVia: a\r\nx-a: 1\r\nv: b\r\nv: c\r\nX-A: 2\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_is_no_form() {
        let none: [&str; 0] = [];
        let fault = |line: &str| Form::new(None, &[line], &none).unwrap_err();
        assert_eq!(fault("Fr om"), FormFault::Name);
        assert_eq!(fault(": x"), FormFault::Name);
        assert_eq!(fault("From: {uri"), FormFault::Placeholder);
        assert_eq!(fault("From: uri}"), FormFault::Placeholder);
        assert_eq!(fault("From: {a b}"), FormFault::Placeholder);
        assert_eq!(fault("v: x"), FormFault::NotConstant("v".into()));
        assert_eq!(Form::new(None, &none, &["i"]).unwrap_err(), FormFault::Needed("i".into()));
        assert!(fault("From: {").to_string().contains("{branch}"));
    }
}
