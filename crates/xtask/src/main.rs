//! Checks and generators for contributors.

fn main() {}
