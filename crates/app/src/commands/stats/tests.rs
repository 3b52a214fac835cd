use serde_json::json;

use super::table;

#[test]
fn an_object_reads_as_a_table() {
    let status = json!({
        "version": "1", "uptime_seconds": 5, "doors": ["ci", "http"],
        "store": {"stored_bytes": 2048, "chunks": 7, "open_seconds": 0.003821659, "poisoned": null}, "node": null, "namespaces": [],
        "jobs": [{"name": "eviction", "state": "waiting", "status": "nothing to do"}],
    });
    assert_eq!(
        table(&status),
        "doors               ci, http\n\
         jobs eviction       waiting nothing to do\n\
         store chunks        7\n\
         store open seconds  0.004\n\
         store stored bytes  2.0 KiB\n\
         uptime seconds      5\n\
         version             1\n"
    );
}

#[test]
fn a_namespace_reads_as_its_numbers_and_what_it_has_not_is_left_out() {
    let held = json!({"name": "acme", "logical_bytes": 4096, "stored_bytes": 2048, "quota": 8192, "owner_quota": null});
    assert_eq!(
        table(&json!({ "namespaces": [held] })),
        "namespaces acme logical bytes  4.0 KiB\n\
         namespaces acme quota          8.0 KiB\n\
         namespaces acme stored bytes   2.0 KiB\n"
    );
}
