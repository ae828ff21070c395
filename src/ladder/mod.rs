//! A capture drawn as a ladder: columns, arrows, notes.

#[cfg(feature = "live")]
pub mod json;

use crate::capture::Capture;
use crate::event::Role;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Which address belongs to which column.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    roles: BTreeMap<SocketAddr, Role>,
}

impl Columns {
    /// From the listeners of elements. Other addresses are told apart by what they do: the client end of a Diameter
    /// connection by its Origin-Host or its neighbour, an unknown SIP sender towards the P-CSCF is a UE.
    pub fn from_listeners(listeners: impl IntoIterator<Item = (SocketAddr, Role)>) -> Self {
        Self { roles: listeners.into_iter().collect() }
    }

    /// The column of an address, if a listener has it.
    pub fn role(&self, address: SocketAddr) -> Option<Role> {
        self.roles.get(&address).copied()
    }
}

/// How to draw.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whose addresses they are.
    pub columns: Columns,
    /// Show CK, IK and XRES.
    pub show_keys: bool,
    /// Use terminal colours.
    pub colour: bool,
}

/// The ladder as text, one line or two an arrow, at most 120 columns wide.
pub fn text(_capture: &Capture, _options: &Options) -> String {
    todo!()
}
