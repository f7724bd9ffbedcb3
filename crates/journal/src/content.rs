//! The content sidecar: what was said, one file per session (specification §4).
//!
//! `content/<sessionId>.jsonl` has one compact JSON record per line. A record whose exact text is in the file already is not
//! written again.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ledger_fs::{Dir, Kind, Open};

use crate::hash::Hash64;
use crate::home::{CONTENT, Home, if_found};
use crate::json::{Value, parse, quote, stringify, trim};
use crate::jsonl::{ChunkReader, Durability, JournalFile, lines};
use crate::lock::{LockError, Locks};

/// Content that could not be read or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A session id that cannot be a file name.
    #[error("invalid sessionId for content path: {}", quote(.0))]
    InvalidSession(String),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Whether a session id can be a file name: 1 to 128 ASCII letters, digits, `.`, `_`, `-`, of which the first is a letter
/// or a digit.
pub fn is_valid_session(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    id.len() <= 128
        && id.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && id.bytes().all(allowed)
}

/// What a prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files that are gone.
    pub files_deleted: u64,
    /// Their bytes.
    pub bytes_freed: u64,
    /// Files that were kept because their source is still there.
    pub skipped_recoverable: u64,
}

/// The content sidecar of a home.
#[derive(Clone, Debug)]
pub struct Content {
    home: Home,
}

impl Content {
    /// The sidecar of that home.
    pub const fn new(home: Home) -> Self {
        Self { home }
    }

    /// The path of a session's file.
    pub fn path(&self, session: &str) -> Result<PathBuf, ContentError> {
        Ok(self.home.path().join(name(session)?))
    }

    /// Appends records, given as JSON objects, each to the file of its session. Records without a session are dropped;
    /// `warn` is told of those whose session id cannot be a file name.
    pub fn append(&self, records: &[&str], warn: &mut dyn FnMut(String)) -> Result<(), ContentError> {
        let mut sessions: Vec<(String, Vec<String>)> = Vec::new();
        for record in records {
            let Ok(value) = parse(record) else { continue };
            let id = value.as_object().and_then(|object| object.get("sessionId")).and_then(Value::as_str);
            let Some(id) = id.map(|id| id.decode().into_owned()).filter(|id| !id.is_empty()) else {
                continue;
            };
            if !is_valid_session(&id) {
                warn(format!("[burn] skipping content record with unsafe sessionId: {}", quote(&id)));
                continue;
            }
            let line = stringify(value);
            match sessions.iter_mut().find(|(known, _)| *known == id) {
                Some((_, lines)) => lines.push(line),
                None => sessions.push((id, vec![line])),
            }
        }
        if sessions.is_empty() {
            return Ok(());
        }
        let dir = self.home.dir()?;
        dir.create_dir_all(Path::new(CONTENT))?;
        let locks = Locks::new(Arc::clone(&dir));
        for (session, lines) in sessions {
            let guard = locks.acquire(&lock_name(&session))?;
            let name = name(&session)?;
            let payload = unknown_lines(&*dir, &name, &lines)?;
            if !payload.is_empty() {
                guard.check()?;
                JournalFile::new(Arc::clone(&dir), name).append(payload.as_bytes(), Durability::Synced)?;
            }
        }
        Ok(())
    }

    /// The records of a session, of one message if given, as JSON in file order. What is no object or array is passed over.
    pub fn read(&self, session: &str, message: Option<&str>) -> Result<Vec<String>, ContentError> {
        let name = name(session)?;
        let mut records = Vec::new();
        let Some(dir) = self.home.existing()? else { return Ok(records) };
        each_line(&*dir, &name, &mut |line| {
            let line = String::from_utf8_lossy(line);
            let line = trim(&line);
            let wanted = match parse(line) {
                Ok(Value::Object(record)) => message.is_none_or(|message| {
                    record.get("messageId").and_then(Value::as_str).is_some_and(|id| id.is(message))
                }),
                Ok(Value::Array(_)) => message.is_none(),
                _ => false,
            };
            if wanted {
                records.push(line.to_owned());
            }
        })?;
        Ok(records)
    }

