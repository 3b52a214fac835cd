//! `larder doctor`: what would keep the cache from working here.

use std::fs;
use std::time::{Duration, Instant};

use larder_base::{ErrorKind, Key, Result, chunk};
use larder_proto::ci::ExplainAnswer;
use serde_json::{Value, json};

use crate::config::ByteSize;
use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::terminal::out;
use crate::words::counted;

/// How many round trips are timed.
const PINGS: u32 = 5;
/// A round trip above this makes every command feel it.
const SLOW: Duration = Duration::from_millis(100);

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    what: &'static str,
    verdict: Verdict,
    text: String,
}

/// What a finding means for the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Good,
    /// It may be meant so, and should be known.
    Note,
    Wrong,
}

impl Finding {
    fn new(what: &'static str, verdict: Verdict, text: impl Into<String>) -> Self {
        Self { what, verdict, text: text.into() }
    }
}

/// Looks at everything and tells what it found.
pub fn run(context: &Context) -> Result<Exit> {
    let mut findings = vec![namespace(context), cache_folder(context)];
    findings.extend(server(context));
    findings.extend([rights(context), latency(context)]);
    let good = findings.iter().all(|finding| finding.verdict != Verdict::Wrong);
    if context.global.json {
        let list: Vec<Value> = findings
            .iter()
            .map(|Finding { what, verdict, text }| {
                json!({"what": what, "good": *verdict != Verdict::Wrong, "note": *verdict == Verdict::Note, "text": text})
            })
            .collect();
        out!("{}", json!({"good": good, "findings": list}));
    } else {
        for Finding { what, verdict, text } in &findings {
            let word = match verdict {
                Verdict::Good => "ok   ",
                Verdict::Note => "note ",
                Verdict::Wrong => "wrong",
            };
            out!("{word}  {what}: {text}");
        }
    }
    Ok(if good { Exit::Success } else { Exit::Found })
}

fn finding(what: &'static str, outcome: Result<String, String>) -> Finding {
    match outcome {
        Ok(text) => Finding::new(what, Verdict::Good, text),
        Err(problem) => Finding::new(what, Verdict::Wrong, problem),
    }
}

fn namespace(context: &Context) -> Finding {
    let named = context.namespace().map(|namespace| namespace.to_string());
    finding("namespace", named.map_err(|error| explain(&error)))
}

fn cache_folder(context: &Context) -> Finding {
    let outcome = match context.cache_folder() {
        None => Err("neither XDG_CACHE_HOME nor HOME is set; every file is read again at each save".to_owned()),
        Some(folder) => {
            let probe = folder.join("doctor");
            match fs::create_dir_all(&folder)
                .and_then(|()| fs::write(&probe, ""))
                .and_then(|()| fs::remove_file(&probe))
            {
                Ok(()) => Ok(format!("{} can be written", folder.display())),
                Err(error) => Err(format!("{} cannot be written: {error}", folder.display())),
            }
        }
    };
    finding("memory of unchanged files", outcome)
}

/// Whether the server is there, and what it tells of itself to whom it does.
fn server(context: &Context) -> Vec<Finding> {
    let asked = context.server().and_then(|server| context.runtime.block_on(server.status()));
    let status = match asked {
        Ok(status) => status,
        // It is there; only its own page is not for this token.
        Err(error) if error.kind() == ErrorKind::Denied => {
            return vec![finding("server", Ok(format!("{} is reached", context.global.url)))];
        }
        Err(error) => return vec![finding("server", Err(explain(&error)))],
    };
    let version = status["version"].as_str().unwrap_or("unknown");
    let doors = status["doors"].as_array().into_iter().flatten().filter_map(|door| door.as_str());
    let doors: Vec<_> = doors.collect();
    let there = format!("{} runs version {version} with the doors {}", context.global.url, doors.join(", "));
    let found = [Some(finding("server", Ok(there))), store(&status["store"]), upstream(&status["node"])];
    found.into_iter().flatten().collect()
}

/// Whether the store takes what is saved.
fn store(status: &Value) -> Option<Finding> {
    let (used, quota) = (status["bytes"].as_u64()?, status["quota"].as_u64()?);
    let sizes = format!("{} of a quota of {}", ByteSize(used), ByteSize(quota));
    let outcome = if let Some(cause) = status["poisoned"].as_str() {
        Err(format!("it takes no writes since one failed ({cause}): look at the disk, then restart the server"))
    } else if status["disk_full"] == true {
        Err("the disk had no space at the last write: free some, or lower the quota".to_owned())
    } else if used.saturating_add(chunk::MAX_LEN as u64) > quota {
        // Eviction begins well before and ends lower: what stays so is all promised, and saves are refused.
        Err(format!("it is full, {sizes}: raise the quota, or wait until what is not used may be dropped"))
    } else {
        Ok(sizes)
    };
    Some(finding("store", outcome))
}

/// Whether the Larder above a node takes what is saved.
fn upstream(node: &Value) -> Option<Finding> {
    let last =
        |texts: &Value| texts.as_array().and_then(|texts| texts.last()).and_then(Value::as_str).map(str::to_owned);
    let why = |said: Option<String>| said.map_or_else(String::new, |said| format!(": {said}"));
    let reachable = node["reachable"].as_bool()?;
    let outcome = match node["refused"].as_u64() {
        _ if !reachable => {
            let said = node["last_error"].as_str().map(str::to_owned);
            Err(format!("it does not answer{}; what is saved waits at the node", why(said)))
        }
        Some(refused @ 1..) => {
            let those = counted(refused, "entry");
            let said = why(last(&node["notes"]));
            let advice = "if it refuses all, check the node's upstream.token and upstream.scope";
            let text =
                format!("since the node's start it refused {those}, which nobody gets elsewhere{said}; {advice}");
            // One that was too large is no fault of the node's.
            return Some(Finding::new("upstream", Verdict::Note, text));
        }
        _ => Ok("it answers, and refused nothing".to_owned()),
    };
    Some(finding("upstream", outcome))
}

fn rights(context: &Context) -> Finding {
    let key: Key = "larder doctor".parse().expect("the key is printable");
    match context.ci().and_then(|ci| context.runtime.block_on(ci.explain(&key, &[]))) {
        Ok(ExplainAnswer { writes: Some(scope), .. }) => {
            finding("rights", Ok(format!("this namespace may be read, and written in scope {scope}")))
        }
        Ok(_) => {
            let text = "this namespace may be read only: every save is refused. A token that may write has a scope for it, \
                        as from `larder token create --write SCOPE`";
            Finding::new("rights", Verdict::Note, text)
        }
        Err(error) => finding("rights", Err(explain(&error))),
    }
}

fn latency(context: &Context) -> Finding {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let start = Instant::now();
        match context.server().and_then(|server| {
            let request = http::Request::get("/healthz").body(bytes::Bytes::new()).expect("the request is a constant");
            context.runtime.block_on(server.exchange(request, Duration::ZERO))
        }) {
            Ok(_) => times.push(start.elapsed()),
            Err(error) => return finding("round trip", Err(explain(&error))),
        }
    }
    times.sort();
    let median = times[times.len() / 2];
    let text = format!("{:.1} ms", median.as_secs_f64() * 1000.0);
    finding("round trip", if median <= SLOW { Ok(text) } else { Err(format!("{text}: a server nearer by would help")) })
}

#[cfg(test)]
mod tests;
