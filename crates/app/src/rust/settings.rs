//! What changes the outcome of a build besides the compiler and the packages: environment, cargo's configuration, and
//! the profiles of the manifest.
//!
//! The rule for variables: what a compiler, a linker or a build script reads is in; what only says where files lie, how
//! to show progress or who is asking is out, because it differs between jobs that could share. Nothing whose name
//! sounds like a secret is looked at, not even to hash it. A variable wrongly left out costs a rebuild, never a wrong
//! one: cargo itself compares what build scripts read.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use larder_base::{Error, ErrorKind, Result};
use toml::{Table, Value};

use super::lock::without_credentials;
use super::project::Project;
use super::workspace::Workspace;

/// Sections of cargo's configuration that reach compilers and build scripts.
const SECTIONS: [&str; 8] = ["build", "env", "host", "paths", "profile", "source", "target", "unstable"];
/// Of `[build]`, the part that does.
const BUILD_KEYS: [&str; 4] = ["rustc", "rustc-wrapper", "rustflags", "target"];
/// Variables of cargo and rustc that do.
const RUST_VARIABLES: [&str; 8] = [
    "CARGO_BUILD_RUSTC",
    "CARGO_BUILD_RUSTC_WRAPPER",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WRAPPER",
    "RUSTFLAGS",
];
const RUST_PREFIXES: [&str; 3] = ["CARGO_HOST_", "CARGO_PROFILE_", "CARGO_UNSTABLE_"];
/// Of `CARGO_TARGET_<triple>_…`, the endings that do; `CARGO_TARGET_DIR` and the runner do not.
const TARGET_ENDINGS: [&str; 3] = ["_RUSTFLAGS", "_LINKER", "_AR"];
/// What native build scripts read: each alone, before `_` and more (`CC_x86_64-unknown-linux-gnu`), or after `HOST_`
/// or `TARGET_`.
const NATIVE_VARIABLES: [&str; 28] = [
    "AR",
    "ARFLAGS",
    "BINDGEN_EXTRA_CLANG_ARGS",
    "CC",
    "CFLAGS",
    "CLANG_PATH",
    "CMAKE",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "CPPFLAGS",
    "CRATE_CC",
    "CXX",
    "CXXFLAGS",
    "CXXSTDLIB",
    "C_INCLUDE_PATH",
    "LDFLAGS",
    "LIBCLANG_PATH",
    "LIBRARY_PATH",
    "LLVM_CONFIG_PATH",
    "MACOSX_DEPLOYMENT_TARGET",
    "NM",
    "OPENSSL",
    "PKG_CONFIG",
    "RANLIB",
    "RANLIBFLAGS",
    "SDKROOT",
    "VCPKG",
];
/// Of those, the ones that say how fast and not what.
const NOISE: [&str; 2] = ["CMAKE_BUILD_PARALLEL_LEVEL", "CC_ENABLE_DEBUG_OUTPUT"];
/// Words in a name that mark its value as a secret.
const SECRET_WORDS: [&str; 8] =
    ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "PRIVATE", "API_KEY"];

/// Cargo's configuration files, merged as cargo merges them.
#[derive(Clone, Debug, Default)]
pub(super) struct Configuration {
    merged: Table,
}

impl Configuration {
    /// Reads the files from the project's directory upward, and that of `CARGO_HOME`.
    ///
    /// # Errors
    /// When one cannot be read; cargo would refuse it too.
    pub(super) fn read(project: &Project) -> Result<Self> {
        let mut configuration = Self::default();
        let mut seen = BTreeSet::new();
        let above = project.directory.ancestors().map(|directory| directory.join(".cargo"));
        for directory in above.chain([project.cargo_home.clone()]) {
            // The name without ending is the old one, and wins.
            let Some(path) =
                ["config", "config.toml"].iter().map(|name| directory.join(name)).find(|path| path.is_file())
            else {
                continue;
            };
            let table = read_with_includes(&path, &mut seen)?;
            merge_below(&mut configuration.merged, table);
        }
        Ok(configuration)
    }

    /// The compiler that cargo runs.
    pub(super) fn rustc<'a>(&'a self, project: &'a Project) -> &'a OsStr {
        let said = ["RUSTC", "CARGO_BUILD_RUSTC"].iter().find_map(|name| project.variable(name));
        let configured = || self.merged.get("build")?.get("rustc")?.as_str();
        OsStr::new(said.or_else(configured).unwrap_or("rustc"))
    }

