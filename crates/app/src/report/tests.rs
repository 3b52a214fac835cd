use std::time::Duration;

use super::{Outcome, Report};

#[test]
fn a_report_reads_as_one_line_and_as_one_object() {
    let mut report = Report::new(Outcome::Partial, "rust-1-b").because("exact key never saved");
    report.matched_key = Some("rust-1-a".into());
    (report.files, report.bytes, report.new_bytes, report.transferred_bytes) = (3, 4096, 1024, 512);
    report.took("total", Duration::from_micros(1_230_400));
    assert_eq!(
        report.line(),
        "restored rust-1-a in place of rust-1-b: 3 files, 4.0 KiB, 1.0 KiB new (512 B moved), 1.23 s (exact key never saved)"
    );
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        r#"{"result":"partial","key":"rust-1-b","matched_key":"rust-1-a","files":3,"bytes":4096,"new_bytes":1024,"transferred_bytes":512,"seconds":{"total":1.23},"reason":"exact key never saved"}"#
    );
    let miss = Report::new(Outcome::Miss, "k");
    assert_eq!(miss.line(), "nothing saved under k");
    let queued = Report::new(Outcome::Queued, "k").because("the server is still checking it");
    assert_eq!(queued.line(), "queued k (the server is still checking it)");
    assert_eq!(serde_json::to_value(&queued).unwrap()["result"], "queued");
}
