//! What a UE does, in virtual time against a scripted network: a line has a time and a message.

mod agreement;
mod challenges;
mod network;
mod refusals;
mod registration;
mod requests;
