//! One cache for every build.

fn main() {}
