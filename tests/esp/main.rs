//! ESP on bytes: round trips, what is refused and why, real packets.

#[path = "../../fuzz/properties/esp.rs"]
mod property;

mod forged;
#[cfg(feature = "live")]
mod pcap;
mod refused;
mod round_trip;
mod tunnel;
