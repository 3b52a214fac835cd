//! Slips of the pen.

/// Which of the names that there are was probably meant by one that there is not: the nearest, at one slip in three letters
/// and three at most.
pub fn nearest<'a>(known: impl IntoIterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    let slips = (name.chars().count() / 3).clamp(1, 3);
    let known = known.into_iter().map(|known| (strsim::damerau_levenshtein(known, name), known));
    known.min_by_key(|(distance, _)| *distance).filter(|(distance, _)| *distance <= slips).map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
