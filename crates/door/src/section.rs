//! A door's section of the configuration. Unknown keys are errors that name the nearest right key.

use larder_base::{Error, Result};
use serde::de::DeserializeOwned;

/// The table `[door.<name>]`, untouched by anyone but the door.
#[derive(Clone, Debug, Default)]
pub struct Section {
    name: String,
    table: toml::Table,
}

impl Section {
    /// The section of the door of this name.
    pub fn new(door: &str, table: toml::Table) -> Self {
        Self { name: format!("door.{door}"), table }
    }

    /// Reads the section. The type should refuse unknown fields and have a default for each.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`], naming the section, the key and the nearest right key.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        self.table.try_into().map_err(|error: toml::de::Error| {
            Error::invalid("read configuration", explain_toml_error(&self.name, error.message()))
        })
    }
}

/// A sentence on why a table could not be read: names the section, and for an unknown key the nearest known one.
pub fn explain_toml_error(section: &str, message: &str) -> String {
    let quoted = |text: &str| -> Vec<String> { text.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    let Some((unknown, expected)) =
        message.strip_prefix("unknown field ").and_then(|rest| rest.split_once(", expected "))
    else {
        return format!("{}{place}", message.trim());
    };
    let Some(unknown) = quoted(unknown).pop() else {
        return format!("{}{place}", message.trim());
    };
    let known = quoted(expected);
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, &unknown), name))
        .filter(|(distance, name)| *distance <= name.len().max(3) / 2)
        .min();
    match nearest {
        Some((_, nearest)) => format!("unknown key `{unknown}`{place}; did you mean `{nearest}`?"),
        None => format!("unknown key `{unknown}`{place}; the keys there are {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests;