    /// The triples that are built for; empty when that is the host's.
    pub(super) fn targets(&self, project: &Project) -> Vec<String> {
        if !project.selection.targets.is_empty() {
            return project.selection.targets.clone();
        }
        if let Some(target) = project.variable("CARGO_BUILD_TARGET") {
            return vec![target.to_owned()];
        }
        match self.merged.get("build").and_then(|build| build.get("target")) {
            Some(Value::String(target)) => vec![target.clone()],
            Some(Value::Array(targets)) => targets.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    fn flatten(&self, into: &mut BTreeMap<String, String>) {
        for section in SECTIONS {
            let Some(value) = self.merged.get(section) else { continue };
            let mut flat = BTreeMap::new();
            flatten(&format!("config.{section}"), value, &mut flat);
            flat.retain(|name, _| {
                let last = name.rsplit('.').next().unwrap_or(name);
                let kept = match section {
                    "build" => BUILD_KEYS.iter().any(|key| name == &format!("config.build.{key}")),
                    "target" => last != "runner",
                    _ => true,
                };
                kept && !is_secret(name)
            });
            into.extend(flat);
        }
        if let Some(wrapper) = into.get_mut("config.build.rustc-wrapper") {
            *wrapper = file_name(wrapper);
        }
    }
}

/// Everything but compiler and lock that belongs into the key, by name.
///
/// # Errors
/// When the workspace's manifest cannot be read.
pub(super) fn collect(
    project: &Project,
    configuration: &Configuration,
    workspace: &Workspace,
) -> Result<BTreeMap<String, String>> {
    let mut settings = variables(&project.environment);
    configuration.flatten(&mut settings);
    let manifest_path = workspace.root.join("Cargo.toml");
    let manifest = read_toml(&manifest_path)?;
    if let Some(profiles) = manifest.get("profile") {
        flatten("manifest.profile", profiles, &mut settings);
    }
    if let Some(resolver) = manifest.get("workspace").and_then(|workspace| workspace.get("resolver")) {
        flatten("manifest.resolver", resolver, &mut settings);
    }
    // See the module `rust`: under another path, cargo takes no unit as fresh.
    settings.insert("cargo-home".to_owned(), project.cargo_home.to_string_lossy().into_owned());
    settings.insert("system".to_owned(), project.system.clone());
    for value in settings.values_mut() {
        *value = without_credentials(value);
    }
    Ok(settings)
}

/// Whether the build asks for code that fits this very processor.
pub(super) fn wants_native_cpu(settings: &BTreeMap<String, String>) -> bool {
    settings
        .iter()
        .any(|(name, value)| name.to_ascii_lowercase().contains("flags") && value.contains("target-cpu=native"))
}

fn variables(environment: &BTreeMap<OsString, OsString>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (name, value) in environment {
        let (name, value) = (name.to_string_lossy(), value.to_string_lossy());
        if !reaches_compilers(&name) || value.is_empty() {
            continue;
        }
        let value = match &*name {
            // Where the wrapper lies differs between machines; which it is does not.
            "RUSTC_WRAPPER" | "CARGO_BUILD_RUSTC_WRAPPER" => file_name(&value),
            _ if name.ends_with("FLAGS") => value.split_whitespace().collect::<Vec<_>>().join(" "),
            _ => value.into_owned(),
        };
        settings.insert(format!("env.{name}"), value);
    }
    settings
}

fn reaches_compilers(name: &str) -> bool {
    if is_secret(name) || NOISE.contains(&name) {
        return false;
    }
    if RUST_VARIABLES.contains(&name) || RUST_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
        return true;
    }
    if name.starts_with("CARGO_TARGET_") {
        return TARGET_ENDINGS.iter().any(|ending| name.ends_with(ending));
    }
    let bare = name.strip_prefix("HOST_").or_else(|| name.strip_prefix("TARGET_")).unwrap_or(name);
    NATIVE_VARIABLES
        .iter()
        .any(|variable| bare.strip_prefix(variable).is_some_and(|rest| rest.is_empty() || rest.starts_with('_')))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

fn file_name(path: &str) -> String {
    path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned()
}

fn flatten(name: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{name}.{key}"), value, into);
            }
        }
        Value::String(text) => {
            into.insert(name.to_owned(), text.clone());
        }
        other => {
            into.insert(name.to_owned(), other.to_string());
        }
    }
}

fn read_toml(path: &Path) -> Result<Table> {
    let failed = |kind, source: Box<dyn std::error::Error + Send + Sync>| {
        Error::new(kind, "read configuration", format!("cannot read {}", path.display()))
            .with_source(source)
            .with_hint("make it readable and valid TOML; `cargo check` says what is wrong with it")
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(ErrorKind::Failed, error.into()))?;
    toml::from_str(&text).map_err(|error| failed(ErrorKind::Invalid, error.into()))
}

fn read_with_includes(path: &Path, seen: &mut BTreeSet<PathBuf>) -> Result<Table> {
    if !seen.insert(path.to_owned()) {
        return Ok(Table::new());
    }
    let mut table = read_toml(path)?;
    let listed = match table.remove("include") {
        Some(Value::Array(listed)) => listed,
        Some(one) => vec![one],
        None => Vec::new(),
    };
    // A later file of the list wins over an earlier one, and the file itself over all of them.
    for include in listed.iter().rev() {
        let said = include.as_str().or_else(|| include.get("path")?.as_str());
        let optional = include.get("optional").and_then(Value::as_bool).unwrap_or(false);
        let Some(included) = said.map(|said| path.with_file_name("").join(said)) else { continue };
        if !optional || included.is_file() {
            merge_below(&mut table, read_with_includes(&included, seen)?);
        }
    }
    Ok(table)
}

/// Adds what `lower` says and `into` does not; lists are joined, with the stronger file's values last.
fn merge_below(into: &mut Table, lower: Table) {
    for (key, low) in lower {
        match (into.get_mut(&key), low) {
            (Some(Value::Table(high)), Value::Table(low)) => merge_below(high, low),
            (Some(Value::Array(high)), Value::Array(mut low)) => {
                low.append(high);
                *high = low;
            }
            (Some(_), _) => {}
            (None, low) => {
                into.insert(key, low);
            }
        }
    }
}

#[cfg(test)]
mod tests;
