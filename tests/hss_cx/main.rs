//! The HSS as its peers see it: encoded Cx messages in, encoded answers out (TS 29.228 clause 6, TS 33.102 annex C).

mod access;
mod course;
mod network;
mod records;
mod restoration;
mod support;
mod table;
