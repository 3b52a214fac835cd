//! The system a build runs on, as far as it tells builds apart.

/// The release that an `os-release` file names, such as `debian-12`; `unknown` when it names none.
pub(crate) fn system_release(os_release: &str) -> String {
    let field = |name: &str| {
        let value = os_release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))?;
        Some(value.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
    };
    match (field("ID"), field("VERSION_ID").or_else(|| field("BUILD_ID"))) {
        (Some(id), Some(version)) => format!("{id}-{version}"),
        (Some(id), None) => id,
        (None, _) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests;
