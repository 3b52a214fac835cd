//! The few primitives from which bodies and rows are made: little-endian integers, lengths before bytes.

use larder_base::{ContentHash, Error, ErrorKind, Result};

/// Takes values off the front of bytes. Every step fails on bytes that are too short, and none panics.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    /// A reader of `bytes`, which are said to be `what`.
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    /// The error that says these bytes are not what they should be.
    pub(crate) fn malformed(&self) -> Error {
        Error::new(ErrorKind::Corrupt, "decode", format!("a malformed {}", self.what))
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("N bytes were taken"))
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str> {
        let length = usize::from(self.u16()?);
        let bytes = self.bytes(length)?;
        std::str::from_utf8(bytes).map_err(|_| self.malformed())
    }

    pub(crate) fn hash(&mut self) -> Result<ContentHash> {
        let bytes = self.bytes(ContentHash::KEY_LEN)?;
        ContentHash::from_key(bytes).ok_or_else(|| self.malformed())
    }

    /// A count of items that take at least `least` bytes each, so that a wrong count cannot ask for memory.
    pub(crate) fn count(&mut self, least: usize) -> Result<usize> {
        let count = self.u32()? as usize;
        if count > self.rest.len() / least { Err(self.malformed()) } else { Ok(count) }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.malformed()) }
    }
}

/// Puts values at the end of bytes.
#[derive(Default)]
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self(Vec::with_capacity(capacity))
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Text of at most 65535 bytes; every text kept here has a smaller limit of its own.
    pub(crate) fn text(&mut self, text: &str) {
        self.u16(u16::try_from(text.len()).expect("names, keys, writers and attributes are limited to far less"));
        self.bytes(text.as_bytes());
    }

    pub(crate) fn hash(&mut self, hash: &ContentHash) {
        self.bytes(&hash.to_key());
    }

    pub(crate) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("a list in one record has fewer than 2^32 items"));
    }
}