    /// The sessions that have content, in no particular order.
    pub fn sessions(&self) -> Result<Vec<String>, ContentError> {
        let Some(dir) = self.home.existing()? else { return Ok(Vec::new()) };
        let mut sessions = Vec::new();
        for session in files(&*dir)? {
            let found = if_found(dir.metadata(&name(&session)?))?;
            if found.is_some_and(|file| file.kind == Kind::File && file.len > 0) {
                sessions.push(session);
            }
        }
        Ok(sessions)
    }

    /// Removes files that were not changed for so long; exactly so long counts. `is_recoverable` says of a session that its
    /// content could be made again from its source; it is then kept.
    pub fn prune(
        &self,
        older_than: Duration,
        is_recoverable: Option<&dyn Fn(&str) -> bool>,
    ) -> Result<Pruned, ContentError> {
        let mut pruned = Pruned::default();
        let Some(dir) = self.home.existing()? else { return Ok(pruned) };
        let cutoff = SystemTime::now().checked_sub(older_than).unwrap_or(SystemTime::UNIX_EPOCH);
        let locks = Locks::new(Arc::clone(&dir));
        for session in files(&*dir)? {
            let _guard = locks.acquire(&lock_name(&session))?;
            let name = name(&session)?;
            let Some(file) = if_found(dir.metadata(&name))? else { continue };
            if file.kind != Kind::File || file.modified > cutoff {
                continue;
            }
            if is_recoverable.is_some_and(|is_recoverable| is_recoverable(&session)) {
                pruned.skipped_recoverable += 1;
            } else if dir.remove(&name).is_ok() {
                pruned.files_deleted += 1;
                pruned.bytes_freed += file.len;
            }
        }
        Ok(pruned)
    }
}

fn lock_name(session: &str) -> String {
    format!("content.{session}")
}

fn name(session: &str) -> Result<PathBuf, ContentError> {
    if is_valid_session(session) {
        Ok(Path::new(CONTENT).join(format!("{session}.jsonl")))
    } else {
        Err(ContentError::InvalidSession(session.to_owned()))
    }
}

/// The session ids of all files that have one.
fn files(dir: &dyn Dir) -> io::Result<Vec<String>> {
    let Some(entries) = if_found(dir.entries(Path::new(CONTENT)))? else { return Ok(Vec::new()) };
    let mut sessions = Vec::new();
    for entry in entries {
        let name = entry?.name;
        let session = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        sessions.extend(session.filter(|id| is_valid_session(id)).map(ToOwned::to_owned));
    }
    Ok(sessions)
}

/// Those lines that the file does not have yet, each once, as one payload.
///
/// The file is swept once and only 8 bytes per line of it are kept, and none when it is new.
fn unknown_lines(dir: &dyn Dir, name: &Path, wanted: &[String]) -> io::Result<String> {
    let mut seen = HashSet::new();
    each_line(dir, name, &mut |line| {
        seen.insert(Hash64::of(&String::from_utf8_lossy(line)));
    })?;
    let mut payload = String::new();
    for line in wanted.iter().filter(|line| seen.insert(Hash64::of(line))) {
        payload += line;
        payload.push('\n');
    }
    Ok(payload)
}

fn each_line(dir: &dyn Dir, name: &Path, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let Some(file) = if_found(dir.open(name, Open::READ))? else { return Ok(()) };
    let len = file.metadata()?.len;
    let mut reader = ChunkReader::new(file, 0, len);
    let mut chunk = Vec::new();
    while let Some(offset) = reader.next(&mut chunk)? {
        lines(&chunk, offset).for_each(|(_, line)| each(line));
    }
    if !reader.unterminated().is_empty() {
        each(reader.unterminated());
    }
    Ok(())
}
