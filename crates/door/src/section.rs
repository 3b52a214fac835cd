//! A door's section of the configuration. Unknown keys are errors that name the nearest right key.

use larder_base::Result;
use serde::de::DeserializeOwned;

use crate::table::{Origins, read_table};

/// The table `[door.<name>]`, untouched by anyone but the door.
#[derive(Clone, Debug, Default)]
pub struct Section {
    name: String,
    table: toml::Table,
    origins: Origins,
}

impl Section {
    /// The section of the door of this name.
    pub fn new(door: &str, table: toml::Table) -> Self {
        Self { name: format!("door.{door}"), table, origins: Origins::default() }
    }

    /// The section, with where its values came from: by their whole keys.
    #[must_use]
    pub fn with_origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Reads the section. The type should refuse unknown fields and have a default for each.
    ///
    /// # Errors
    /// [`larder_base::ErrorKind::Invalid`], naming the key, what it must be and where it came from; for an unknown key the
    /// nearest right one.
    pub fn parse<T: DeserializeOwned>(self) -> Result<T> {
        read_table(&self.name, self.table, &self.origins)
    }
}

#[cfg(test)]
mod tests;
