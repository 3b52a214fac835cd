//! The load that both sides of a comparison get: HTTP/1.1 over loopback, as cheap as a client can be.
//!
//! Every mode prints one JSON object and exits 0; a wrong answer from the server is counted, never ignored.

mod body;
mod connection;
mod many;
mod paced;
mod parts;
mod report;
mod serve;
mod split;
mod whole;

use std::process::ExitCode;
use std::time::Duration;

use many::{Load, Verb};

const USAGE: &str = "\
load get   --addr A --prefix P --keys N [--seconds S] [--connections C] [--size B]
load put   --addr A --prefix P --keys N [--first K] [--seconds S] [--connections C] [--size B]
load split --addr A --prefix P --keys N [--first K] [--size B]     head and body in two writes, Nagle on
load paced --addr A --rate N --seconds S [--connections C] {METHOD:/path BODY EXPECTED}...
                                                                   operations at a fixed rate; BODY is a file or -
load parts --addr A --size B [--connections C] FILE TARGETS        PUT a file in parts, to one line of TARGETS each; prints tags
load send  --addr A --path P FILE                                  PUT a whole file
load fetch --addr A --path P                                       GET to standard output
load serve --addr A [--size B]                                     answers anything at once: the ceiling of loopback";

fn main() -> ExitCode {
    let mut args = pico_args::Arguments::from_env();
    match run(&mut args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &mut pico_args::Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let mode = args.subcommand()?.ok_or(USAGE)?;
    let addr = args.value_from_str("--addr")?;
    match mode.as_str() {
        "get" | "put" => {
            let load = Load {
                verb: if mode == "get" { Verb::Get } else { Verb::Put },
                addr,
                prefix: args.value_from_str("--prefix")?,
                first: args.opt_value_from_str("--first")?.unwrap_or(0),
                keys: args.value_from_str("--keys")?,
                limit: args.opt_value_from_str("--seconds")?.map(Duration::from_secs_f64),
                connections: args.opt_value_from_str("--connections")?.unwrap_or(32),
                size: args.opt_value_from_str("--size")?.unwrap_or(4096),
            };
            println!("{}", many::run(&load)?);
        }
        "split" => {
            let report = split::run(
                addr,
                &args.value_from_str::<_, String>("--prefix")?,
                args.opt_value_from_str("--first")?.unwrap_or(0),
                args.value_from_str("--keys")?,
                args.opt_value_from_str("--size")?.unwrap_or(4096),
            )?;
            println!("{report}");
        }
        "paced" => {
            let rate = args.value_from_str("--rate")?;
            let limit = Duration::from_secs_f64(args.value_from_str("--seconds")?);
            let connections = args.opt_value_from_str("--connections")?.unwrap_or(64);
            let steps = steps(&strings(args)?)?;
            println!("{}", paced::run(&paced::Load { addr, rate, connections, limit, steps })?);
        }
        "parts" => {
            let size = args.value_from_str("--size")?;
            let connections = args.opt_value_from_str("--connections")?.unwrap_or(8);
            let file: std::path::PathBuf = args.free_from_str()?;
            let targets = std::fs::read_to_string(args.free_from_str::<std::path::PathBuf>()?)?;
            for tag in parts::send(addr, &file, size, connections, &targets.lines().collect::<Vec<_>>())? {
                println!("{tag}");
            }
        }
        "send" => {
            let path: String = args.value_from_str("--path")?;
            whole::send(addr, &path, &args.free_from_str::<std::path::PathBuf>()?)?;
        }
        "fetch" => whole::fetch(addr, &args.value_from_str::<_, String>("--path")?)?,
        "serve" => serve::run(addr, args.opt_value_from_str("--size")?.unwrap_or(4096))?,
        other => return Err(format!("no mode {other}\n{USAGE}").into()),
    }
    Ok(())
}

fn strings(args: &mut pico_args::Arguments) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let rest = args.clone().finish();
    rest.into_iter().map(|text| text.into_string().map_err(|text| format!("{text:?} is no text").into())).collect()
}

/// Triples of method and path, body, and what the answer must contain.
fn steps(rest: &[String]) -> Result<Vec<paced::Step>, Box<dyn std::error::Error>> {
    if rest.is_empty() || !rest.len().is_multiple_of(3) {
        return Err(USAGE.into());
    }
    let steps = rest.chunks(3).map(|triple| {
        let body = if triple[1] == "-" { Vec::new() } else { std::fs::read(&triple[1])? };
        Ok(paced::Step::new(&triple[0], &body, &triple[2])?)
    });
    steps.collect()
}
