//! Names that clients choose: what is taken is taken as it was written, and one that is taken is taken again.
#![no_main]

use larder_base::{ContentHash, DoorName, HashFunction, Key, Namespace, Scope, UploadId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(key) = text.parse::<Key>() {
        assert_eq!(key.as_str(), text);
        assert!((1..=512).contains(&text.chars().count()) && !text.chars().any(char::is_control));
        Key::check_prefix(text).expect("a key is a prefix");
    }
    if let Ok(namespace) = text.parse::<Namespace>() {
        assert_eq!(namespace.as_str(), text);
    }
    if let Ok(scope) = text.parse::<Scope>() {
        assert_eq!(scope.to_string().parse::<Scope>().expect("its own form"), scope);
    }
    if let Ok(door) = text.parse::<DoorName>() {
        assert_eq!(door.as_str(), text);
    }
    if let Ok(upload) = text.parse::<UploadId>() {
        assert_eq!(upload.to_string(), text);
    }
    for function in [HashFunction::Sha256, HashFunction::TREE] {
        if let Ok(hash) = ContentHash::from_hex(function, text) {
            assert_eq!(hash.to_hex(), text.to_lowercase());
            assert_eq!(ContentHash::from_key(&hash.to_key()), Some(hash));
        }
    }
});
