//! Reading a document. What the schema does not allow is a fault; whatever can still be understood is kept, so that one
//! look finds every fault.

use super::{
    Contact, ContactEvent, ContactState, DocumentState, EXT_REG_EXP, Fault, GRUUINFO, REGINFO, Reginfo, Registration,
    RegistrationState,
};
use crate::sip::Uri;
use quick_xml::NsReader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::attributes::{Attribute, Attributes};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use std::borrow::Cow;

impl<'a> Reginfo<'a> {
    /// Reads a document and adds what is wrong with it to `faults`. `None`: it cannot be used at all.
    pub fn read(xml: &'a [u8], faults: &mut Vec<Fault>) -> Option<Self> {
        document(xml, faults).map_err(|fatal| faults.push(fatal)).ok()
    }
}

fn document<'a>(xml: &'a [u8], faults: &mut Vec<Fault>) -> Result<Reginfo<'a>, Fault> {
    if xml.len() > MAX_OCTETS {
        return Err(Fault::TooLarge);
    }
    let text = std::str::from_utf8(xml).map_err(|_| Fault::NotXml)?;
    let mut c = Cursor::new(text.strip_prefix('\u{feff}').unwrap_or(text), faults);
    let root = match c.child()? {
        Some(root) if root.space == Space::Reginfo && root.name == "reginfo" => root,
        _ => return Err(Fault::WrongNamespace),
    };
    let version = root.required("reginfo", "version")?;
    let version = version.parse().map_err(|_| invalid("reginfo", "version"))?;
    let state = match &*root.required("reginfo", "state")? {
        "full" => DocumentState::Full,
        "partial" => DocumentState::Partial,
        _ => return Err(invalid("reginfo", "state")),
    };
    let mut registrations = Vec::new();
    while let Some(child) = c.child()? {
        match (child.space, child.name) {
            (Space::Reginfo, "registration") => registrations.extend(registration(&mut c, &child)?),
            _ => c.pass_over(&child, "reginfo")?,
        }
    }
    match c.child()? {
        None => Ok(Reginfo { version, state, registrations }),
        Some(_) => Err(Fault::NotXml),
    }
}

fn registration<'a>(c: &mut Cursor<'a, '_>, tag: &Tag<'a>) -> Result<Option<Registration<'a>>, Fault> {
    let head = (|| {
        let aor = tag.required("registration", "aor")?;
        let id = tag.required("registration", "id")?;
        let state = match &*tag.required("registration", "state")? {
            "init" => RegistrationState::Init,
            "active" => RegistrationState::Active,
            "terminated" => RegistrationState::Terminated,
            _ => return Err(invalid("registration", "state")),
        };
        Ok((aor, id, state))
    })();
    let mut contacts = Vec::new();
    let mut wildcard = None;
    while let Some(child) = c.child()? {
        match (child.space, child.name) {
            (Space::Reginfo, "contact") => contacts.extend(contact(c, &child)?),
            (Space::ExtRegExp, "wildcardedIdentity") => wildcard = Some(c.text()?),
            _ => c.pass_over(&child, "registration")?,
        }
    }
    match head {
        Ok((aor, id, state)) => Ok(Some(Registration { aor, id, state, contacts, wildcard })),
        Err(fault) => {
            c.faults.push(fault);
            Ok(None)
        }
    }
}

