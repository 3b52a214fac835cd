//! `larder stats` and `larder gc`: the server as its operator sees it.

use larder_base::Result;
use serde_json::Value;

use crate::cli;
use crate::config::{ByteSize, Quota};
use crate::context::Context;
use crate::exit::Exit;
use crate::terminal::out;

/// Shows what the server holds and how it is used.
pub fn stats(context: &Context) -> Result<Exit> {
    let status = context.runtime.block_on(context.server()?.status())?;
    if context.global.json {
        out!("{status}");
    } else {
        out!("{}", table(&status).trim_end());
    }
    Ok(Exit::Success)
}

/// Has the server bring its data under the quota.
pub fn gc(context: &Context, options: &cli::Gc) -> Result<Exit> {
    let quota = options.quota.map(Quota::bytes);
    let done = context.runtime.block_on(context.server()?.collect_garbage(quota))?;
    if context.global.json {
        out!("{done}");
    } else {
        out!("{}", table(&done).trim_end());
    }
    Ok(Exit::Success)
}

/// A JSON object as aligned lines; numbers that are bytes by their name as sizes, seconds to the millisecond, and nothing
/// of what there is not.
fn table(value: &Value) -> String {
    let mut lines = Vec::new();
    flatten("", value, &mut lines);
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    lines.iter().map(|(name, value)| format!("{name:width$}  {value}\n")).collect()
}

fn flatten(name: &str, value: &Value, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let inner = if name.is_empty() { field.clone() } else { format!("{name} {field}") };
                flatten(&inner.replace('_', " "), value, lines);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for item in items {
                let text = |field| item.get(field).and_then(Value::as_str);
                let label = format!("{name} {}", text("name").unwrap_or("-"));
                match (text("state"), text("status")) {
                    (Some(state), Some(status)) => lines.push((label, format!("{state} {status}"))),
                    _ => flatten(&label, &without_name(item), lines),
                }
            }
        }
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(plain).collect();
            lines.push((name.to_owned(), items.join(", ")));
        }
        Value::Number(number) if name.ends_with("bytes") || name.ends_with("quota") => {
            lines.push((
                name.to_owned(),
                number.as_u64().map_or_else(|| number.to_string(), |n| ByteSize(n).to_string()),
            ));
        }
        Value::Number(number) if number.is_f64() && name.ends_with("seconds") => {
            // Milliseconds are all that means anything.
            lines.push((name.to_owned(), format!("{:.3}", number.as_f64().expect("it is one"))));
        }
        other => lines.push((name.to_owned(), plain(other))),
    }
}

/// An item of which the label says the name.
fn without_name(item: &Value) -> Value {
    let mut item = item.clone();
    if let Value::Object(fields) = &mut item {
        fields.remove("name");
    }
    item
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
