//! Who may watch a registration (TS 24.229 clause 5.4.2.1.1): the user, the entities of the Path, and trusted application
//! servers, each as P-Asserted-Identity names it.

use crate::scscf::registrar::{Registrar, Registration, is_canonically};
use crate::sip::header::name_addr::NameAddr;
use crate::sip::{HeaderName, Message, Uri};

/// True when one of the asserted identities may watch.
pub(super) fn may_watch(registrar: &Registrar, registration: &Registration, message: &Message<'_>) -> bool {
    let Ok(asserted) = message.name_addrs(HeaderName::PAssertedIdentity) else { return false };
    asserted.iter().any(|address| {
        let uri = &address.uri;
        is_user(registrar, registration, uri)
            || is_of_path(registrar, registration, uri)
            || is_application_server(registrar, registration, uri)
    })
}

fn is_user(registrar: &Registrar, registration: &Registration, uri: &Uri<'_>) -> bool {
    let mut own = String::new();
    uri.canonical(&mut own);
    registrar.identities(registration).any(|(identity, is_stated)| is_stated && is_canonically(&identity, &own))
}

fn is_of_path(registrar: &Registrar, registration: &Registration, uri: &Uri<'_>) -> bool {
    registration.bindings.as_slice().iter().any(|binding| {
        let path = binding.path(&registrar.compact);
        let mut entries = Vec::new();
        NameAddr::take_all(HeaderName::Path, &path, &mut entries).is_ok()
            && entries.iter().any(|entry| same_host(&entry.uri, uri))
    })
}

fn is_application_server(registrar: &Registrar, registration: &Registration, uri: &Uri<'_>) -> bool {
    let mut servers = registrar.profile(registration).servers();
    servers.any(|server| Uri::parse(server).is_ok_and(|server| same_host(&server, uri)))
}

fn same_host(one: &Uri<'_>, other: &Uri<'_>) -> bool {
    !one.host.is_empty() && one.host.eq_ignore_ascii_case(other.host)
}
