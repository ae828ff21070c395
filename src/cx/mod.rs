//! Cx (TS 29.228, TS 29.229): typed commands over the Diameter codec, and user data.
//!
//! A command is a struct that borrows what it holds; `decode` checks its grammar and says by a
//! [`crate::diameter::Fault`] what to answer; `encode` writes the AVPs after those of [`Envelope`].

pub mod envelope;
pub mod filter;
pub mod lir;
pub mod mar;
pub mod ppr;
pub mod restoration;
pub mod result;
pub mod rtr;
pub mod sar;
mod serving;
pub mod uar;
pub mod user_data;

pub use envelope::{Envelope, RequestEnvelope};
pub use lir::{Lia, Lir};
pub use mar::{AuthItem, Maa, Mar};
pub use ppr::{Ppa, Ppr};
pub use restoration::{RestorationInfo, ScscfRestorationInfo, SubscriptionInfo};
pub use result::CxResult;
pub use rtr::{ReasonCode, Rta, Rtr};
pub use sar::{Saa, Sar, ServerAssignmentType};
pub use uar::{Capabilities, Uaa, Uar, UserAuthorizationType};

/// Application id of Cx and Dx.
pub const APPLICATION: u32 = 16_777_216;
/// Vendor id of 3GPP.
pub const VENDOR: u32 = 10_415;
