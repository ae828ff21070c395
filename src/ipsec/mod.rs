//! TS 33.203: the security agreement of Gm and its associations.
//!
//! This module negotiates ([`negotiate`]), keeps the books of SA sets ([`association`]), expands keys ([`keys`]) and, for
//! plane `none`, lets only packets pass that a set of SAs would carry ([`table`]).

pub mod association;
pub mod esp;
pub mod keys;
pub mod negotiate;
pub mod table;
pub mod trial;
