//! Zstd.

/// Zstd.
pub struct Zstd;
