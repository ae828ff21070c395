//! Writing a document: straight into a buffer, attributes in the order of the schema.

use super::{Contact, EXT_REG_EXP, GRUUINFO, REGINFO, Reginfo, Registration};
use crate::decimal::Decimal;

impl Reginfo<'_> {
    /// Appends the document.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut x = Xml(out);
        x.raw("<?xml version=\"1.0\"?>\r\n<reginfo");
        x.attribute("xmlns", REGINFO);
        let contacts = || self.registrations.iter().flat_map(|r| &r.contacts);
        if contacts().any(|c| c.pub_gruu.is_some() || c.temp_gruu.is_some()) {
            x.attribute("xmlns:gr", GRUUINFO);
        }
        if self.registrations.iter().any(|r| r.wildcard.is_some()) {
            x.attribute("xmlns:ere", EXT_REG_EXP);
        }
        x.number("version", self.version.into());
        x.attribute("state", self.state.as_str());
        x.raw(">\r\n");
        for r in &self.registrations {
            registration(r, &mut x);
        }
        x.raw("</reginfo>\r\n");
    }
}

fn registration(r: &Registration<'_>, x: &mut Xml<'_>) {
    x.raw("<registration");
    x.attribute("aor", &r.aor);
    x.attribute("id", &r.id);
    x.attribute("state", r.state.as_str());
    if r.contacts.is_empty() && r.wildcard.is_none() {
        return x.raw("/>\r\n");
    }
    x.raw(">\r\n");
    for c in &r.contacts {
        contact(c, x);
    }
    if let Some(wildcard) = &r.wildcard {
        x.raw("<ere:wildcardedIdentity>");
        x.text(wildcard);
        x.raw("</ere:wildcardedIdentity>\r\n");
    }
    x.raw("</registration>\r\n");
}

fn contact(c: &Contact<'_>, x: &mut Xml<'_>) {
    x.raw("<contact");
    x.attribute("id", &c.id);
    x.attribute("state", c.state.as_str());
    x.attribute("event", c.event.as_str());
    let numbers =
        [("duration-registered", c.duration_registered), ("expires", c.expires), ("retry-after", c.retry_after)];
    for (name, value) in numbers {
        if let Some(value) = value {
            x.number(name, value);
        }
    }
    for (name, value) in [("q", &c.q), ("callid", &c.call_id)] {
        if let Some(value) = value {
            x.attribute(name, value);
        }
    }
    if let Some(cseq) = c.cseq {
        x.number("cseq", cseq);
    }
    x.raw("><uri>");
    x.text(&c.uri);
    x.raw("</uri>");
    if let Some(name) = &c.display_name {
        x.raw("<display-name>");
        x.text(name);
        x.raw("</display-name>");
    }
    for (name, value) in &c.params {
        x.raw("<unknown-param");
        x.attribute("name", name);
        x.raw(">");
        x.text(value);
        x.raw("</unknown-param>");
    }
    if let Some(uri) = &c.pub_gruu {
        x.raw("<gr:pub-gruu");
        x.attribute("uri", uri);
        x.raw("/>");
    }
    if let Some((uri, first_cseq)) = &c.temp_gruu {
        x.raw("<gr:temp-gruu");
        x.attribute("uri", uri);
        x.number("first-cseq", u64::from(*first_cseq));
        x.raw("/>");
    }
    x.raw("</contact>\r\n");
}

struct Xml<'b>(&'b mut Vec<u8>);

impl Xml<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.open(name);
        self.text(value);
        self.0.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.open(name);
        self.0.extend_from_slice(Decimal::new(value).as_bytes());
        self.0.push(b'"');
    }

    fn open(&mut self, name: &str) {
        self.0.push(b' ');
        self.raw(name);
        self.raw("=\"");
    }

    /// Text or attribute value. A control character has no place in XML 1.0: it becomes a space.
    fn text(&mut self, text: &str) {
        for &b in text.as_bytes() {
            match b {
                b'&' => self.raw("&amp;"),
                b'<' => self.raw("&lt;"),
                b'>' => self.raw("&gt;"),
                b'"' => self.raw("&quot;"),
                0..b' ' => self.0.push(b' '),
                b => self.0.push(b),
            }
        }
    }
}
