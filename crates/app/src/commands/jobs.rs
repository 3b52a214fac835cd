//! `larder jobs`: what the server does in the background.

use larder_base::{Result, Timestamp};
use serde_json::Value;

use crate::cli;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::out;
use crate::words::{ago, counted};

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
            out!("{}", line(context.now(), job));
        }
    }
    // What was asked for was not done; that other jobs fail is only told.
    let is_fault = options.run.is_some() && answer["state"] == "failing" && context.global.strict;
    Ok(if is_fault { Exit::Fault } else { Exit::Success })
}

fn line(now: Timestamp, job: &Value) -> String {
    let text = |name: &str| job[name].as_str().unwrap_or("");
    let number = |name: &str| job[name].as_u64().unwrap_or(0);
    let when = |at: u64| ago(now, Timestamp::from_millis(at));
    let run = &job["last_run"];
    let last = match (run["began_ms"].as_u64(), run["ended_ms"].as_u64()) {
        (None, _) => "has not run yet".to_owned(),
        (Some(began), None) => format!("began {} and was interrupted", when(began)),
        (Some(began), Some(ended)) => {
            let outcome = run["outcome"].as_str().unwrap_or("ran");
            format!("{outcome} {} after {} ms", when(ended), ended.saturating_sub(began))
        }
    };
    let steps = match (number("steps"), number("failures")) {
        // What this process has not done yet an earlier one did.
        (0, _) => run["did"].as_str().unwrap_or("").to_owned(),
        (steps, failures) => format!("{}, {failures} failed; {}", counted(steps, "step"), text("status")),
    };
    let reason = run["reason"].as_str().map_or_else(String::new, |reason| format!("; last time: {reason}"));
    let cut = job["last_interrupted_ms"].as_u64().filter(|cut| run["began_ms"].as_u64() != Some(*cut));
    let cut = cut.map_or_else(String::new, |began| format!("; what began {} was interrupted", when(began)));
    format!("{:14} {:8} {last}; {steps}{reason}{cut}", text("name"), text("state"))
}

#[cfg(test)]
mod tests;
