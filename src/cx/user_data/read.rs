//! Reading user data: the sequence of the schema, element by element.
//!
//! `Extension` may hold elements of later releases: what is not known there is skipped, as are elements of other
//! namespaces anywhere. Everything else out of place is refused.

use super::{ApplicationServer, Condition, IdentityType, ImsSubscription, InitialFilterCriteria};
use super::{PublicIdentity, ServiceProfile, Spt, TriggerPoint, UserDataError};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use std::borrow::Cow;

type Result<T> = std::result::Result<T, UserDataError>;

pub(super) fn document(xml: &[u8]) -> Result<ImsSubscription> {
    let mut c = Cursor::new(xml);
    let subscription = c.required("IMSSubscription", subscription)?;
    match c.peek()? {
        Tag::EndOfDocument => Ok(subscription),
        _ => Err(UserDataError::new("IMSSubscription", "something follows")),
    }
}

fn subscription(c: &mut Cursor<'_>) -> Result<ImsSubscription> {
    let private_id = c.required_leaf("PrivateID", uri)?;
    let mut profiles = vec![c.required("ServiceProfile", profile)?];
    while let Some(next) = c.optional("ServiceProfile", profile)? {
        profiles.push(next);
    }
    c.skip_if("Extension")?;
    Ok(ImsSubscription { private_id, profiles })
}

fn profile(c: &mut Cursor<'_>) -> Result<ServiceProfile> {
    let mut this = ServiceProfile::default();
    this.identities.push(c.required("PublicIdentity", identity)?);
    while let Some(next) = c.optional("PublicIdentity", identity)? {
        this.identities.push(next);
    }
    this.media_profile = c
        .optional("CoreNetworkServicesAuthorization", |c| {
            let id = c.leaf("SubscribedMediaProfileId", number)?;
            c.skip_if("Extension")?;
            Ok(id)
        })?
        .flatten();
    while let Some(next) = c.optional("InitialFilterCriteria", filter_criteria)? {
        if this.filter_criteria.iter().any(|other| other.priority == next.priority) {
            return Err(UserDataError::new("InitialFilterCriteria/Priority", "occurs twice in a profile"));
        }
        this.filter_criteria.push(next);
    }
    c.extension(|c| {
        let id = c.leaf("SharedIFCSetID", number)?;
        this.shared_ifc_sets.extend(id);
        Ok(id.is_some())
    })?;
    Ok(this)
}

fn identity(c: &mut Cursor<'_>) -> Result<PublicIdentity> {
    let barred = c.leaf("BarringIndication", boolean)?.unwrap_or(false);
    let mut this = PublicIdentity { barred, ..PublicIdentity::new(c.required_leaf("Identity", uri)?) };
    c.extension(|c| {
        if let Some(kind) = c.leaf("IdentityType", identity_type)? {
            this.kind = kind;
        } else if let Some(psi) = c.leaf("WildcardedPSI", uri)? {
            this.wildcard = Some(psi);
        } else {
            return c.extension(|c| {
                if let Some(name) = c.leaf("DisplayName", string)? {
                    this.display_name = Some(name);
                    return Ok(true);
                }
                c.extension(|c| {
                    let impu = c.leaf("WildcardedIMPU", uri)?;
                    let found = impu.is_some();
                    this.wildcard = impu.or_else(|| this.wildcard.take());
                    Ok(found)
                })
            });
        }
        Ok(true)
    })?;
    Ok(this)
}

fn filter_criteria(c: &mut Cursor<'_>) -> Result<InitialFilterCriteria> {
    let this = InitialFilterCriteria {
        priority: c.required_leaf("Priority", number)?,
        trigger: c.optional("TriggerPoint", trigger)?,
        server: c.required("ApplicationServer", server)?,
        registered_part: c.leaf("ProfilePartIndicator", |text| digit(text, 1))?.map(|part| part == 0),
    };
    c.skip_if("Extension")?;
    Ok(this)
}

fn trigger(c: &mut Cursor<'_>) -> Result<TriggerPoint> {
    let cnf = c.required_leaf("ConditionTypeCNF", boolean)?;
    let mut conditions = vec![c.required("SPT", spt)?];
    while let Some(next) = c.optional("SPT", spt)? {
        conditions.push(next);
    }
    c.skip_if("Extension")?;
    Ok(TriggerPoint { cnf, conditions })
}

