//! The catalogue, a family a file.

mod aka;
mod bindings;
mod completion;
pub(crate) mod credentials;
mod cx;
mod deregister;
pub(crate) mod element;
pub(crate) mod ends;
mod granted;
mod life;
mod network;
mod offer;
pub(crate) mod reg_event;
mod register;
mod server;
pub(crate) mod walk;
mod watcher;

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
