//! What was bound when: the contacts of a UE as the 2xx of its REGISTERs tell them.

use super::walk::{self, same_address, same_identity};
use crate::sip::Uri;
use crate::trace::story::{Message, Registration};
use std::collections::HashMap;

/// The contacts of a registration, followed from one NOTIFY to the next.
pub(super) struct Bindings<'r> {
    /// 2xx in the order in which the registrar sent them.
    granted: Vec<Granted<'r>>,
    /// How many of them are counted below.
    passed: usize,
    contacts: Vec<Contact<'r>>,
    /// Contacts by host, port and user, which spellings of one address share.
    by_address: HashMap<String, Vec<usize>>,
    /// The contacts that an identity has.
    held: HashMap<&'r str, Vec<usize>>,
}

/// A 2xx.
struct Granted<'r> {
    /// The registrar sends it before the NOTIFY, whenever the UE gets it: the first place where it is seen.
    at: usize,
    end: Message<'r>,
    impu: &'r str,
    bound: Vec<&'r str>,
}

/// A contact that was bound once.
struct Contact<'r> {
    uri: &'r str,
    holders: Vec<&'r str>,
    gone: Option<Message<'r>>,
}

impl<'r> Bindings<'r> {
    pub(super) fn new(registration: &'r Registration<'r>) -> Self {
        let granted = registration.attempts().filter_map(|attempt| {
            let end = attempt.end().filter(|end| end.status().is_some_and(|status| status < 300))?;
            let at = attempt.latest().hops().filter_map(|hop| hop.last()).map(Message::index).min()?;
            let contacts = walk::contacts(end.sip()?).into_iter().filter(|(_, expiry)| *expiry != Some(0));
            let bound = contacts.map(|(uri, _)| uri).collect();
            Some(Granted { at, end, impu: attempt.impu().unwrap_or_default(), bound })
        });
        let mut granted: Vec<Granted<'r>> = granted.collect();
        granted.sort_by_key(|granted| granted.at);
        let (contacts, by_address, held) = (Vec::new(), HashMap::new(), HashMap::new());
        Self { granted, passed: 0, contacts, by_address, held }
    }

    /// Whether a contact had gone before a message, and by which 2xx; `None` where the trace never shows it bound.
    pub(super) fn gone_by(&mut self, message: Message<'r>, contact: &str) -> Option<Option<Message<'r>>> {
        if self.passed > 0 && self.granted[self.passed - 1].at > message.index() {
            // Of another subscription: from the beginning.
            self.passed = 0;
            self.contacts.clear();
            self.by_address.clear();
            self.held.clear();
        }
        while self.passed < self.granted.len() && self.granted[self.passed].at <= message.index() {
            self.pass();
        }
        let known = &self.contacts[self.find(contact)?];
        Some(known.gone.filter(|_| known.holders.is_empty()))
    }

    /// Counts the next 2xx.
    fn pass(&mut self) {
        let Granted { end, impu, ref bound, .. } = self.granted[self.passed];
        self.passed += 1;
        let bound: Vec<usize> = bound.clone().into_iter().map(|uri| self.find_or_add(uri)).collect();
        let impu = self.held.keys().copied().find(|known| same_identity(known, impu)).unwrap_or(impu);
        let held = self.held.entry(impu).or_default();
        for gone in held.extract_if(.., |contact| !bound.contains(contact)) {
            let contact = &mut self.contacts[gone];
            contact.holders.retain(|holder| *holder != impu);
            contact.gone = Some(end);
        }
        for contact in bound {
            if !held.contains(&contact) {
                held.push(contact);
                self.contacts[contact].holders.push(impu);
            }
        }
    }

    fn find(&self, uri: &str) -> Option<usize> {
        let alike = self.by_address.get(&address_of(uri))?;
        alike.iter().copied().find(|contact| same_address(self.contacts[*contact].uri, uri))
    }

    fn find_or_add(&mut self, uri: &'r str) -> usize {
        self.find(uri).unwrap_or_else(|| {
            self.contacts.push(Contact { uri, holders: Vec::new(), gone: None });
            self.by_address.entry(address_of(uri)).or_default().push(self.contacts.len() - 1);
            self.contacts.len() - 1
        })
    }
}

/// What all spellings of one address share.
fn address_of(uri: &str) -> String {
    let Ok(parsed) = Uri::parse(uri) else { return uri.to_owned() };
    let mut address = parsed.host.to_ascii_lowercase();
    address.extend(parsed.port.map(|port| format!(":{port}")));
    address
}