fn contact<'a>(c: &mut Cursor<'a, '_>, tag: &Tag<'a>) -> Result<Option<Contact<'a>>, Fault> {
    let head = (|| {
        let id = tag.required("contact", "id")?;
        let state = match &*tag.required("contact", "state")? {
            "active" => ContactState::Active,
            "terminated" => ContactState::Terminated,
            _ => return Err(invalid("contact", "state")),
        };
        let event = tag.required("contact", "event")?;
        let event = ContactEvent::ALL.into_iter().find(|e| e.as_str() == event);
        Ok((id, state, event.ok_or(invalid("contact", "event"))?))
    })();
    let mut number = |name| match tag.attribute(name).map(|value| value.trim_ascii().parse()) {
        Some(Ok(number)) => Some(number),
        Some(Err(_)) => {
            c.faults.push(invalid("contact", name));
            None
        }
        None => None,
    };
    let (expires, retry_after) = (number("expires"), number("retry-after"));
    let (duration_registered, cseq) = (number("duration-registered"), number("cseq"));
    let q = tag.attribute("q");
    if q.as_deref().is_some_and(|q| q.trim_ascii().parse().is_ok_and(|q: f32| !(0.0..=1.0).contains(&q))) {
        c.faults.push(invalid("contact", "q"));
    }
    let (mut uri, mut display_name, mut params) = (None, None, Vec::new());
    let (mut pub_gruu, mut temp_gruu) = (None, None);
    while let Some(child) = c.child()? {
        match (child.space, child.name) {
            (Space::Reginfo, "uri") => uri = Some(trimmed(c.text()?)),
            (Space::Reginfo, "display-name") => display_name = Some(c.text()?),
            (Space::Reginfo, "unknown-param") => {
                let value = trimmed(c.text()?);
                match child.required("unknown-param", "name") {
                    Ok(name) => params.push((name, value)),
                    Err(fault) => c.faults.push(fault),
                }
            }
            (Space::Gruuinfo, "pub-gruu") => {
                pub_gruu = c.noted(child.required("pub-gruu", "uri"));
                c.skip()?;
            }
            (Space::Gruuinfo, "temp-gruu") => {
                let first = child.required("temp-gruu", "first-cseq");
                let first = first.and_then(|n| n.parse().map_err(|_| invalid("temp-gruu", "first-cseq")));
                temp_gruu = c.noted(child.required("temp-gruu", "uri").and_then(|uri| Ok((uri, first?))));
                c.skip()?;
            }
            _ => c.pass_over(&child, "contact")?,
        }
    }
    let Some((id, state, event)) = c.noted(head) else { return Ok(None) };
    let Some(uri) = uri else {
        c.faults.push(Fault::ContactWithoutUri);
        return Ok(None);
    };
    if Uri::parse(&uri).is_err() {
        c.faults.push(Fault::BadUri);
    }
    let call_id = tag.attribute("callid");
    Ok(Some(Contact {
        id,
        state,
        event,
        uri,
        display_name,
        expires,
        retry_after,
        duration_registered,
        q,
        call_id,
        cseq,
        params,
        pub_gruu,
        temp_gruu,
    }))
}

fn trimmed(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim_ascii()),
        Cow::Owned(text) => Cow::Owned(text.trim_ascii().to_owned()),
    }
}

const fn invalid(element: &'static str, attribute: &'static str) -> Fault {
    Fault::AttributeInvalid { element, attribute }
}

// ------------------------------------------------------------------------------------------------------------------ cursor

/// The document, element by element.
struct Cursor<'a, 'f> {
    text: &'a str,
    reader: NsReader<&'a [u8]>,
    faults: &'f mut Vec<Fault>,
    depth: usize,
    elements: usize,
}

/// A start tag.
struct Tag<'a> {
    space: Space,
    name: &'a str,
    /// Names with their values as written.
    attributes: Vec<Attribute<'a>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Reginfo,
    Gruuinfo,
    ExtRegExp,
    Other,
}

impl<'a, 'f> Cursor<'a, 'f> {
    fn new(text: &'a str, faults: &'f mut Vec<Fault>) -> Self {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        Self { text, reader, faults, depth: 0, elements: 0 }
    }

