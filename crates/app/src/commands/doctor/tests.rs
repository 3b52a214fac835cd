use serde_json::{Value, json};

use super::{Verdict, store, upstream};

fn seen(finding: Option<super::Finding>) -> (Verdict, String) {
    let finding = finding.unwrap();
    (finding.verdict, finding.text)
}

#[test]
fn a_store_that_takes_no_writes_is_wrong() {
    let of = |bytes: u64, more: Value| {
        let mut status = json!({"bytes": bytes, "quota": 100 << 20, "disk_full": false, "poisoned": null});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        seen(store(&status))
    };
    // Eviction is at work from 95 % on.
    assert_eq!(of(96 << 20, json!({})), (Verdict::Good, "96.0 MiB of a quota of 100.0 MiB".to_owned()));
    for (bytes, more, says) in [
        (99 << 20, json!({}), "it is full, 99.0 MiB of a quota of 100.0 MiB"),
        (0, json!({"disk_full": true}), "the disk had no space"),
        (0, json!({"poisoned": "sync: gone"}), "takes no writes since one failed (sync: gone)"),
    ] {
        let (verdict, text) = of(bytes, more);
        assert_eq!(verdict, Verdict::Wrong, "{text}");
        assert!(text.contains(says), "{text}");
    }
    assert_eq!(store(&Value::Null), None, "a server that tells nothing of it");
}

#[test]
fn an_upstream_that_is_away_is_wrong_and_what_it_refused_is_told() {
    let of = |node: Value| seen(upstream(&node));
    assert_eq!(of(json!({"reachable": true, "refused": 0})).0, Verdict::Good);
    let (verdict, text) =
        of(json!({"reachable": true, "refused": 2, "notes": ["acme a: no", "acme b: may only read"]}));
    assert_eq!(verdict, Verdict::Note);
    assert!(text.contains("it refused 2 entries") && text.contains("acme b: may only read"), "{text}");
    let (verdict, text) = of(json!({"reachable": false, "refused": 0, "last_error": "connection refused"}));
    assert_eq!(verdict, Verdict::Wrong);
    assert!(text.contains("connection refused"), "{text}");
    assert_eq!(upstream(&Value::Null), None, "no node");
}
