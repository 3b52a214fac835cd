//! The namespace of a folder: from its git remote, else its own name.

use std::fs;
use std::path::Path;

use larder_base::{NAMESPACE_MAX_BYTES, Namespace, Result};

/// The namespace to use in `directory`: the one that was asked for, else the `origin` remote's path (`acme~widget`), else
/// the folder's name.
///
/// # Errors
/// [`larder_base::ErrorKind::Invalid`] when what was asked for is no namespace.
pub fn namespace_of(asked: Option<&str>, directory: &Path) -> Result<Namespace> {
    if let Some(name) = asked {
        return Ok(name.parse()?);
    }
    let from_remote = git_config(directory).and_then(|config| origin_of(&config)).map(|url| name_of_remote(&url));
    let name = from_remote.unwrap_or_else(|| {
        let full = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        allowed(&full.file_name().unwrap_or_default().to_string_lossy())
    });
    // Made of allowed characters only; a folder such as `/` or `..` leaves nothing to name.
    Ok(name.parse().or_else(|_| "default".parse())?)
}

/// The text of the configuration of the git repository that `directory` is in. Read directly: git itself may be absent in
/// a container, or refuse a checkout that another user owns.
fn git_config(directory: &Path) -> Option<String> {
    let start = fs::canonicalize(directory).ok()?;
    let dot_git = start.ancestors().map(|folder| folder.join(".git")).find(|path| path.exists())?;
    let folder = if dot_git.is_dir() {
        dot_git
    } else {
        // A worktree or submodule: `.git` is a file that names the folder, which may name the common one.
        let text = fs::read_to_string(&dot_git).ok()?;
        let own = dot_git.parent()?.join(text.strip_prefix("gitdir:")?.trim());
        match fs::read_to_string(own.join("commondir")) {
            Ok(common) => own.join(common.trim()),
            Err(_) => own,
        }
    };
    fs::read_to_string(folder.join("config")).ok()
}

/// The URL of the remote `origin` in a git configuration.
fn origin_of(config: &str) -> Option<String> {
    let mut in_origin = false;
    for line in config.lines().map(str::trim) {
        if line.starts_with('[') {
            in_origin = line.replace(' ', "") == "[remote\"origin\"]";
        } else if in_origin
            && let Some((key, value)) = line.split_once('=')
            && key.trim() == "url"
        {
            return Some(value.trim().trim_matches('"').to_owned());
        }
    }
    None
}

/// `acme~widget` of `https://git.example/acme/widget.git` and of `git@git.example:acme/widget`.
fn name_of_remote(url: &str) -> String {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or(rest, |(_, path)| path),
        // The short form for SSH has a colon before the path; a local path has none.
        None => url.split_once(':').map_or(url, |(_, path)| path),
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let local = url.starts_with('/') || url.starts_with("file://");
    let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(allowed).collect();
    // Of a path on a disk only the last part is the project's.
    let kept = if local { parts.len().saturating_sub(1) } else { 0 };
    allowed(&parts[kept..].join("~"))
}

/// `text` with every character that a namespace may not have replaced, and cut to the length one may have.
fn allowed(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-~".contains(c) { c } else { '-' })
        .take(NAMESPACE_MAX_BYTES)
        .collect()
}

#[cfg(test)]
mod tests;
