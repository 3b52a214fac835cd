//! Rows of several sources as one sequence.

use std::iter::Peekable;

use larder_base::Result;

/// A key and its row; `None` is a deleted row.
pub(crate) type RowChange<'a> = (&'a [u8], Option<&'a [u8]>);

/// Rows in the order of their keys.
pub(crate) type Source<'a> = Box<dyn Iterator<Item = Result<RowChange<'a>>> + 'a>;

/// The rows of all sources in the order of their keys; of one key that of the first source that has it.
pub(crate) struct Merged<'a> {
    sources: Vec<Peekable<Source<'a>>>,
}

impl<'a> Merged<'a> {
    /// Of two rows of one key that of the earlier source counts.
    pub(crate) fn new(sources: impl IntoIterator<Item = Source<'a>>) -> Self {
        Self { sources: sources.into_iter().map(Iterator::peekable).collect() }
    }
}

impl<'a> Iterator for Merged<'a> {
    type Item = Result<RowChange<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut least: Option<(usize, &'a [u8])> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            match source.peek() {
                Some(Ok((key, _))) if least.is_none_or(|(_, least)| *key < least) => least = Some((at, key)),
                Some(Err(_)) => return source.next(),
                _ => {}
            }
        }
        let (at, key) = least?;
        let found = self.sources[at].next();
        for source in &mut self.sources[at + 1..] {
            source.next_if(|row| row.as_ref().is_ok_and(|(other, _)| *other == key));
        }
        found
    }
}

#[cfg(test)]
mod tests;
