use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::Text;

#[test]
fn any_bytes_of_the_system_come_back_as_they_were() {
    for (bytes, json) in [(b"a b".to_vec(), "\"a b\""), (vec![b'a', 0xff], "[97,255]"), (vec![], "\"\"")] {
        let text = Text::from(OsString::from_vec(bytes));
        let written = serde_json::to_string(&text).unwrap();
        assert_eq!(written, json);
        assert!(serde_json::from_str::<Text>(&written).unwrap() == text);
    }
}
