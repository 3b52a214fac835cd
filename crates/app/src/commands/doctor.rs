//! `larder doctor`: what would keep the cache from working here.

use std::fs;
use std::time::{Duration, Instant};

use larder_base::{ErrorKind, Key, Result};
use larder_proto::ci::Purpose;
use serde_json::{Value, json};

use crate::context::{Context, explain};
use crate::exit::Exit;
use crate::terminal::out;

/// How many round trips are timed.
const PINGS: u32 = 5;
/// A round trip above this makes every command feel it.
const SLOW: Duration = Duration::from_millis(100);

/// One thing that was looked at.
struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

/// Looks at everything and tells what it found.
pub fn run(context: &Context) -> Result<Exit> {
    let findings = [namespace(context), cache_folder(context), server(context), rights(context), latency(context)];
    let good = findings.iter().all(|finding| finding.good);
    if context.global.json {
        let list: Vec<Value> = findings
            .iter()
            .map(|finding| json!({"what": finding.what, "good": finding.good, "text": finding.text}))
            .collect();
        out!("{}", json!({"good": good, "findings": list}));
    } else {
        for Finding { what, good, text } in &findings {
            out!("{}  {what}: {text}", if *good { "ok   " } else { "wrong" });
        }
    }
    Ok(if good { Exit::Success } else { Exit::Found })
}

fn finding(what: &'static str, outcome: Result<String, String>) -> Finding {
    let good = outcome.is_ok();
    Finding { what, good, text: outcome.unwrap_or_else(|problem| problem) }
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

fn server(context: &Context) -> Finding {
    let asked = context.server().and_then(|server| context.runtime.block_on(server.status()));
    let outcome = match asked {
        Ok(status) => {
            let version = status["version"].as_str().unwrap_or("unknown");
            let doors = status["doors"].as_array().into_iter().flatten().filter_map(|door| door.as_str());
            let doors: Vec<_> = doors.collect();
            Ok(format!("{} runs version {version} with the doors {}", context.global.url, doors.join(", ")))
        }
        // It is there; only its own page is not for this token.
        Err(error) if error.kind() == ErrorKind::Denied => Ok(format!("{} is reached", context.global.url)),
        Err(error) => Err(format!("{}; start one with `larder serve`, or set LARDER_URL", explain(&error))),
    };
    finding("server", outcome)
}

fn rights(context: &Context) -> Finding {
    let key: Key = "larder doctor".parse().expect("the key is printable");
    let looked = context.ci().and_then(|ci| context.runtime.block_on(ci.lookup(&key, &[], Purpose::Check)));
    let outcome = looked.map(|_| "this namespace may be read".to_owned()).map_err(|error| explain(&error));
    finding("rights", outcome)
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
