//! What the cases share.

use bytes::Bytes;

/// A fresh folder on the disk of the build, not in memory.
pub(crate) fn folder() -> tempfile::TempDir {
    let parent = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).unwrap()
}

/// 256 bytes of JSON.
pub(crate) fn payload() -> Bytes {
    static PAYLOAD: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    PAYLOAD.get_or_init(|| format!(r#"{{"event":"login","padding":"{}"}}"#, "x".repeat(226)).into()).clone()
}

/// Memory of this process that is in use, in bytes.
pub(crate) fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
