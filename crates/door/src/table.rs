//! Tables of the configuration: read into a type, with errors that say which value is wrong, what it must be, and where it
//! came from.

use std::collections::BTreeMap;

use larder_base::{Error, Result};
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::nearest::nearest;

/// Where the values of a configuration came from: whole keys, such as `door.http.max_value`, and a few words for each.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<String, String>);

impl Origins {
    /// Notes where the value of a key came from; what was noted before is forgotten.
    pub fn note(&mut self, key: impl Into<String>, origin: impl Into<String>) {
        self.0.insert(key.into(), origin.into());
    }

    /// Where a key's value came from: the value itself, else the first within it, else the table or list around it.
    pub fn of(&self, key: &str) -> Option<&str> {
        let within = format!("{key}.");
        let first_within = || self.0.range(within.clone()..).next().filter(|(inner, _)| inner.starts_with(&within));
        let mut around = std::iter::successors(Some(key), |key| Some(key.rsplit_once('.')?.0)).skip(1);
        let found = self.0.get_key_value(key).or_else(first_within);
        found.or_else(|| around.find_map(|key| self.0.get_key_value(key))).map(|(_, origin)| origin.as_str())
    }

    /// What ends a sentence on a key: ` (from larder.toml)`, or nothing where that is not known.
    pub fn suffix(&self, key: &str) -> String {
        self.of(key).map_or_else(String::new, |origin| format!(" (from {origin})"))
    }
}

/// Reads the table of this name, which is empty for the outermost. The type should refuse unknown fields.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`], naming the key, what it must be and where it came from; for an unknown key the
/// nearest right one.
pub fn read_table<T: DeserializeOwned>(name: &str, table: toml::Table, origins: &Origins) -> Result<T> {
    serde_path_to_error::deserialize(toml::Value::Table(table)).map_err(|error| {
        let (sentence, key) = explain(name, error.path(), error.inner().message().trim());
        Error::invalid("read configuration", sentence + &origins.suffix(&key))
    })
}

/// Where in a table a value stands.
struct Place {
    /// In words.
    spoken: String,
    /// Its key, as far as keys go: up to the list that it is an item of.
    key: String,
    is_in_list: bool,
}

impl Place {
    fn new<'a>(table: &str, path: impl Iterator<Item = &'a Segment>) -> Self {
        let mut place = Self { spoken: table.to_owned(), key: table.to_owned(), is_in_list: false };
        let mut follows_item = false;
        for segment in path {
            match segment {
                Segment::Map { key } => {
                    place.spoken += match follows_item {
                        true => ", ",
                        false if place.spoken.is_empty() => "",
                        false => ".",
                    };
                    place.spoken += key;
                    if !place.is_in_list {
                        place.key.clone_from(&place.spoken);
                    }
                    follows_item = false;
                }
                Segment::Seq { index } => {
                    place.spoken += &format!(" number {}", index + 1);
                    place.is_in_list = true;
                    follows_item = true;
                }
                Segment::Enum { .. } | Segment::Unknown => {}
            }
        }
        place
    }
}

/// A sentence on why a table could not be read, and the key that it is about.
fn explain(table: &str, path: &Path, message: &str) -> (String, String) {
    let place = Place::new(table, path.iter());
    if let Some((unknown, known)) = expected(message, &["unknown field "]) {
        let unknown = quoted(unknown).concat();
        let around = match path.iter().next_back() {
            Some(Segment::Map { key }) if *key == unknown => Place::new(table, path.iter().take(path.iter().len() - 1)),
            _ => place,
        };
        return unknown_key(&around, &unknown, &quoted(known));
    }
    if let Some(missing) = message.strip_prefix("missing field ") {
        return (format!("{} lacks {missing}", place.spoken), place.key);
    }
    let sentence = if let Some((_, variants)) = expected(message, &["unknown variant "]) {
        let variants: Vec<String> = quoted(variants).iter().map(|variant| format!("{variant:?}")).collect();
        format!("{} must be {}", place.spoken, variants.join(" or "))
    } else if let Some((found, wanted)) = expected(message, &["invalid type: ", "invalid value: "]) {
        format!("{} must be {}", place.spoken, in_words(wanted, found, &place))
    } else if place.spoken.is_empty() {
        message.to_owned()
    } else {
        format!("{}: {message}", place.spoken)
    };
    (sentence, place.key)
}

fn unknown_key(around: &Place, unknown: &str, known: &[&str]) -> (String, String) {
    let place = match around.spoken.as_str() {
        "" => String::new(),
        spoken if around.is_in_list => format!(" in {spoken}"),
        spoken => format!(" in [{spoken}]"),
    };
    let sentence = match nearest(known.iter().copied(), unknown) {
        Some(nearest) => format!("unknown key `{unknown}`{place}; did you mean `{nearest}`?"),
        None if known.is_empty() => format!("unknown key `{unknown}`{place}; no key is known there"),
        None => format!("unknown key `{unknown}`{place}; the keys there are {}", known.join(", ")),
    };
    let key = match around.key.as_str() {
        "" => unknown.to_owned(),
        list if around.is_in_list => list.to_owned(),
        table => format!("{table}.{unknown}"),
    };
    (sentence, key)
}

/// What a message that begins so found, and what it expected; a type without keys expects nothing.
fn expected<'a>(message: &'a str, beginnings: &[&str]) -> Option<(&'a str, &'a str)> {
    // What was found comes first, and may say anything.
    let rest = beginnings.iter().find_map(|beginning| message.strip_prefix(beginning))?;
    rest.rsplit_once(", expected ").or_else(|| rest.rsplit_once(", there are no fields").map(|(found, _)| (found, "")))
}

/// The parts of a text between backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// What a value must be, said to someone who writes TOML and not Rust.
fn in_words(wanted: &str, found: &str, place: &Place) -> String {
    let number_to = |most: u64| format!("a whole number from 0 to {most}");
    match wanted {
        "a string" | "string only" => "text in quotes".into(),
        "path string" => "a path in quotes".into(),
        "a boolean" => "true or false".into(),
        "u8" => number_to(u8::MAX.into()),
        "u16" => number_to(u16::MAX.into()),
        "u32" => number_to(u32::MAX.into()),
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "i32" | "i64" => "a whole number".into(),
        "a sequence" if found.starts_with("map") => format!("a list; write [[{}]]", place.spoken),
        "a sequence" => "a list".into(),
        table if table == "a map" || table.starts_with("struct ") => {
            if place.is_in_list {
                "a table".into()
            } else {
                format!("a table; write [{}]", place.spoken)
            }
        }
        // A type of ours says it itself.
        other => other.into(),
    }
}

#[cfg(test)]
mod tests;
