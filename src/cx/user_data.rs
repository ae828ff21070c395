//! User-Data XML (TS 29.228 annex E, CxDataType): service profiles, identities, initial filter criteria.

mod read;
mod write;

use thiserror::Error;

/// IMSSubscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImsSubscription {
    /// PrivateID.
    pub private_id: String,
    /// ServiceProfile, at least one. Together they are one implicit registration set.
    pub profiles: Vec<ServiceProfile>,
}

/// ServiceProfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceProfile {
    /// PublicIdentity, at least one.
    pub identities: Vec<PublicIdentity>,
    /// SubscribedMediaProfileId of CoreNetworkServicesAuthorization.
    pub media_profile: Option<u32>,
    /// InitialFilterCriteria.
    pub filter_criteria: Vec<InitialFilterCriteria>,
    /// SharedIFCSetID of Extension.
    pub shared_ifc_sets: Vec<u32>,
}

/// PublicIdentity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicIdentity {
    /// Identity: a SIP or tel URI; with a wildcard the part between `!` is a regular expression.
    pub identity: String,
    /// BarringIndication.
    pub barred: bool,
    /// IdentityType.
    pub kind: IdentityType,
    /// WildcardedPSI or WildcardedIMPU of Extension.
    pub wildcard: Option<String>,
    /// DisplayName of Extension.
    pub display_name: Option<String>,
}

/// IdentityType.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum IdentityType {
    #[default]
    PublicUserIdentity,
    DistinctPsi,
    WildcardedPsi,
    NonDistinctPublicUserIdentity,
    WildcardedPublicUserIdentity,
}

/// InitialFilterCriteria.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InitialFilterCriteria {
    /// Priority; the lower number first.
    pub priority: u32,
    /// TriggerPoint; absent: always.
    pub trigger: Option<TriggerPoint>,
    /// ApplicationServer.
    pub server: ApplicationServer,
    /// ProfilePartIndicator: `Some(true)` registered part, `Some(false)` unregistered part.
    pub registered_part: Option<bool>,
}

/// TriggerPoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerPoint {
    /// ConditionTypeCNF.
    pub cnf: bool,
    /// SPT.
    pub conditions: Vec<Spt>,
}

/// Service point trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spt {
    /// ConditionNegated.
    pub negated: bool,
    /// Group, at least one.
    pub groups: Vec<u32>,
    /// What is looked at.
    pub condition: Condition,
    /// RegistrationType of Extension; empty: all.
    pub registration_types: Vec<u8>,
}

/// The choice within an SPT.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Condition {
    RequestUri(String),
    Method(String),
    SipHeader { header: String, content: Option<String> },
    SessionCase(u8),
    SessionDescription { line: String, content: Option<String> },
}

/// ApplicationServer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationServer {
    /// ServerName: a SIP URI.
    pub server_name: String,
    /// DefaultHandling SESSION_TERMINATED.
    pub terminate_on_failure: bool,
    /// ServiceInfo.
    pub service_info: Option<String>,
    /// IncludeRegisterRequest.
    pub include_register_request: bool,
    /// IncludeRegisterResponse.
    pub include_register_response: bool,
}

/// Why user data is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("user data: {fault} in {element}")]
pub struct UserDataError {
    /// The element, by its path.
    pub element: String,
    /// What is wrong.
    pub fault: &'static str,
}

impl ImsSubscription {
    /// Reads and checks a document.
    pub fn parse(xml: &[u8]) -> Result<Self, UserDataError> {
        read::document(xml)
    }

    /// Appends the document.
    pub fn write(&self, out: &mut Vec<u8>) {
        write::document(self, out);
    }

    /// The implicit registration set: non-barred, distinct (not wildcarded) identities in order, the default first.
    pub fn associated_uris(&self) -> impl Iterator<Item = &str> {
        let identities = self.profiles.iter().flat_map(|profile| &profile.identities);
        identities.filter(|i| !i.barred && !i.is_wildcarded()).map(|i| &*i.identity)
    }

    /// The default public user identity: the first of the set that is not barred.
    pub fn default_impu(&self) -> Option<&str> {
        self.associated_uris().next()
    }
}

impl PublicIdentity {
    /// An identity that stands for itself.
    pub fn new(identity: impl Into<String>) -> Self {
        Self {
            identity: identity.into(),
            barred: false,
            kind: IdentityType::default(),
            wildcard: None,
            display_name: None,
        }
    }

    /// True when the identity is a pattern (TS 23.003 clause 13.4A): never the default, never in P-Associated-URI.
    pub const fn is_wildcarded(&self) -> bool {
        matches!(self.kind, IdentityType::WildcardedPsi | IdentityType::WildcardedPublicUserIdentity)
    }
}

impl UserDataError {
    fn new(element: impl Into<String>, fault: &'static str) -> Self {
        Self { element: element.into(), fault }
    }

    /// The same, with the name of the element around.
    fn within(mut self, outer: &str) -> Self {
        if !self.element.is_empty() {
            self.element.insert(0, '/');
        }
        self.element.insert_str(0, outer);
        self
    }
}
