//! The door over the memory tier: what it says (transcripts), and what it does when things go wrong.

mod crashes;
mod direct_transfer;
mod entries;
mod interface;
mod limits;
mod parts;
mod readers;
mod rights;
mod sample;
mod server;
mod sweeping;
mod transcripts;
mod uploads;
