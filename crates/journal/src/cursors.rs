//! Ingest cursors and high-water marks: two small JSON files (specification §1.5, §1.6).
//!
//! ```json
//! {
//!   "files": {
//!     "/home/dev/.claude/projects/a/1.jsonl": {
//!       "kind": "claude",
//!       "inode": 1234
//! ```
//!
//! What a cursor says is its owner's business; members that nobody here knows are carried along.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use ledger_fs::{read_all, replace};
use serde_json::{Map, Value};

use crate::home::{CURSORS, HWM, Home};
use crate::lock::{LockError, Locks};

/// Larger files are no cursors.
const MAX_BYTES: usize = 256 << 20;

/// Cursors that could not be saved.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CursorError {
    /// The file could not be written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The cursors could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// From a source's path to its cursor.
pub type Cursors = Map<String, Value>;

/// The cursors; none when the file is missing or makes no sense.
pub fn load(home: &Home) -> Cursors {
    match object(home, CURSORS).remove("files") {
        Some(Value::Object(files)) => files,
        _ => Cursors::new(),
    }
}

/// Replaces all cursors.
pub fn save(home: &Home, cursors: &Cursors) -> Result<(), CursorError> {
    update(home, |current| cursors.clone_into(current))
}

/// Changes the cursors as they are now, under their lock.
pub fn update(home: &Home, change: impl FnOnce(&mut Cursors)) -> Result<(), CursorError> {
    let dir = home.dir()?;
    let guard = Locks::new(dir.clone()).acquire("cursors")?;
    let mut cursors = load(home);
    change(&mut cursors);
    let mut file = Map::new();
    file.insert("files".to_owned(), Value::Object(cursors));
    let text = serde_json::to_string_pretty(&file)?;
    guard.check()?;
    Ok(replace(&*dir, Path::new(CURSORS), text.as_bytes())?)
}

/// Saves only what differs between the two, so that what others saved meanwhile stays. Without a difference nothing is
/// written and no lock is taken.
pub fn save_changes(home: &Home, before: &Cursors, after: &Cursors) -> Result<(), CursorError> {
    let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&String> = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).collect();
    if changed.is_empty() {
        return Ok(());
    }
    update(home, |current| {
        for key in changed {
            match after.get(key) {
                Some(cursor) => current.insert(key.clone(), cursor.clone()),
                None => current.remove(key),
            };
        }
    })
}

/// The high-water marks; none when the file is missing or makes no sense.
pub fn load_hwm(home: &Home) -> Map<String, Value> {
    object(home, HWM)
}

/// Replaces the high-water marks.
pub fn save_hwm(home: &Home, marks: &Map<String, Value>) -> Result<(), CursorError> {
    let text = serde_json::to_string_pretty(marks)?;
    Ok(replace(&*home.dir()?, Path::new(HWM), text.as_bytes())?)
}

fn object(home: &Home, name: &str) -> Map<String, Value> {
    let bytes =
        home.existing().ok().flatten().and_then(|dir| read_all(&*dir, Path::new(name), MAX_BYTES).ok());
    match bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()) {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
