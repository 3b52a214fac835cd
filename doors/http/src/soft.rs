//! What each client is answered when something is wrong, so that its build goes on: the table, and nothing else.
//!
//! ccache takes any odd answer to a GET for a miss, but gives the server up for the rest of a compilation after an odd
//! answer to a PUT. Bazel and moon go on whatever happens, and warn; a cache that silently stops taking writes would be
//! worse than a warning. Whoever uses plain keys and values is told the truth.

use http::StatusCode;
use larder_base::ErrorKind;

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// ccache, directly or through its helper.
    Ccache,
    /// Bazel, moon, and others that speak its HTTP protocol.
    Bazel,
    /// Anything else.
    Kv,
}

impl Client {
    /// The client's name in counters and logs.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ccache => "ccache",
            Self::Bazel => "bazel",
            Self::Kv => "kv",
        }
    }
}

/// What a client wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// GET or HEAD.
    Read,
    /// PUT.
    Write,
    /// DELETE.
    Remove,
}

/// What a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// This status, and why.
    Honest(StatusCode),
    /// 404, as if nothing were there.
    Miss,
    /// 200, though nothing was kept.
    Dropped,
}

const BAD: Answer = Answer::Honest(StatusCode::BAD_REQUEST);
const LARGE: Answer = Answer::Honest(StatusCode::PAYLOAD_TOO_LARGE);
/// 401 when no credential was shown.
const DENIED: Answer = Answer::Honest(StatusCode::FORBIDDEN);
const FULL: Answer = Answer::Honest(StatusCode::INSUFFICIENT_STORAGE);
const AWAY: Answer = Answer::Honest(StatusCode::SERVICE_UNAVAILABLE);
const BROKEN: Answer = Answer::Honest(StatusCode::INTERNAL_SERVER_ERROR);
const MISS: Answer = Answer::Miss;
const DROP: Answer = Answer::Dropped;

type Row = (Client, Verb, [Answer; 7]);

#[rustfmt::skip]
const TABLE: [Row; 9] = [
    //                                  Invalid  TooLarge  Denied  Full  Unavailable  Corrupt  Failed
    (Client::Ccache, Verb::Read,       [BAD,     MISS,     DENIED, MISS, MISS,        MISS,    MISS]),
    (Client::Ccache, Verb::Write,      [BAD,     LARGE,    DENIED, DROP, DROP,        DROP,    DROP]),
    (Client::Ccache, Verb::Remove,     [BAD,     BROKEN,   DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
    (Client::Bazel,  Verb::Read,       [BAD,     MISS,     DENIED, MISS, MISS,        MISS,    MISS]),
    (Client::Bazel,  Verb::Write,      [BAD,     LARGE,    DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
    (Client::Bazel,  Verb::Remove,     [BAD,     BROKEN,   DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
    (Client::Kv,     Verb::Read,       [BAD,     BROKEN,   DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
    (Client::Kv,     Verb::Write,      [BAD,     LARGE,    DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
    (Client::Kv,     Verb::Remove,     [BAD,     BROKEN,   DENIED, FULL, AWAY,        BROKEN,  BROKEN]),
];

const fn column(kind: ErrorKind) -> usize {
    match kind {
        ErrorKind::Invalid => 0,
        ErrorKind::TooLarge => 1,
        ErrorKind::Denied => 2,
        ErrorKind::Full => 3,
        ErrorKind::Unavailable => 4,
        ErrorKind::Corrupt => 5,
        ErrorKind::Failed => 6,
    }
}

/// What `client` is told when `verb` met a failure of `kind`.
pub(crate) fn answer(client: Client, verb: Verb, kind: ErrorKind) -> Answer {
    let row = TABLE.iter().find(|row| row.0 == client && row.1 == verb);
    row.expect("the table has a row for every client and verb").2[column(kind)]
}

#[cfg(test)]
mod tests;
