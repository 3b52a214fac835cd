//! Layers of settings, each value with the place it came from.

use std::collections::BTreeMap;
use std::fmt;

use larder_base::{Error, Result};
use larder_door::{Origins, nearest, read_table};

use super::{Config, SETTINGS};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of this name.
    File(String),
    /// An environment variable of this name.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(name) => f.write_str(name),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(name) => write!(f, "{name}"),
        }
    }
}

/// Settings gathered so far; a later layer wins over an earlier one.
#[derive(Debug, Default)]
pub struct Layers {
    table: toml::Table,
    origins: Origins,
}

impl Layers {
    /// No settings: the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file's text.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`] when it is not TOML, with file and line.
    pub fn file(&mut self, name: &str, text: &str) -> Result<()> {
        let table: toml::Table = text
            .parse()
            .map_err(|error| Error::invalid("read configuration", format!("{name} is not TOML")).with_source(error))?;
        for (key, value) in table {
            self.note(&key, &value, &Source::File(name.to_owned()));
            self.table.insert(key, value);
        }
        Ok(())
    }

    /// Adds the environment: `LARDER_` and a key of [`SETTINGS`], or `LARDER_DOOR_<DOOR>_<KEY>` for one of `doors`. Other
    /// variables are not ours to judge.
    pub fn environment(&mut self, variables: &BTreeMap<String, String>, doors: &[&str]) {
        for setting in SETTINGS {
            if let Some(value) = variables.get(&setting.variable()).filter(|value| !value.is_empty()) {
                let value = if setting.is_text() { toml::Value::String(value.clone()) } else { value_of(value) };
                self.set(setting.key, value, &Source::Variable(setting.variable()));
            }
        }
        for (name, value) in variables {
            for door in doors {
                let prefix = format!("LARDER_DOOR_{}_", door.replace('-', "_").to_uppercase());
                if let Some(key) = name.strip_prefix(&prefix) {
                    let key = format!("door.{door}.{}", key.to_lowercase());
                    self.set(&key, value_of(value), &Source::Variable(name.clone()));
                }
            }
        }
    }

    /// Adds a flag of the command line.
    pub fn flag(&mut self, flag: &'static str, key: &str, value: impl Into<String>) {
        self.set(key, toml::Value::String(value.into()), &Source::Flag(flag));
    }

    /// The configuration that the layers make.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`], naming the key, where it came from, and for an unknown key the nearest one.
    pub fn config(mut self) -> Result<Config> {
        // "auto" is how the default is written; it has no number of its own.
        if self.table.get("quota").and_then(toml::Value::as_str) == Some("auto") {
            self.table.remove("quota");
        }
        if let Some(toml::Value::Table(bucket)) = self.table.get_mut("bucket")
            && bucket.get("quota").and_then(toml::Value::as_str) == Some("none")
        {
            bucket.remove("quota");
        }
        let mut config: Config = read_table("", self.table, &self.origins)?;
        config.origins = self.origins;
        Ok(config)
    }

    fn set(&mut self, key: &str, value: toml::Value, source: &Source) {
        self.origins.note(key, source.to_string());
        let mut table = &mut self.table;
        let mut parts = key.split('.').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                table.insert(part.to_owned(), value);
                return;
            }
            let inner = table.entry(part).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            // What is no table here is refused when the whole is read.
            let Some(inner) = inner.as_table_mut() else { return };
            table = inner;
        }
    }

    fn note(&mut self, key: &str, value: &toml::Value, source: &Source) {
        match value {
            toml::Value::Table(table) if !table.is_empty() => {
                for (inner, value) in table {
                    self.note(&format!("{key}.{inner}"), value, source);
                }
            }
            _ => self.origins.note(key, source.to_string()),
        }
    }
}

/// What to tell of variables that begin as ours do and are nearly one of ours: most likely a slip.
pub fn misspelt(variables: &BTreeMap<String, String>) -> Vec<String> {
    let known: Vec<String> = SETTINGS
        .iter()
        .map(super::Setting::variable)
        .chain(["LARDER_URL", "LARDER_NAMESPACE", "LARDER_TOKEN", "LARDER_CONFIG"].map(str::to_owned))
        .collect();
    let ours = variables.keys().filter(|name| name.starts_with("LARDER_") && !name.starts_with("LARDER_DOOR_"));
    ours.filter(|name| !known.contains(name))
        .filter_map(|name| {
            let nearest = nearest(known.iter().map(String::as_str), name)?;
            Some(format!("{name} is no setting and is not looked at; did you mean {nearest}?"))
        })
        .collect()
}

/// A variable's text as a value: numbers and booleans as such, all else a string.
fn value_of(text: &str) -> toml::Value {
    match text {
        "true" => toml::Value::Boolean(true),
        "false" => toml::Value::Boolean(false),
        _ => text.parse().map_or_else(|_| toml::Value::String(text.to_owned()), toml::Value::Integer),
    }
}
