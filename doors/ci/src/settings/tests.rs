use larder_base::chunk::Cut;
use larder_base::segment::{RECORD_HEADER_LEN, SEGMENT_HEADER};

use super::Settings;

/// Bytes of the parts of a save whose chunks do not compress, when every part is as short as it may be.
fn worst_case(settings: &Settings, file_bytes: u64, files: u64) -> u64 {
    let chunks_of = |bytes: u64| bytes.div_ceil(Cut::TREE.min_len() as u64);
    let records = files * chunks_of(file_bytes) + chunks_of(settings.max_manifest_bytes.0);
    let headers = records * RECORD_HEADER_LEN as u64;
    let parts = u64::from(settings.parts_max(file_bytes * files)) * SEGMENT_HEADER.len() as u64;
    file_bytes * files + settings.max_manifest_bytes.0 + headers + parts
}

#[test]
fn the_parts_of_any_save_that_is_allowed_fit() {
    let settings = Settings::default();
    for (file_bytes, files) in
        [(0, 0), (1, 1_000_000), (5 << 30, 2), (Cut::TREE.max_len() as u64 + 1, 1000), (10 << 30, 1)]
    {
        let allowed = settings.parts_max_bytes(file_bytes * files, files);
        assert!(worst_case(&settings, file_bytes, files) <= allowed, "{files} files of {file_bytes}");
        // A quarter full is full enough.
        let parts = allowed / (settings.part_max_bytes.0 / 4);
        assert!(parts <= u64::from(settings.parts_max(file_bytes * files)), "{files} files of {file_bytes}");
    }
}

#[test]
fn no_setting_makes_the_limits_overflow() {
    let endless = Settings { max_entry_bytes: larder_door::ByteCount(u64::MAX), ..Settings::default() };
    assert_eq!(endless.parts_max_bytes(u64::MAX, endless.max_files()), u64::MAX);
    assert_eq!(endless.parts_max(u64::MAX), u32::MAX);
}
