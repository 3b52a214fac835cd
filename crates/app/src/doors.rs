//! The table of doors, made by the build script from the manifest.

include!(concat!(env!("OUT_DIR"), "/doors.rs"));
