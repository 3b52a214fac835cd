//! The `Range` header: whatever it says, the answer lies inside the body.
#![no_main]

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};
use larder_door::{RangeHeader, range_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u64, &[u8])| {
    let (size, text) = input;
    let Ok(value) = HeaderValue::from_bytes(&[b"bytes=", text].concat()) else { return };
    let headers = HeaderMap::from_iter([(RANGE, value)]);
    if let RangeHeader::Part { offset, length } = range_of(&headers, size) {
        assert!(length > 0 && offset.checked_add(length).is_some_and(|end| end <= size), "{offset}+{length} of {size}");
    }
});
