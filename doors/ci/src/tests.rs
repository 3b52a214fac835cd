//! The door over the memory tier: what it says (transcripts), and what it does when things go wrong.

mod sample;
mod server;
mod uploads;
