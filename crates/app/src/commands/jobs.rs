//! `larder jobs`: what the server does in the background.

use larder_base::{Result, Timestamp};
use serde_json::Value;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::out;
use crate::time::ago;

/// Shows the jobs, or has one take a step and shows that one.
pub fn run(context: &Context, options: &cli::Jobs) -> Result<Exit> {
    let server = context.server()?;
    let answer = match &options.run {
        Some(name) => context.runtime.block_on(server.run_job(name))?,
        None => context.runtime.block_on(server.jobs())?,
    };
    if context.global.json {
        out!("{answer}");
    } else {
        let one = std::slice::from_ref(&answer);
        for job in answer["jobs"].as_array().map_or(one, Vec::as_slice) {
            out!("{}", line(context, job));
        }
    }
    // What was asked for was not done; that other jobs fail is only told.
    let is_fault = options.run.is_some() && answer["state"] == "failing" && context.global.strict;
    Ok(if is_fault { Exit::Fault } else { Exit::Success })
}

fn line(context: &Context, job: &Value) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or("");
    let number = |name: &str| job[name].as_u64().unwrap_or(0);
    let last = job["last_step_ms"].as_u64().map_or_else(
        || "has not run yet".to_owned(),
        |at| {
            let when = ago(context.now(), Timestamp::from_millis(at));
            format!(
                "ran {when} for {} ms, {} times, {} failed",
                number("last_took_ms"),
                number("steps"),
                number("failures")
            )
        },
    );
    let error = job["last_error"].as_str().map_or_else(String::new, |error| format!("; last error: {error}"));
    format!("{:14} {:8} {last}; {}{error}", text("name"), text("state"), text("status"))
}
