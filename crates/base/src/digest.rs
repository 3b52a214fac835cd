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
    /// BLAKE3, 32 bytes: four times as fast, for those protocols whose both ends are ours.
    Blake3 = 2,
}

impl HashFunction {
    /// What names everything in a saved tree, and so the chunks of the ci protocol (`docs/design/002-blake3.md`).
    pub const TREE: Self = Self::Blake3;

    /// The function with this number on disk.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Sha256),
            2 => Some(Self::Blake3),
            _ => None,
        }
    }

    /// The number of this function on disk.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The hash of `content`.
    pub fn hash(self, content: &[u8]) -> ContentHash {
        let bytes = match self {
            Self::Sha256 => sha2::Sha256::digest(content).into(),
            Self::Blake3 => blake3::hash(content).into(),
        };
        ContentHash { function: self, bytes }
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

    /// A hash made elsewhere.
    pub const fn new(function: HashFunction, bytes: [u8; 32]) -> Self {
        Self { function, bytes }
    }

    /// A SHA-256 hash made elsewhere.
    pub const fn sha256(bytes: [u8; 32]) -> Self {
        Self { function: HashFunction::Sha256, bytes }
    }

    /// The SHA-256 hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        HashFunction::Sha256.hash(content)
    }

    /// Whether this is what `content` hashes to, by the function that made this hash.
    pub fn names(&self, content: &[u8]) -> bool {
        self.function.hash(content) == *self
    }

    /// Reads a hash of 64 hexadecimal digits, in either case.
    ///
    /// # Errors
    /// For any other text.
    pub fn from_hex(function: HashFunction, hex: &str) -> Result<Self, InvalidHash> {
        let digits: &[u8; 64] = hex.as_bytes().try_into().map_err(|_| InvalidHash)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or(InvalidHash)?;
            let low = char::from(pair[1]).to_digit(16).ok_or(InvalidHash)?;
            *byte = u8::try_from(high << 4 | low).map_err(|_| InvalidHash)?;
        }
        Ok(Self { function, bytes })
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
        Self::from_hex(HashFunction::Sha256, hex)
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
#[error("a hash is 64 hexadecimal digits")]
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
    /// The SHA-256 digest of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::by(HashFunction::Sha256, content)
    }

    /// The digest of `content` by this function.
    pub fn by(function: HashFunction, content: &[u8]) -> Self {
        Self { hash: function.hash(content), size: content.len() as u64 }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hash, self.size)
    }
}

/// Makes a [`Digest`] from bytes that arrive in pieces.
#[derive(Clone)]
pub struct Hasher {
    state: State,
    size: u64,
}

#[derive(Clone)]
enum State {
    Sha256(sha2::Sha256),
    // Two kilobytes, sixteen times the other.
    Blake3(Box<blake3::Hasher>),
}

impl Hasher {
    /// A hasher that has seen nothing.
    pub fn new(function: HashFunction) -> Self {
        let state = match function {
            HashFunction::Sha256 => State::Sha256(sha2::Sha256::new()),
            HashFunction::Blake3 => State::Blake3(Box::default()),
        };
        Self { state, size: 0 }
    }

    /// A hasher for content that is expected to have this name; by SHA-256 when none is expected.
    pub fn expecting(name: Option<&ContentHash>) -> Self {
        Self::new(name.map_or(HashFunction::Sha256, ContentHash::function))
    }

    /// Takes in the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        match &mut self.state {
            State::Sha256(state) => state.update(piece),
            State::Blake3(state) => {
                state.update(piece);
            }
        }
        self.size += piece.len() as u64;
    }

    /// Bytes taken in so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digest of all pieces in order.
    pub fn finish(self) -> Digest {
        let hash = match self.state {
            State::Sha256(state) => ContentHash::sha256(state.finalize().into()),
            State::Blake3(state) => ContentHash::new(HashFunction::Blake3, state.finalize().into()),
        };
        Digest { hash, size: self.size }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher").field("size", &self.size).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
