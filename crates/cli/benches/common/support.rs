//! Folders, payloads, and what processes use.

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

/// Memory of a process (a number, or `self`) that is in use, in bytes.
pub(crate) fn resident_bytes(process: &str) -> usize {
    let statm = std::fs::read_to_string(format!("/proc/{process}/statm")).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// A number out of the environment, to make a case smaller or larger.
pub(crate) fn from_environment(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap())
}

/// The value at a share of the way through sorted values.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}