fn spt(c: &mut Cursor<'_>) -> Result<Spt> {
    let negated = c.leaf("ConditionNegated", boolean)?.unwrap_or(false);
    let mut groups = vec![c.required_leaf("Group", number)?];
    while let Some(next) = c.leaf("Group", number)? {
        groups.push(next);
    }
    let condition = condition(c)?;
    let mut registration_types = Vec::new();
    c.extension(|c| {
        let kind = c.leaf("RegistrationType", |text| digit(text, 2))?;
        if kind.is_some() && registration_types.len() == 2 {
            return Err(UserDataError::new("RegistrationType", "occurs more than twice"));
        }
        registration_types.extend(kind);
        Ok(kind.is_some())
    })?;
    Ok(Spt { negated, groups, condition, registration_types })
}

fn condition(c: &mut Cursor<'_>) -> Result<Condition> {
    if let Some(pattern) = c.leaf("RequestURI", string)? {
        return Ok(Condition::RequestUri(pattern));
    }
    if let Some(method) = c.leaf("Method", string)? {
        return Ok(Condition::Method(method));
    }
    if let Some((header, content)) = c.optional("SIPHeader", |c| pattern(c, "Header"))? {
        return Ok(Condition::SipHeader { header, content });
    }
    if let Some(case) = c.leaf("SessionCase", |text| digit(text, 4))? {
        return Ok(Condition::SessionCase(case));
    }
    match c.optional("SessionDescription", |c| pattern(c, "Line"))? {
        Some((line, content)) => Ok(Condition::SessionDescription { line, content }),
        None => Err(UserDataError::new("SPT", "no condition")),
    }
}

/// The content of SIPHeader and SessionDescription.
fn pattern(c: &mut Cursor<'_>, subject: &'static str) -> Result<(String, Option<String>)> {
    let subject = c.required_leaf(subject, string)?;
    let content = c.leaf("Content", string)?;
    c.skip_if("Extension")?;
    Ok((subject, content))
}

fn server(c: &mut Cursor<'_>) -> Result<ApplicationServer> {
    let mut this = ApplicationServer {
        server_name: c.required_leaf("ServerName", uri)?,
        terminate_on_failure: c.leaf("DefaultHandling", |text| digit(text, 1))? == Some(1),
        service_info: c.leaf("ServiceInfo", string)?,
        include_register_request: false,
        include_register_response: false,
    };
    // Their presence says it all: they are empty (field-lessons.md 63).
    c.extension(|c| {
        let request = c.skip_if("IncludeRegisterRequest")?;
        let response = !request && c.skip_if("IncludeRegisterResponse")?;
        this.include_register_request |= request;
        this.include_register_response |= response;
        Ok(request || response)
    })?;
    Ok(this)
}

// ------------------------------------------------------------------------------------------------------------ simple types

type Fault = &'static str;

fn string(text: &str) -> std::result::Result<String, Fault> {
    Ok(text.to_owned())
}

fn uri(text: &str) -> std::result::Result<String, Fault> {
    match text.trim_ascii() {
        "" => Err("is empty"),
        uri => Ok(uri.to_owned()),
    }
}

/// xs:int, zero or more.
fn number(text: &str) -> std::result::Result<u32, Fault> {
    let number = text.trim_ascii().parse().ok().filter(|n| i32::try_from(*n).is_ok());
    number.ok_or("is not a number from 0 to 2147483647")
}

fn digit(text: &str, highest: u8) -> std::result::Result<u8, Fault> {
    text.trim_ascii().parse().ok().filter(|n| *n <= highest).ok_or("is none of the values allowed")
}

fn boolean(text: &str) -> std::result::Result<bool, Fault> {
    match text.trim_ascii() {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err("is neither 0 nor 1"),
    }
}

fn identity_type(text: &str) -> std::result::Result<IdentityType, Fault> {
    Ok(match digit(text, 4)? {
        0 => IdentityType::PublicUserIdentity,
        1 => IdentityType::DistinctPsi,
        2 => IdentityType::WildcardedPsi,
        3 => IdentityType::NonDistinctPublicUserIdentity,
        _ => IdentityType::WildcardedPublicUserIdentity,
    })
}

// ------------------------------------------------------------------------------------------------------------------ cursor

/// The document, one tag ahead.
struct Cursor<'a> {
    reader: Reader<&'a [u8]>,
    ahead: Option<Tag<'a>>,
}

enum Tag<'a> {
    Open(BytesStart<'a>),
    Close,
    EndOfDocument,
}