    /// The next child of the element at hand; `None` where that ends.
    fn child(&mut self) -> Result<Option<Tag<'a>>, Fault> {
        loop {
            let from = self.position();
            match self.event()? {
                (space, Event::Start(start)) => return self.open(space, &start, from).map(Some),
                (_, Event::End(_)) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(None);
                }
                (_, Event::Eof) if self.depth == 0 => return Ok(None),
                (_, Event::Eof) => return Err(Fault::NotXml),
                (_, Event::Text(text)) if text.iter().all(u8::is_ascii_whitespace) => {}
                (_, Event::Decl(_) | Event::Comment(_) | Event::PI(_)) => {}
                _ => return Err(Fault::NotXml),
            }
        }
    }

    /// The rest of an element that holds text.
    fn text(&mut self) -> Result<Cow<'a, str>, Fault> {
        let mut text = Cow::Borrowed("");
        loop {
            let piece = match self.event()?.1 {
                Event::Text(piece) => piece.decode().map_err(|_| Fault::NotXml)?,
                Event::CData(piece) => piece.decode().map_err(|_| Fault::NotXml)?,
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string().into(),
                    Ok(None) => {
                        let name = name.decode().map_err(|_| Fault::NotXml)?;
                        resolve_xml_entity(&name).ok_or(Fault::NotXml)?.into()
                    }
                    Err(_) => return Err(Fault::NotXml),
                },
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(text);
                }
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Start(_) => {
                    self.faults.push(Fault::UnexpectedElement { within: "text" });
                    self.depth += 1;
                    self.skip()?;
                    continue;
                }
                _ => return Err(Fault::NotXml),
            };
            if text.is_empty() {
                text = piece;
            } else {
                text.to_mut().push_str(&piece);
            }
        }
    }

    /// Passes over the rest of an element that is not known: other namespaces may add what they like.
    fn pass_over(&mut self, tag: &Tag<'_>, within: &'static str) -> Result<(), Fault> {
        if tag.space == Space::Reginfo {
            self.faults.push(Fault::UnexpectedElement { within });
        }
        self.skip()
    }

    /// Passes over the rest of an element, however deep.
    fn skip(&mut self) -> Result<(), Fault> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            match self.event()?.1 {
                Event::Start(_) => self.count()?,
                Event::End(_) => self.depth -= 1,
                Event::Eof => return Err(Fault::NotXml),
                _ => {}
            }
        }
        Ok(())
    }

    fn open(&mut self, space: Space, start: &BytesStart<'_>, from: usize) -> Result<Tag<'a>, Fault> {
        self.count()?;
        let text = self.text.get(from..self.position()).unwrap_or_default();
        let text = text.strip_prefix('<').unwrap_or(text);
        let text = text.strip_suffix('>').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let name_ends = start.name().as_ref().len();
        let name = text.get(..name_ends).unwrap_or_default();
        let name = name.rsplit_once(':').map_or(name, |(_, local)| local);
        // An attribute that occurs twice makes the document ill-formed.
        let attributes: Result<Vec<_>, _> = Attributes::new(text, name_ends).collect();
        Ok(Tag { space, name, attributes: attributes.map_err(|_| Fault::NotXml)? })
    }

    fn count(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        self.elements += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        if self.elements > MAX_ELEMENTS {
            return Err(Fault::TooMany);
        }
        Ok(())
    }

    fn event(&mut self) -> Result<(Space, Event<'a>), Fault> {
        let (space, event) = self.reader.read_resolved_event().map_err(|_| Fault::NotXml)?;
        let space = match space {
            ResolveResult::Bound(space) if space.as_ref() == REGINFO.as_bytes() => Space::Reginfo,
            ResolveResult::Bound(space) if space.as_ref() == GRUUINFO.as_bytes() => Space::Gruuinfo,
            ResolveResult::Bound(space) if space.as_ref() == EXT_REG_EXP.as_bytes() => Space::ExtRegExp,
            ResolveResult::Unknown(_) => return Err(Fault::NotXml),
            _ => Space::Other,
        };
        if matches!(event, Event::DocType(_)) {
            return Err(Fault::DocumentType);
        }
        Ok((space, event))
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    fn noted<T>(&mut self, result: Result<T, Fault>) -> Option<T> {
        result.map_err(|fault| self.faults.push(fault)).ok()
    }
}

impl<'a> Tag<'a> {
    /// The value of an attribute without prefix, references resolved.
    fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        match &self.attributes.iter().find(|a| a.key.as_ref() == name.as_bytes())?.value {
            Cow::Borrowed(value) => unescape(std::str::from_utf8(value).ok()?).ok(),
            Cow::Owned(value) => Some(unescape(std::str::from_utf8(value).ok()?).ok()?.into_owned().into()),
        }
    }

    fn required(&self, element: &'static str, attribute: &'static str) -> Result<Cow<'a, str>, Fault> {
        match self.attribute(attribute) {
            Some(value) if value.is_empty() => Err(invalid(element, attribute)),
            Some(value) => Ok(value),
            None => Err(Fault::AttributeMissing { element, attribute }),
        }
    }
}

/// The largest document taken.
const MAX_OCTETS: usize = 65_536;
/// The deepest nesting: the package itself needs four.
const MAX_DEPTH: usize = 16;
/// How many elements a document may have.
const MAX_ELEMENTS: usize = 5_000;
