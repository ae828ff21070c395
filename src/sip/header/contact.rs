//! Contact (RFC 3261 clause 20.10, RFC 5626, RFC 5627).

use super::grammar;
use super::name_addr::{NameAddr, skip_commas};
use super::{HeaderError, HeaderName};

/// The Contact headers of one message.
#[derive(Clone, Debug)]
pub enum Contacts<'a> {
    /// `*`, alone.
    Star,
    /// The elements of all lines in order, possibly none.
    List(Vec<Contact<'a>>),
}

/// One Contact.
#[derive(Clone, Copy, Debug)]
pub struct Contact<'a> {
    /// Address and parameters.
    pub address: NameAddr<'a>,
    /// `expires`, clamped to 2^32-1; a malformed one is 3600 (RFC 3261 clause 20.10).
    pub expires: Option<u32>,
    // Every binding is keyed by these, so they are noted while the parameters are read.
    instance: Option<&'a str>,
    reg_id: Option<u32>,
}

impl<'a> Contacts<'a> {
    /// Reads the values of all lines.
    pub fn parse(values: impl Iterator<Item = &'a str>) -> Result<Self, HeaderError> {
        let mut list = Vec::new();
        if Self::read(values, |contact| list.push(contact))? { Ok(Self::Star) } else { Ok(Self::List(list)) }
    }

    /// Reads the values of all lines, shows every element to `see`, and tells whether it is `*` instead.
    pub(crate) fn read(
        values: impl Iterator<Item = &'a str>,
        mut see: impl FnMut(Contact<'a>),
    ) -> Result<bool, HeaderError> {
        let (mut star, mut any) = (false, false);
        for value in values {
            let mut rest = skip_commas(value);
            while !rest.is_empty() {
                if let Some(after) = rest.strip_prefix('*') {
                    if star {
                        return Err(STAR_NOT_ALONE);
                    }
                    star = true;
                    rest = after.trim_ascii_start();
                } else {
                    let (contact, after) = Contact::take(rest)?;
                    any = true;
                    see(contact);
                    rest = after;
                }
                if !rest.is_empty() && !rest.starts_with(',') {
                    return Err(HeaderError::bad(HeaderName::Contact, "something follows the address"));
                }
                rest = skip_commas(rest);
            }
        }
        if star && any { Err(STAR_NOT_ALONE) } else { Ok(star) }
    }
}

impl<'a> Contact<'a> {
    /// `+sip.instance`, quotes removed.
    pub fn instance(&self) -> Option<&'a str> {
        self.instance
    }

    /// `reg-id`, 1 to 2^31-1.
    pub fn reg_id(&self) -> Option<u32> {
        self.reg_id
    }

    /// `q` in thousandths, `None` if absent or malformed.
    pub fn q(&self) -> Option<u16> {
        self.address.params.value("q").and_then(super::sec_agree::thousandths)
    }

    fn take(list: &'a str) -> Result<(Self, &'a str), HeaderError> {
        let (mut expires, mut instance, mut reg_id) = (None, None, None);
        let (address, rest) = NameAddr::take(HeaderName::Contact, list, |name, value| {
            let is = |known: &str| grammar::same(name.as_bytes(), known.as_bytes());
            match name.len() {
                7 if expires.is_none() && is("expires") => {
                    expires = Some(value.and_then(grammar::seconds).unwrap_or(MALFORMED_EXPIRES));
                }
                13 if instance.is_none() && is("+sip.instance") => instance = value,
                6 if reg_id.is_none() && is("reg-id") => {
                    reg_id = value.and_then(|id| grammar::number(id, (1 << 31) - 1)).filter(|&id| id > 0);
                }
                _ => {}
            }
        })?;
        Ok((Self { address, expires, instance, reg_id: reg_id.map(|id| id as u32) }, rest))
    }
}

const MALFORMED_EXPIRES: u32 = 3600;
const STAR_NOT_ALONE: HeaderError = HeaderError::bad(HeaderName::Contact, "* is not alone");

#[cfg(test)]
mod tests {
    use super::*;

    fn list(value: &str) -> Vec<Contact<'_>> {
        match Contacts::parse([value].into_iter()) {
            Ok(Contacts::List(list)) => list,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn expires_is_a_header_parameter() {
        let contacts =
            list("sip:a@b;expires=7 , <sip:c@d;expires=8>;q=0.5, <sip:e@f>;expires=abc,<sip:g@h>;expires=99999999999");
        let expires: Vec<_> = contacts.iter().map(|c| c.expires).collect();
        assert_eq!(expires, [Some(7), None, Some(3600), Some(u32::MAX)]);
        assert_eq!(contacts[1].q(), Some(500));
    }

    #[test]
    fn instance_and_reg_id() {
        let contacts = list("<sip:a@b>;+sip.instance=\"<urn:gsma:imei:1-2-0>\";reg-id=1, <sip:a@b>;reg-id=0");
        assert_eq!(contacts[0].instance(), Some("<urn:gsma:imei:1-2-0>"));
        assert_eq!((contacts[0].reg_id(), contacts[1].reg_id()), (Some(1), None));
    }

    #[test]
    fn star_is_alone() {
        assert!(matches!(Contacts::parse(["*"].into_iter()), Ok(Contacts::Star)));
        for values in [&["*", "<sip:a@b>"][..], &["*, <sip:a@b>"], &["*", "*"], &["* x"]] {
            assert!(Contacts::parse(values.iter().copied()).is_err(), "{values:?}");
        }
    }
}
