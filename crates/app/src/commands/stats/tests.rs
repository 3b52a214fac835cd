use serde_json::json;

use super::table;

#[test]
fn an_object_reads_as_a_table() {
    let status = json!({
        "version": "1", "doors": ["ci", "http"],
        "store": {"stored_bytes": 2048, "chunks": 7},
        "jobs": [{"name": "eviction", "state": "waiting", "status": "nothing to do"}],
    });
    assert_eq!(
        table(&status),
        "doors               ci, http\n\
         jobs eviction       waiting nothing to do\n\
         store chunks        7\n\
         store stored bytes  2.0 KiB\n\
         version             1\n"
    );
}
