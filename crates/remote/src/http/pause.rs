//! Pauses between tries: growing, and spread by chance so that clients which failed together do not return together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Draws pauses from a seed that was handed in.
pub(crate) struct Pauses {
    state: AtomicU64,
}

impl Pauses {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: AtomicU64::new(seed) }
    }

    /// The pause after the `tried`th try (from 1): between a half and the whole of `first * 2^(tried - 1)`.
    pub(crate) fn after(&self, tried: u32, first: Duration) -> Duration {
        let whole = first.saturating_mul(1 << tried.saturating_sub(1).min(16));
        whole / 2 + (whole / 2).mul_f64(self.fraction())
    }

    /// A number in [0, 1): SplitMix64, for which any seed will do.
    fn fraction(&self) -> f64 {
        let mut mixed = self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