impl<'a> Cursor<'a> {
    fn new(xml: &'a [u8]) -> Self {
        let mut reader = Reader::from_reader(xml);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, ahead: None }
    }

    /// The child `name`, if it comes next; `read` reads its children, all of them.
    fn optional<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if !self.open(name)? {
            return Ok(None);
        }
        let content = read(self).and_then(|content| self.close().map(|()| content));
        content.map(Some).map_err(|fault| fault.within(name))
    }

    fn required<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.optional(name, read)?.ok_or_else(|| UserDataError::new(name, "is missing"))
    }

    /// The child `name`, if it comes next, with nothing but text.
    fn leaf<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, Fault>,
    ) -> Result<Option<T>> {
        if !self.open(name)? {
            return Ok(None);
        }
        let text = self.text().map_err(|fault| UserDataError::new(name, fault))?;
        read(&text).map(Some).map_err(|fault| UserDataError::new(name, fault))
    }

    fn required_leaf<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.leaf(name, read)?.ok_or_else(|| UserDataError::new(name, "is missing"))
    }

    /// An Extension, if it comes next. `read` takes one child, or says that it knows none like it: then it is skipped.
    /// True when there was one.
    fn extension(&mut self, mut read: impl FnMut(&mut Self) -> Result<bool>) -> Result<bool> {
        let found = self.optional("Extension", |c| {
            loop {
                if read(c)? {
                    continue;
                }
                if !matches!(c.peek()?, Tag::Open(_)) {
                    return Ok(());
                }
                c.ahead = None;
                c.skip()?;
            }
        })?;
        Ok(found.is_some())
    }

    /// Skips the child `name`, if it comes next.
    fn skip_if(&mut self, name: &'static str) -> Result<bool> {
        let found = self.open(name)?;
        if found {
            self.skip()?;
        }
        Ok(found)
    }

    fn open(&mut self, name: &'static str) -> Result<bool> {
        let found = matches!(self.peek()?, Tag::Open(start) if start.name().as_ref() == name.as_bytes());
        if found {
            self.ahead = None;
        }
        Ok(found)
    }

    fn close(&mut self) -> Result<()> {
        match self.peek()? {
            Tag::Close => {
                self.ahead = None;
                Ok(())
            }
            Tag::Open(start) => {
                let name = String::from_utf8_lossy(start.name().as_ref()).into_owned();
                Err(UserDataError::new(name, "is not expected here"))
            }
            Tag::EndOfDocument => Err(UserDataError::new("", "the document ends too early")),
        }
    }

    /// The next tag, behind comments and elements of other namespaces.
    fn peek(&mut self) -> Result<&Tag<'a>> {
        while self.ahead.is_none() {
            let tag = match self.event()? {
                Event::Start(start) if start.name().as_ref().contains(&b':') => {
                    self.skip()?;
                    continue;
                }
                Event::Start(start) => Tag::Open(start),
                Event::End(_) => Tag::Close,
                Event::Eof => Tag::EndOfDocument,
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => continue,
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => continue,
                Event::DocType(_) => return Err(UserDataError::new("", "a document type is not accepted")),
                Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) | Event::Empty(_) => {
                    return Err(UserDataError::new("", "text where elements belong"));
                }
            };
            self.ahead = Some(tag);
        }
        Ok(self.ahead.as_ref().expect("the loop above"))
    }

    /// Reads the rest of an element that holds text.
    fn text(&mut self) -> std::result::Result<Cow<'a, str>, Fault> {
        let mut text = Cow::Borrowed("");
        loop {
            let piece = match self.reader.read_event().map_err(|_| NOT_XML)? {
                Event::Text(piece) => piece.decode().map_err(|_| NOT_UTF8)?,
                Event::CData(piece) => piece.decode().map_err(|_| NOT_UTF8)?,
                Event::GeneralRef(name) => match name.resolve_char_ref() {
                    Ok(Some(c)) => c.to_string().into(),
                    Ok(None) => {
                        let name = name.decode().map_err(|_| NOT_UTF8)?;
                        resolve_xml_entity(&name).ok_or("holds an unknown entity")?.into()
                    }
                    Err(_) => return Err("holds a faulty character reference"),
                },
                Event::End(_) => return Ok(text),
                Event::Comment(_) | Event::PI(_) => continue,
                Event::Eof => return Err("does not end"),
                _ => return Err("holds elements instead of text"),
            };
            if text.is_empty() {
                text = piece;
            } else {
                text.to_mut().push_str(&piece);
            }
        }
    }

    /// Skips the rest of an element, however deep.
    fn skip(&mut self) -> Result<()> {
        let mut depth = 1_u32;
        while depth > 0 {
            match self.event()? {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth -= 1,
                Event::Eof => return Err(UserDataError::new("", "the document ends too early")),
                _ => {}
            }
        }
        Ok(())
    }

    fn event(&mut self) -> Result<Event<'a>> {
        self.reader.read_event().map_err(|_| UserDataError::new("", NOT_XML))
    }
}

const NOT_XML: Fault = "is not well-formed XML";
const NOT_UTF8: Fault = "is not UTF-8";
