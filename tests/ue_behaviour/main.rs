//! What a UE does, in virtual time against a scripted network: a line has a time and a message.

mod agreement;
mod calls;
mod challenges;
mod flows;
mod identities;
mod keep_alive;
mod messages;
mod network;
mod password;
mod refusals;
mod reg_event;
mod registration;
mod requests;
mod restoration;
mod tls;
