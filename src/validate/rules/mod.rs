//! The catalogue, a family a file.

mod aka;
mod completion;
mod cx;
mod deregister;
mod element;
mod granted;
mod life;
mod network;
mod offer;
mod reg_event;
mod register;
mod server;
mod walk;

use super::Rule;

/// Every family.
pub(super) const FAMILIES: &[&[&Rule]] = &[
    offer::RULES,
    server::RULES,
    completion::RULES,
    register::RULES,
    aka::RULES,
    granted::RULES,
    life::RULES,
    reg_event::RULES,
    deregister::RULES,
    cx::RULES,
    network::RULES,
];
