//! Creating the lock file, and removing one whose holder is gone.
//!
//! One rule makes removal safe among programs of this crate: **a lock file is removed only by one who holds the advisory
//! lock of that very file, and has seen, since taking it, that the name leads to it.** Creation never replaces anything,
//! so between that look and the removal the name cannot come to mean another file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use ledger_fs::{Dir, FileId, Metadata, Open};

use super::LockOptions;
use super::error::{Held, LockError};
use super::refresh::{LockFile, is_renewal};

/// What one attempt came to.
enum Attempt {
    Taken(Arc<LockFile>),
    /// The way is free: try again at once.
    Again,
    Wait(Held),
}

/// Tries until the lock is held or the attempts are used up.
pub(super) fn poll(
    dir: &Arc<dyn Dir>,
    name: &Path,
    path: &Path,
    options: &LockOptions,
) -> Result<Arc<LockFile>, LockError> {
    let mut watch = Watch::default();
    let mut reason = Held::Live;
    let mut attempt = 0;
    while attempt < options.attempts() {
        match try_once(&**dir, name, options, &mut watch)? {
            Attempt::Taken(file) => return Ok(file),
            Attempt::Again => {
                attempt += 1;
                continue;
            }
            Attempt::Wait(held) => reason = held,
        }
        if std::mem::take(&mut watch.changed_hands) {
            attempt = 0;
        }
        let delay = if attempt < options.fast_attempts { options.fast_delay } else { options.slow_delay };
        std::thread::sleep(jitter(delay));
        attempt += 1;
    }
    Err(timeout(options, reason, path))
}

pub(super) fn timeout(options: &LockOptions, held: Held, path: &Path) -> LockError {
    LockError::Timeout {
        attempts: options.attempts(),
        budget_ms: options.budget().as_millis(),
        held,
        path: path.to_owned(),
    }
}

fn try_once(dir: &dyn Dir, name: &Path, options: &LockOptions, watch: &mut Watch) -> io::Result<Attempt> {
    match dir.open(name, Open::WRITE.create_new()) {
        Ok(file) => {
            let id = file.metadata()?.id;
            // Refused only when we slept so long since the creation that others take the file for an orphan.
            let ours = file.try_lock().unwrap_or(true);
            let file = LockFile::new(file, id);
            let found = file.is_at(dir, name);
            if ours && matches!(found, Ok(true)) {
                return Ok(Attempt::Taken(file));
            }
            file.retire();
            found?;
            Ok(Attempt::Wait(Held::Live))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => inspect(dir, name, options, watch),
        // A file that is about to be deleted gives this answer on Windows.
        Err(error) if cfg!(windows) && error.kind() == io::ErrorKind::PermissionDenied => {
            Ok(Attempt::Wait(Held::Live))
        }
        Err(error) => Err(error),
    }
}

fn inspect(dir: &dyn Dir, name: &Path, options: &LockOptions, watch: &mut Watch) -> io::Result<Attempt> {
    let Ok(seen) = dir.metadata(name) else {
        watch.forget();
        return Ok(Attempt::Wait(Held::Live));
    };
    watch.look(seen);
    if watch.is_stale(seen, options.stale_after) {
        Ok(take_over(dir, name, seen.id, options, watch))
    } else {
        Ok(Attempt::Wait(Held::Live))
    }
}

/// Removes the orphan that was seen, unless it is none any more.
fn take_over(dir: &dyn Dir, name: &Path, seen: FileId, options: &LockOptions, watch: &Watch) -> Attempt {
    let file = match dir.open(name, Open::READ) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Attempt::Again,
        Err(_) => return Attempt::Wait(Held::StaleUnlinkFailed),
    };
    // Never touch the advisory lock of another file than the orphan: its creator is about to take it.
    match file.metadata() {
        Ok(opened) if opened.id == seen => {}
        _ => return Attempt::Wait(Held::Live),
    }
    // A file system without advisory locks answers with an error; the identity is then all there is to go by.
    if !file.try_lock().unwrap_or(true) {
        return Attempt::Wait(Held::Live);
    }
    match dir.metadata(name) {
        Ok(now) if now.id == seen && watch.is_stale(now, options.stale_after) => match dir.remove(name) {
            Ok(()) => Attempt::Again,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Attempt::Again,
            Err(_) => Attempt::Wait(Held::StaleUnlinkFailed),
        },
        Ok(_) => Attempt::Wait(Held::Live),
        Err(_) => Attempt::Again,
    }
}

/// What was seen of the lock file so far.
#[derive(Default)]
struct Watch {
    seen: Option<(FileId, SystemTime, Instant)>,
    changed_hands: bool,
}

impl Watch {
    fn look(&mut self, now: Metadata) {
        match self.seen {
            Some((id, modified, _)) if id == now.id && modified == now.modified => {}
            Some((id, ..)) => {
                self.changed_hands = id != now.id || !is_renewal(now.modified);
                self.seen = Some((now.id, now.modified, Instant::now()));
            }
            None => self.seen = Some((now.id, now.modified, Instant::now())),
        }
    }

    fn forget(&mut self) {
        self.changed_hands = self.seen.take().is_some();
    }

    fn is_stale(&self, file: Metadata, stale_after: Duration) -> bool {
        match SystemTime::now().duration_since(file.modified) {
            Ok(age) => age > stale_after,
            // From the future: what counts is how long we have seen it unchanged.
            Err(ahead) => {
                let unchanged =
                    self.seen.filter(|(id, modified, _)| *id == file.id && *modified == file.modified);
                ahead.duration() > stale_after && unchanged.is_some_and(|seen| seen.2.elapsed() > stale_after)
            }
        }
    }
}

/// The delay, give or take a fifth: so that waiters of many processes do not poll in step.
fn jitter(delay: Duration) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let random = RandomState::new().hash_one(0_u8) % 401;
    let permille = u32::try_from(random).unwrap_or(200) + 800;
    delay.saturating_mul(permille) / 1000
}
