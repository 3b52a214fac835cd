//! One cache for every build.

#[cfg_attr(not(test), expect(dead_code, reason = "the commands that call it come with the command line"))]
mod rust;

fn main() {}
