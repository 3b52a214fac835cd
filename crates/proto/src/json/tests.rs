use crate::reapi::{Digest, NodeProperties, NodeProperty, Timestamp};
use crate::reapi_action::{ActionResult, Duration, ExecutedActionMetadata, OutputDirectory, OutputFile, OutputSymlink};

/// What moon 2.5.5 put for one task.
const MOON: &str = concat!(
    r#"{"outputFiles":[{"path":"app/dist/empty.txt","digest":{"hash":"e3b0"},"nodeProperties":{"mtime":"#,
    r#""2026-11-21T08:31:43.184758619+00:00","unixMode":33188}},{"path":"app/dist/out.txt","digest":{"hash":"5891","#,
    r#""sizeBytes":"6"},"isExecutable":true,"nodeProperties":{"unixMode":33261}}],"executionMetadata":{"worker":"#,
    r#""moon","outputUploadStartTimestamp":"2026-11-21T08:31:43.188394297+00:00"}}"#
);

fn every_field() -> ActionResult {
    let digest = Some(Digest { hash: "ab".into(), size_bytes: i64::MAX });
    let mtime = Some(Timestamp { seconds: 1, nanos: 2 });
    let properties = Some(NodeProperties {
        properties: vec![NodeProperty { name: "n".into(), value: "v".into() }],
        mtime,
        unix_mode: Some(0o755),
    });
    let link = OutputSymlink { path: "l".into(), target: "../t".into(), node_properties: properties.clone() };
    ActionResult {
        output_files: vec![OutputFile {
            path: "f".into(),
            digest: digest.clone(),
            is_executable: true,
            contents: vec![0xfb, 0xff],
            node_properties: properties,
        }],
        output_directories: vec![OutputDirectory {
            path: "d".into(),
            tree_digest: digest.clone(),
            is_topologically_sorted: true,
            root_directory_digest: digest.clone(),
        }],
        exit_code: -1,
        stdout_raw: b"out".to_vec(),
        stdout_digest: digest.clone(),
        stderr_raw: b"err".to_vec(),
        stderr_digest: digest,
        execution_metadata: Some(ExecutedActionMetadata {
            worker: "w".into(),
            queued_timestamp: mtime,
            virtual_execution_duration: Some(Duration { seconds: 1, nanos: 500_000_000 }),
            ..ExecutedActionMetadata::default()
        }),
        output_file_symlinks: vec![link.clone()],
        output_directory_symlinks: vec![link.clone()],
        output_symlinks: vec![link],
    }
}

#[test]
fn what_moon_puts_is_read() {
    let result = ActionResult::from_json(MOON.as_bytes()).unwrap();
    assert_eq!(result.output_files[0].digest, Some(Digest { hash: "e3b0".into(), size_bytes: 0 }));
    assert_eq!(result.output_files[1].digest, Some(Digest { hash: "5891".into(), size_bytes: 6 }));
    assert!(result.output_files[1].is_executable);
    let properties = result.output_files[0].node_properties.as_ref().unwrap();
    assert_eq!(properties.mtime, Some(Timestamp { seconds: 1_795_249_903, nanos: 184_758_619 }));
    assert_eq!(properties.unix_mode, Some(33188));
    assert_eq!(result.execution_metadata.unwrap().worker, "moon");
}

#[test]
fn every_field_is_read_as_it_was_written() {
    let text = String::from_utf8(every_field().to_json().unwrap()).unwrap();
    assert!(text.contains(r#""sizeBytes":"9223372036854775807""#), "{text}");
    assert!(text.contains(r#""contents":"+/8=""#), "{text}");
    assert!(text.contains(r#""mtime":"1970-01-01T00:00:01.000000002Z""#), "{text}");
    assert!(text.contains(r#""virtualExecutionDuration":"1.500s""#), "{text}");
    assert_eq!(ActionResult::from_json(text.as_bytes()).unwrap(), every_field());
}

#[test]
fn what_is_unset_is_left_out() {
    assert_eq!(ActionResult::default().to_json().unwrap(), b"{}");
}

#[test]
fn the_other_spellings_of_the_definition_are_read() {
    let text = r#"{"exit_code":"7","stdout_digest":{"hash":"ab","size_bytes":5},"stdoutRaw":"-_8"}"#;
    let result = ActionResult::from_json(text.as_bytes()).unwrap();
    assert_eq!((result.exit_code, result.stdout_raw), (7, vec![0xfb, 0xff]));
    assert_eq!(result.stdout_digest, Some(Digest { hash: "ab".into(), size_bytes: 5 }));
}

#[test]
fn a_moment_that_cannot_be_written_is_an_error_and_no_panic() {
    for moment in [Timestamp { seconds: i64::MAX, nanos: 0 }, Timestamp { seconds: 0, nanos: -1 }] {
        let metadata = ExecutedActionMetadata { queued_timestamp: Some(moment), ..ExecutedActionMetadata::default() };
        let result = ActionResult { execution_metadata: Some(metadata), ..ActionResult::default() };
        assert!(result.to_json().is_err(), "{moment:?}");
    }
}

#[test]
fn what_would_be_lost_or_misread_is_refused() {
    let refused = [
        r#"{"files":[]}"#,
        r#"{"exitCode":3000000000}"#,
        r#"{"exitCode":"seven"}"#,
        r#"{"exitCode":1.5}"#,
        r#"{"stdoutRaw":"!"}"#,
        r#"{"stdoutDigest":{"sizeBytes":"9223372036854775808"}}"#,
        r#"{"executionMetadata":{"queuedTimestamp":"yesterday"}}"#,
        "[]",
        "{",
        "",
    ];
    for text in refused {
        assert!(ActionResult::from_json(text.as_bytes()).is_err(), "{text}");
    }
}
