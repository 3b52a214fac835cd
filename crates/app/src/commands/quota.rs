//! `larder quota`: what a namespace holds, and may hold.

use larder_base::{Result, Timestamp};
use larder_proto::ci::UsageAnswer;
use serde_json::json;

use crate::config::ByteSize;
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::out;
use crate::words::{ago, counted};

/// Runs the command.
pub fn run(context: &Context) -> Result<Exit> {
    let usage = context.runtime.block_on(context.ci()?.usage())?;
    if context.global.json {
        out!("{}", json!(usage));
    } else {
        out!("{}", describe(context, &usage)?.trim_end());
    }
    Ok(Exit::Success)
}

fn describe(context: &Context, usage: &UsageAnswer) -> Result<String> {
    let limit = |bytes: Option<u64>| bytes.map_or_else(|| "none".to_owned(), |bytes| ByteSize(bytes).to_string());
    let measured = usage
        .measured_ms
        .map_or_else(|| "not yet, or it holds nothing".to_owned(), |at| ago(context.now(), Timestamp::from_millis(at)));
    let mut text = format!(
        "namespace     {}\nentries       {}\nheld          {}\nstored        {}\nquota         {}\nof a writer   {}\nmeasured      {measured}\n",
        context.namespace()?,
        usage.entries,
        ByteSize(usage.logical_bytes),
        ByteSize(usage.stored_bytes),
        limit(usage.quota),
        limit(usage.owner_quota),
    );
    for writer in &usage.writers {
        text += &format!(
            "written by {}: {}, {} held, {} stored\n",
            writer.writer,
            counted(writer.entries, "entry"),
            ByteSize(writer.logical_bytes),
            ByteSize(writer.stored_bytes)
        );
    }
    Ok(text)
}
