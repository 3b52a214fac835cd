//! Which names and link targets a saved tree may hold.

/// What the names of files being written begin with. Such a name is never saved nor restored, and one found where a
/// tree is restored is what an interrupted restore left.
pub(crate) const UNFINISHED_PREFIX: &str = ".larder~";
/// The most bytes of a name on the file systems we know.
const NAME_MAX_BYTES: usize = 255;
/// The most bytes of a link's target (`PATH_MAX`, with its final zero).
const TARGET_MAX_BYTES: usize = 4095;

/// What is wrong with one component of a path, if anything.
pub(crate) fn name_problem(name: &str) -> Option<&'static str> {
    match name {
        "" => Some("the name is empty"),
        "." | ".." => Some("the name means another directory"),
        _ if name.contains('/') => Some("the name contains a slash"),
        _ if name.contains('\0') => Some("the name contains a zero byte"),
        _ if name.len() > NAME_MAX_BYTES => Some("the name is longer than 255 bytes"),
        _ if name.starts_with(UNFINISHED_PREFIX) => Some("the name is kept for files that are being restored"),
        _ => None,
    }
}

/// What is wrong with the target of a symbolic link that lies `depth` directories below the root, if anything.
///
/// A target may begin with as many `..` as the link lies deep and may have none later: what follows a name can be a
/// link itself, and going up from there could lead anywhere.
pub(crate) fn target_problem(depth: usize, target: &str) -> Option<&'static str> {
    if target.is_empty() {
        return Some("the link has no target");
    }
    if target.contains('\0') {
        return Some("the link's target contains a zero byte");
    }
    if target.len() > TARGET_MAX_BYTES {
        return Some("the link's target is longer than a path can be");
    }
    if target.starts_with('/') {
        return Some("the link's target is an absolute path, which leads outside of the tree");
    }
    let mut components = target.split('/').filter(|component| !matches!(*component, "" | "."));
    let ups = components.by_ref().take_while(|component| *component == "..").count();
    if ups > depth {
        return Some("the link's target leads outside of the tree");
    }
    if components.any(|component| component == "..") {
        return Some("the link's target goes up after going down, which may lead outside of the tree");
    }
    None
}

/// A path below a root as messages show it.
pub(crate) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests;
