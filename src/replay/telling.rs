//! What a script tells of its UE and its network, for whoever sets the stage.

use super::comparison::Sender;
use super::script::{Script, endpoint};
use crate::ipsec::association::Endpoint;
use crate::sip::{HeaderName, Uri};
use std::net::SocketAddr;

/// Identities of a subscriber, as a recording shows them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Identities {
    /// The private one, as the UE tells it.
    pub impi: Option<String>,
    /// The public ones, the default one first.
    pub impus: Vec<String>,
    /// Those of them that are barred.
    pub barred: Vec<String>,
}

/// How many only.
impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identities({} public)", self.impus.len())
    }
}

impl Script {
    /// Where the UE sent its first REGISTER from, where the trace tells.
    pub fn ue_address(&self) -> Option<SocketAddr> {
        self.ue.first().copied()
    }

    /// Where the P-CSCF took it, where the trace tells.
    pub fn pcscf_address(&self) -> Option<SocketAddr> {
        let first = self.steps.iter().find(|step| step.sender == Sender::Ue)?;
        first.ends.map(|ends| ends.to)
    }

    /// What the UE registers.
    pub fn identities(&self) -> Identities {
        let mut this = Identities::default();
        let mut named: Vec<String> = Vec::new();
        for step in self.steps.iter().filter(|step| step.is_register()) {
            let Some(sip) = step.sip() else { continue };
            let associated = sip.name_addrs(HeaderName::PAssociatedUri).unwrap_or_default();
            if step.status == Some(200) && this.impus.is_empty() {
                this.impus.extend(associated.iter().map(|address| address.uri.text.to_owned()));
            }
            named.extend(sip.to().ok().map(|to| to.uri.text.to_owned()));
            let username = sip.authorization().ok().flatten().and_then(|digest| digest.username);
            let username = username.filter(|name| !name.is_empty()).map(str::to_owned);
            this.impi = this.impi.take().or(username);
        }
        let has_set = !this.impus.is_empty();
        for impu in named {
            if !this.impus.contains(&impu) {
                this.impus.push(impu.clone());
                // TS 24.229 clause 5.4.1.2.2F: P-Associated-URI has what is not barred.
                this.barred.extend(has_set.then_some(impu));
            }
        }
        this
    }

    /// Challenges with the responses that the UE gave: nonce and response, in order.
    pub fn vectors(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = Vec::new();
        for step in self.steps.iter().filter(|step| step.status.is_none() && step.sender == Sender::Ue) {
            let Some(sip) = step.sip() else { continue };
            let Ok(Some(digest)) = sip.authorization() else { continue };
            let (Some(nonce), Some(response)) = (digest.nonce, digest.response) else { continue };
            let is_new = !all.iter().any(|(known, _)| known == nonce);
            if !nonce.is_empty() && !response.is_empty() && is_new && self.challenged_by(nonce) {
                all.push((nonce.to_owned(), response.to_owned()));
            }
        }
        all
    }

    /// How many different sets of SPIs and ports a side names, and the client and server port of the first.
    pub fn protected_ports(&self, of: Sender) -> Option<(u16, (u16, u16))> {
        let name = if of == Sender::Ue { HeaderName::SecurityClient } else { HeaderName::SecurityServer };
        let mut all: Vec<Endpoint> = Vec::new();
        for step in self.steps.iter().filter(|step| step.sender == of) {
            let found = step.sip().and_then(|sip| endpoint(&sip, name));
            all.extend(found.filter(|found| !all.contains(found)));
        }
        let first = all.first()?;
        Some((u16::try_from(all.len()).unwrap_or(u16::MAX), (first.port_c, first.port_s)))
    }

    /// The domain that the first REGISTER asks for.
    pub fn realm(&self) -> Option<String> {
        let first = self.steps.iter().find(|step| step.is_register() && step.is_request())?;
        Some(Uri::parse(first.sip()?.request_uri()?).ok()?.host.to_owned())
    }

    /// The public identity of the first REGISTER.
    pub fn registered(&self) -> Option<String> {
        let first = self.steps.iter().find(|step| step.is_register() && step.is_request())?;
        Some(first.sip()?.to().ok()?.uri.text.to_owned())
    }

    /// True where the UE asks for the state of its registration.
    pub fn has_subscription(&self) -> bool {
        self.steps.iter().any(|step| step.sender == Sender::Ue && &*step.method == "SUBSCRIBE")
    }

    /// The first challenge, parameter by parameter, as it stands in its header.
    pub fn challenge(&self) -> Option<String> {
        let challenges = self.steps.iter().filter(|step| step.status == Some(401));
        challenges.filter_map(|step| step.sip()?.header(HeaderName::WwwAuthenticate).map(str::to_owned)).next()
    }

    /// The pairs of algorithms of Security-Server, where a 401 has one.
    pub fn has_agreement(&self) -> bool {
        self.steps.iter().any(|step| {
            step.status == Some(401) && step.sip().is_some_and(|sip| sip.header(HeaderName::SecurityServer).is_some())
        })
    }

    fn challenged_by(&self, nonce: &str) -> bool {
        self.steps.iter().filter(|step| step.status == Some(401)).any(|step| {
            let sip = step.sip();
            let challenges = sip.as_ref().and_then(|sip| sip.challenges().ok()).unwrap_or_default();
            challenges.iter().any(|challenge| challenge.nonce == Some(nonce))
        })
    }
}
