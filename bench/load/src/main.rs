//! The load that both sides of a comparison get: HTTP/1.1 over loopback, as cheap as a client can be.
//!
//! Every mode prints one JSON object and exits 0; a wrong answer from the server is counted, never ignored.

mod body;
mod connection;
mod many;
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
