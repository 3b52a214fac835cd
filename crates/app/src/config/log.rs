//! `[log]`: what is logged.

use std::fmt;
use std::str::FromStr;

use larder_door::nearest;
use serde::{Deserialize, Deserializer};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::units::Written;

/// `[log]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter of such by module.
    pub level: LogFilter,
    /// The form of a line.
    pub format: LogFormat,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// A level, or a filter by module, that is known to be one.
#[derive(Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// What a log can be told by its level.
const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

impl LogFilter {
    /// The filter that it is.
    pub fn filter(&self) -> EnvFilter {
        EnvFilter::try_new(&self.0).expect("it was parsed when it was read")
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".into())
    }
}

impl fmt::Debug for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LogFilter {
    type Err = String;

    /// A word that is no level is a module to [`EnvFilter`], and then all others are silent. So it must look like one of
    /// the modules that there are.
    fn from_str(text: &str) -> Result<Self, String> {
        // Blanks before a directive would make a module of a level, too.
        let directives: Vec<&str> = text.split(',').map(str::trim).filter(|directive| !directive.is_empty()).collect();
        if directives.is_empty() {
            return Err(no_level(text));
        }
        for directive in &directives {
            // What stands before it may be a span with fields, which have `=` of their own.
            let (before, tail) = directive.rsplit_once(']').unwrap_or(("", directive));
            let level = match tail.rsplit_once('=') {
                Some((_, level)) => level,
                None if !before.is_empty() || is_module(tail) => continue,
                None => tail,
            };
            if level.parse::<LevelFilter>().is_err() {
                return Err(no_level(level));
            }
        }
        let filter = directives.join(",");
        EnvFilter::try_new(&filter).map_err(|error| format!("{text:?} is no filter: {error}"))?;
        Ok(Self(filter))
    }
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Written { expected: "a level such as \"info\"", number: None }.read(deserializer)
    }
}

/// Whether a word alone means all that a module says.
fn is_module(word: &str) -> bool {
    let is_ours = word == "larder" || ["larder_", "door_"].iter().any(|ours| word.starts_with(ours));
    is_ours || word.contains("::")
}

fn no_level(word: &str) -> String {
    let longer = || LEVELS.into_iter().find(|level| word.starts_with(level));
    match nearest(LEVELS, word).or_else(longer) {
        Some(level) => format!("{word:?} is no level; did you mean {level}?"),
        None => format!(
            "{word:?} is no level; write error, warn, info, debug or trace, or one for a module: larder_store=debug"
        ),
    }
}

#[cfg(test)]
mod tests;
