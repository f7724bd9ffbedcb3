use aws_lc_rs::digest::{Context, SHA256, digest};

use crate::format::Digest;

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> Digest {
    to_array(digest(&SHA256, bytes).as_ref())
}

/// SHA-256 of digests, one behind the other.
pub(crate) fn sha256_parts(parts: &[&Digest]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(*part));
    to_array(context.finish().as_ref())
}

/// SHA-256 always gives 32 bytes.
fn to_array(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    bytes.iter().zip(&mut out).for_each(|(from, to)| *to = *from);
    out
}
