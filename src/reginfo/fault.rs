//! What can be wrong with a document: one variant a fault, each with its clause.

use crate::identity::Impu;
use thiserror::Error;

/// One fault of one document.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[non_exhaustive]
pub enum Fault {
    /// More octets than any such document needs.
    #[error("the document is larger than 64 kB")]
    TooLarge,
    /// Elements within elements without end.
    #[error("elements are nested too deep")]
    TooDeep,
    /// More elements than any such document needs.
    #[error("more elements than any registration has")]
    TooMany,
    /// Not well-formed, or not UTF-8.
    #[error("not well-formed XML")]
    NotXml,
    /// `<!DOCTYPE`
    #[error("a document type is not accepted")]
    DocumentType,
    /// The root is not `reginfo` of its namespace.
    #[error("the root is not reginfo in urn:ietf:params:xml:ns:reginfo")]
    WrongNamespace,
    /// An attribute that must be there is not.
    #[error("{element} without {attribute}")]
    AttributeMissing {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute has a value that the schema does not allow.
    #[error("{element} has an impossible {attribute}")]
    AttributeInvalid {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An element of the document's own namespace where none is allowed.
    #[error("an element that {within} does not have")]
    UnexpectedElement {
        /// Where it stands.
        within: &'static str,
    },
    /// The contact has no address.
    #[error("contact without uri")]
    ContactWithoutUri,
    /// The address of a contact is no URI.
    #[error("uri of a contact is no URI")]
    BadUri,
    /// The first document of the subscription is partial.
    #[error("the first document is partial")]
    FirstIsPartial,
    /// The first document of the subscription does not count from 0.
    #[error("the first document has version {0}")]
    FirstVersion(u32),
    /// A version that was there already, or an older one.
    #[error("version {found} after version {before}")]
    VersionNotNewer {
        /// Of the last document.
        before: u32,
        /// Of this one.
        found: u32,
    },
    /// Versions are left out.
    #[error("version {found} follows version {before}")]
    VersionGap {
        /// Of the last document.
        before: u32,
        /// Of this one.
        found: u32,
    },
    /// An identity that is not of the implicit registration set.
    #[error("{0} is not of the registered set")]
    ForeignAor(Impu),
    /// Full state does not mention an identity of the set.
    #[error("full state without {0}")]
    IdentityMissing(Impu),
    /// Two elements about one identity.
    #[error("two registrations of {0}")]
    RepeatedAor(Impu),
    /// Two registrations have one id.
    #[error("two registrations with one id")]
    RepeatedRegistrationId,
    /// Two contacts have one id.
    #[error("two contacts with one id")]
    RepeatedContactId,
    /// The id of a registration is another than before.
    #[error("the id of the registration of {0} has changed")]
    RegistrationIdChanged(Impu),
    /// The id of a contact that lives is another than before.
    #[error("the id of a contact of {0} has changed")]
    ContactIdChanged(Impu),
    /// State and event of a contact contradict each other.
    #[error("a contact is {state} by {event}")]
    StateOfOtherEvent {
        /// The state stated.
        state: &'static str,
        /// The event stated.
        event: &'static str,
    },
    /// `shortened` does not say until when.
    #[error("shortened without expires")]
    ShortenedWithoutExpires,
    /// A contact is active and has no time left.
    #[error("an active contact with expires 0")]
    ActiveWithoutTime,
    /// `retry-after` says something only with `probation`.
    #[error("retry-after with an event other than probation")]
    RetryAfterWithoutProbation,
    /// An active registration has no active contact.
    #[error("{0} is active without an active contact")]
    ActiveWithoutContact(Impu),
    /// A registration that is not active has an active contact.
    #[error("{0} is not active, but a contact of it is")]
    ContactOutlivesRegistration(Impu),
}

impl Fault {
    /// The clause that asks for it otherwise.
    pub const fn clause(&self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooDeep | Self::TooMany | Self::DocumentType => "RFC 3023 clause 10",
            Self::NotXml | Self::AttributeMissing { .. } | Self::AttributeInvalid { .. } | Self::BadUri => {
                "RFC 3680 clause 5.4"
            }
            Self::WrongNamespace | Self::UnexpectedElement { .. } | Self::ContactWithoutUri => "RFC 3680 clause 5.4",
            Self::FirstIsPartial => "RFC 3680 clause 5.2",
            Self::FirstVersion(_)
            | Self::RepeatedRegistrationId
            | Self::RepeatedContactId
            | Self::RegistrationIdChanged(_)
            | Self::ContactIdChanged(_)
            | Self::ShortenedWithoutExpires
            | Self::ActiveWithoutTime
            | Self::RetryAfterWithoutProbation => "RFC 3680 clause 5.1",
            Self::VersionNotNewer { .. } | Self::VersionGap { .. } => "RFC 3680 clause 5.2",
            Self::ForeignAor(_) | Self::IdentityMissing(_) | Self::RepeatedAor(_) => "TS 24.229 clause 5.4.2.1.2",
            Self::StateOfOtherEvent { .. } => "RFC 3680 clause 4.7.1",
            Self::ActiveWithoutContact(_) | Self::ContactOutlivesRegistration(_) => "RFC 3680 clause 4.7.1",
        }
    }
}
