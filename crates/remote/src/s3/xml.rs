//! The few documents that object stores answer with, as a tree.

use larder_base::{Error, ErrorKind, Result};
use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;

/// How deep a document may nest; those of S3 reach four.
const DEPTH_MAX: usize = 16;

/// An element: name without its prefix, text, and elements inside.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    /// Reads a document. The caller has bounded its length.
    pub(super) fn parse(document: &[u8]) -> Result<Self> {
        let unreadable = |what: String| Error::new(ErrorKind::Failed, "read answer", format!("no good XML: {what}"));
        let document = std::str::from_utf8(document).map_err(|_| unreadable("not UTF-8".into()))?;
        let mut reader = Reader::from_str(document);
        let mut open = vec![Self::default()];
        loop {
            let depth = open.len();
            let top = open.last_mut().expect("the document itself is never closed");
            match reader.read_event().map_err(|error| unreadable(error.to_string()))? {
                Event::Start(_) if depth > DEPTH_MAX => return Err(unreadable("it nests too deep".into())),
                Event::Start(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    open.push(Self { name, ..Self::default() });
                }
                Event::Empty(tag) => {
                    let name = tag.local_name().as_ref().to_owned();
                    top.children.push(Self { name, ..Self::default() });
                }
                Event::End(_) => {
                    let done = open.pop().expect("the reader matches ends to starts");
                    open.last_mut().ok_or_else(|| unreadable("an end too many".into()))?.children.push(done);
                }
                Event::Text(text) => top.text.push_str(&text),
                Event::CData(text) => top.text.push_str(&text),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(character)) => top.text.push(character),
                    Ok(None) => top.text.push_str(resolve_predefined_entity(&reference).unwrap_or_default()),
                    Err(error) => return Err(unreadable(error.to_string())),
                },
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
                Event::Eof if depth > 1 => return Err(unreadable("it ends in the middle".into())),
                Event::Eof => break,
            }
        }
        let mut document = open.pop().expect("the document itself is never closed");
        document.children.pop().ok_or_else(|| unreadable("it is empty".into()))
    }

    /// The first element of a name inside.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The elements of a name inside.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first element of a name inside, if it has any.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str()).filter(|text| !text.is_empty())
    }

    /// As [`Element::text`]; without it the answer is of no use.
    pub(super) fn need(&self, name: &str) -> Result<&str> {
        self.text(name).ok_or_else(|| {
            Error::new(ErrorKind::Failed, "read answer", format!("the answer {} has no {name}", self.name))
                .with_hint("is the endpoint an S3-compatible object store?")
        })
    }
}

/// Text as the content of an element.
pub(super) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

#[cfg(test)]
mod tests;
