//! The catalogue, a family a file.

mod agreement;
mod answer;
mod authentication;
mod deregister;
mod ending;
mod esp;
mod gm;
mod hss;
mod life;
mod nat;
mod nothing;
mod offer;
mod ports;
mod reg_event;
mod response;
mod routing;
mod timing;
mod transport;
mod turn;

pub use nothing::Bystanders;

use super::Cause;

/// Every family. Of causes that are equally sure the earlier one goes first; the last family knows what the others found.
pub(super) const FAMILIES: &[&[&Cause]] = &[
    hss::CAUSES,
    authentication::CAUSES,
    response::CAUSES,
    routing::CAUSES,
    nothing::CAUSES,
    nat::CAUSES,
    offer::CAUSES,
    agreement::CAUSES,
    life::CAUSES,
    esp::CAUSES,
    ports::CAUSES,
    transport::CAUSES,
    timing::CAUSES,
    reg_event::CAUSES,
    deregister::CAUSES,
    ending::CAUSES,
];
