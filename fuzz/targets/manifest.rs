//! A manifest that a server sent: what is planned of it stays below its directory and within its limits, and reading it twice
//! tells the same.
#![no_main]

use bytes::Bytes;
use larder_tree::{Plan, PlanLimits, Summary, decode_manifest};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let limits = PlanLimits { bytes: 1 << 30, entries: 1000, depth: 16 };
    let plan = Plan::read(Bytes::copy_from_slice(bytes), &limits);
    let Ok(manifest) = decode_manifest(bytes) else {
        assert!(plan.is_err(), "a plan was made of what is no manifest");
        return;
    };
    let again = Plan::read(manifest.encode_to_vec().into(), &limits);
    assert_eq!(plan.is_ok(), again.is_ok(), "the form of the encoding decides");
    let Ok(plan) = plan else { return };
    assert!(plan.bytes() <= limits.bytes && plan.files() <= limits.entries);
    // Whoever publishes it is stricter, also with directories that are in no other; of the rest both say the same, but that a
    // plan counts the names of a file and a summary the file.
    if let Ok(summary) = Summary::of(&manifest) {
        assert!(summary.files <= plan.files());
        assert_eq!(summary.bytes, plan.bytes());
    }
});
