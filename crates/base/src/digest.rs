//! Names of content.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;

/// The function that made a hash. It is part of every key: equal bytes under two functions are two names.
///
/// The numbers are written to disk and to the wire (`docs/format.md`); never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum HashFunction {
    /// SHA-256, 32 bytes: what Larder uses unless a protocol asks for another.
    Sha256 = 1,
}

impl HashFunction {
    /// The function with this number on disk.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The number of this function on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// A hash and the function that made it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash {
    function: HashFunction,
    bytes: [u8; 32],
}

impl ContentHash {
    /// Bytes of the form that [`ContentHash::to_key`] writes.
    pub const KEY_LEN: usize = 33;

    /// A SHA-256 hash made elsewhere.
    pub const fn sha256(bytes: [u8; 32]) -> Self {
        Self { function: HashFunction::Sha256, bytes }
    }

    /// The hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::sha256(sha2::Sha256::digest(content).into())
    }

    /// The function that made the hash.
    pub const fn function(&self) -> HashFunction {
        self.function
    }

    /// The hash itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The form that orders and compares on disk: the function's number, then the hash.
    pub fn to_key(&self) -> [u8; Self::KEY_LEN] {
        let mut key = [0; Self::KEY_LEN];
        key[0] = self.function.code();
        key[1..].copy_from_slice(&self.bytes);
        key
    }

    /// Reads what [`ContentHash::to_key`] wrote; `None` for another length or an unknown function.
    pub fn from_key(key: &[u8]) -> Option<Self> {
        let (&code, bytes) = key.split_first()?;
        Some(Self { function: HashFunction::from_code(code)?, bytes: bytes.try_into().ok()? })
    }

    /// Lower-case hexadecimal, 64 characters.
    pub fn to_hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut hex = String::with_capacity(64);
        for byte in self.bytes {
            hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
            hex.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
        hex
    }
}

impl FromStr for ContentHash {
    type Err = InvalidHash;

    /// Reads a SHA-256 hash of 64 hexadecimal digits, in either case.
    fn from_str(hex: &str) -> Result<Self, InvalidHash> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().map_err(|_| InvalidHash)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(InvalidHash)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(InvalidHash)?;
            *byte = u8::try_from(high << 4 | low).map_err(|_| InvalidHash)?;
        }
        Ok(Self::sha256(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex()[..16])
    }
}

/// The text was not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 hash is 64 hexadecimal digits")]
pub struct InvalidHash;

/// The name of a blob: what its bytes hash to, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    /// What the bytes hash to.
    pub hash: ContentHash,
    /// How many bytes there are.
    pub size: u64,
}

impl Digest {
    /// The digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self { hash: ContentHash::of(content), size: content.len() as u64 }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hash, self.size)
    }
}

/// Makes a [`Digest`] from bytes that arrive in pieces.
#[derive(Clone, Default)]
pub struct Hasher {
    state: sha2::Sha256,
    size: u64,
}

impl Hasher {
    /// A hasher for [`HashFunction::Sha256`] that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.state.update(piece);
        self.size += piece.len() as u64;
    }

    /// Bytes taken in so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all pieces in order.
    pub fn finish(self) -> Digest {
        Digest { hash: ContentHash::sha256(self.state.finalize().into()), size: self.size }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("size", &self.size).finish_non_exhaustive()
    }
}
