use serde_json::json;

use super::{ErrorAnswer, ErrorWord, LookupAnswer, LookupRequest, Miss, Purpose, UploadState, split_hashes};

#[test]
fn hashes_are_read_only_from_whole_ones() {
    let body = [[1; 32], [2; 32]].concat();
    assert_eq!(split_hashes(&body).unwrap().collect::<Vec<_>>(), [[1; 32], [2; 32]]);
    assert_eq!(split_hashes(b"").unwrap().len(), 0);
    assert!(split_hashes(&body[1..]).is_none());
}

#[test]
fn a_lookup_needs_its_key_only_and_ignores_what_it_does_not_know() {
    let request: LookupRequest = serde_json::from_value(json!({ "key": "k", "of_the_future": 1 })).unwrap();
    assert_eq!(request, LookupRequest { key: "k".into(), fallbacks: vec![], purpose: Purpose::Restore });
    assert!(serde_json::from_value::<LookupRequest>(json!({ "fallbacks": [] })).is_err());
}

#[test]
fn a_miss_says_that_it_is_one() {
    let miss = LookupAnswer::Miss(Miss { reason: "never saved".into() });
    assert_eq!(serde_json::to_value(miss).unwrap(), json!({ "result": "miss", "reason": "never saved" }));
}

#[test]
fn an_error_of_a_kind_made_later_is_read_as_unknown() {
    let answer: ErrorAnswer =
        serde_json::from_value(json!({ "error": { "kind": "too-late", "message": "m" } })).unwrap();
    assert_eq!(answer.error.kind, ErrorWord::Unknown);
}

#[test]
fn the_word_of_a_state_is_the_word_on_the_wire() {
    use UploadState::{Aborted, Failed, Open, Published, Queued, Refused, Unchanged};
    for state in [Open, Queued, Published, Unchanged, Refused, Failed, Aborted] {
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        assert_eq!(state.is_final(), !matches!(state, Open | Queued), "{state:?}");
    }
}
