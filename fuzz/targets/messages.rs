//! Messages that cross a wire: what is read is written back as it was.
#![no_main]

use larder_proto::reapi::{Directory, Tree};
use larder_proto::reapi_action::ActionResult;
use larder_proto::tier::{EntryHead, Frame, Place};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind % 5 {
        0 => {
            if let Some(frame) = Frame::read(bytes) {
                let _ = frame.head::<EntryHead>();
                assert!(frame.hashes().len() * 33 <= bytes.len() && frame.value_at <= bytes.len());
            }
        }
        1 => {
            if let Some(places) = Place::split(bytes) {
                let mut written = Vec::new();
                places.for_each(|place| place.write(&mut written));
                assert_eq!(written, bytes);
            }
        }
        2 => {
            if let Ok(result) = ActionResult::from_json(bytes) {
                same(&result);
            }
        }
        3 => {
            if let Ok(result) = ActionResult::decode(bytes) {
                assert!(result.digests().count() <= bytes.len());
                same(&result);
            }
        }
        _ => {
            if let Ok(tree) = Tree::decode(bytes) {
                assert!(tree.digests().count() <= bytes.len());
            }
            if let Ok(directory) = Directory::decode(bytes) {
                assert!(directory.digests().count() <= bytes.len());
            }
        }
    }
});

/// What JSON can write of a result at all, it reads back. Messages of a worker's own, whose types nobody here knows, are left out.
fn same(result: &ActionResult) {
    let Ok(text) = result.to_json() else { return };
    let read = ActionResult::from_json(&text).expect("what was written is read");
    let mut result = result.clone();
    if let Some(metadata) = &mut result.execution_metadata {
        metadata.auxiliary_metadata.clear();
    }
    assert_eq!(read.encode_to_vec(), result.encode_to_vec(), "{}", String::from_utf8_lossy(&text));
}
