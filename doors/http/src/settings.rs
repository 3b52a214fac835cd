//! The section `[door.http]`.

use larder_door::ByteCount;
use serde::Deserialize;

/// What can be configured of this door.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// The largest value or blob that is accepted. Default: `"1 GiB"`.
    pub(crate) max_value: ByteCount,
    /// Whether everyone may only read, whatever their token allows. Default: `false`.
    pub(crate) read_only: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_value: ByteCount(1 << 30), read_only: false }
    }
}
