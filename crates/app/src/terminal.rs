//! What is written for people and scripts. A closed pipe or a full disk behind it is no fault of a build: what cannot be
//! written is not written.

use std::fmt::Arguments;
use std::io::Write;

/// Writes to standard output.
pub fn write_out(text: Arguments<'_>) {
    let _ = std::io::stdout().lock().write_fmt(text);
}

/// Writes to standard error.
pub fn write_err(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// As `println!`, but a reader that went away is no panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::terminal::write_out(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `eprintln!`, with our name in front; a reader that went away is no panic.
macro_rules! say {
    ($($text:tt)*) => { $crate::terminal::write_err(format_args!("larder: {}\n", format_args!($($text)*))) };
}

pub(crate) use {out, say};
