//! Contact (RFC 3261 clause 20.10, RFC 5626, RFC 5627).

use super::name_addr::NameAddr;

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
}

impl<'a> Contact<'a> {
    /// `+sip.instance`, quotes removed.
    pub fn instance(&self) -> Option<&'a str> {
        self.address.params.value("+sip.instance")
    }

    /// `reg-id`
    pub fn reg_id(&self) -> Option<u32> {
        self.address.params.value("reg-id").and_then(|v| v.parse().ok()).filter(|&n| n > 0 && n < 1 << 31)
    }
}
