//! `larder server check-bucket`: whether the configured bucket gives what Larder needs.

use std::collections::BTreeMap;

use larder_base::{Error, ErrorKind, Result};
use larder_remote::s3::{BucketReport, CheckOutcome, check_bucket};
use serde_json::json;

use super::serve;
use crate::bucket::{bucket, nonce};
use crate::cli;
use crate::exit::Exit;
use crate::terminal::out;

/// Runs the command.
pub fn run(options: &cli::CheckBucket, as_json: bool, environment: &BTreeMap<String, String>) -> Result<Exit> {
    let config = serve::configuration(&options.as_serve(), environment)?;
    let bucket = bucket(&config.bucket, environment)?.ok_or_else(|| {
        Error::invalid("check bucket", "no bucket is configured")
            .with_hint("set bucket.url in the configuration, or LARDER_BUCKET_URL")
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Failed, "start the runtime", "the system refused").with_source(error))?;
    let report = runtime.block_on(check_bucket(&bucket, nonce()));
    if as_json {
        out!("{}", json!({"good": report.is_good(), "bucket": report.bucket, "steps": report.steps}));
    } else {
        print(&report);
    }
    Ok(if report.is_good() { Exit::Success } else { Exit::Found })
}

fn print(report: &BucketReport) {
    for step in &report.steps {
        out!("{:<8} {}", step.outcome, step.name);
        // What was not tried is explained by the step that it hangs on.
        if step.outcome == CheckOutcome::Skipped {
            continue;
        }
        for line in step.problem.iter().chain(&step.remedy) {
            out!("         {line}");
        }
    }
    let verdict = if report.is_good() { "can be used" } else { "cannot be used yet: see docs/bucket.md" };
    out!("the bucket {} {verdict}", report.bucket);
}
