use aws_lc_rs::digest::{SHA256, digest};

use crate::format::Digest;

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    // It always gives 32 bytes.
    digest(&SHA256, bytes).as_ref().try_into().unwrap_or_default()
}

/// SHA-256 of digests, one behind the other. Copied together first: for so few bytes a streaming context costs more.
pub(crate) fn sha256_parts<const N: usize>(parts: [&Digest; N]) -> Digest {
    sha256(parts.map(|part| *part).as_flattened())
}
