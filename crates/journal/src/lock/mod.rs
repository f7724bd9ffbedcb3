//! The lock protocol: a file that only one can create.
//!
//! # The protocol (specification §3, request "Lock protocol")
//!
//! The lock `name` is held by whoever created `<name>.lock` in the folder. Creation is exclusive; the file stays empty.
//!
//! 1. Create the file. Done? The lock is held.
//! 2. It exists, and was last touched more than 5 s ago: its holder is gone. Remove it, try again at once.
//! 3. It exists and is younger: wait 20 ms (the first 50 times), then 250 ms (40 times), try again.
//! 4. After 90 attempts in which the same holder kept it: [`LockError::Timeout`].
//!
//! Release removes the file. Taking a lock that the same thread holds already runs at once and releases nothing; a
//! thread that is started for the work of another one gets its locks by [`Inherited`].
//!
//! # What is added, invisible to other programs
//!
//! | weakness of the bare protocol | here |
//! |---|---|
//! | two waiters remove an orphan one after the other, the second one removing the file of the first | a file is removed only by one who holds the advisory lock (`flock`) of *that file*, and only while the name still leads to it |
//! | a holder that works longer than 5 s is robbed | the file's time is renewed every second |
//! | a paused holder is robbed | it keeps the advisory lock of its file, so programs of this crate leave it alone |
//! | release removes whatever file is there | release removes only the file that was created |
//! | in-process callers poll in step and starve | a first-come queue per lock; only its head polls, with jitter |
//! | a busy lock makes waiters give up | the attempts start again whenever the lock was seen to change hands |
//! | a time in the future makes an orphan immortal | such a file that does not change for 5 s is an orphan too |
//!
//! # What remains possible when the other party is the original program
//!
//! It knows nothing of the advisory lock. It can therefore still (a) rob a holder that is paused for more than 5 s,
//! (b) remove, while it takes over an orphan, the file that somebody created a moment before, and (c) release a lock that
//! was taken from it. A holder of this crate that lost its lock that way learns it from [`Guard::check`], which every
//! operation here calls before it makes its work visible.

mod error;
mod inherit;
mod queue;
mod refresh;
mod takeover;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ledger_fs::{Dir, RealDir};

pub use error::{Held, LockError};
pub use inherit::Inherited;
use queue::{Place, Queues};
use refresh::LockFile;

/// How long to wait, and when a holder is given up for dead. The defaults are the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOptions {
    /// Attempts of the first phase.
    pub fast_attempts: u32,
    /// Pause between attempts of the first phase.
    pub fast_delay: Duration,
    /// Attempts of the second phase.
    pub slow_attempts: u32,
    /// Pause between attempts of the second phase.
    pub slow_delay: Duration,
    /// A lock file that nobody touched for longer than this is an orphan.
    pub stale_after: Duration,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self {
            fast_attempts: 50,
            fast_delay: Duration::from_millis(20),
            slow_attempts: 40,
            slow_delay: Duration::from_millis(250),
            stale_after: Duration::from_secs(5),
        }
    }
}

impl LockOptions {
    /// All attempts of both phases.
    pub const fn attempts(&self) -> u32 {
        self.fast_attempts.saturating_add(self.slow_attempts)
    }

    /// How long all attempts take together: 11 s by default. It must be longer than `stale_after` and one slow pause
    /// together, or an orphan that is young when it is met is never taken over.
    pub fn budget(&self) -> Duration {
        self.fast_delay.saturating_mul(self.fast_attempts)
            + self.slow_delay.saturating_mul(self.slow_attempts)
    }
}

/// The locks of one folder. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Locks {
    dir: Arc<dyn Dir>,
    options: LockOptions,
    queues: Queues,
}

impl Locks {
    /// The locks of the folder at `path`, which is created when it is missing.
    pub fn at(path: impl Into<PathBuf>) -> std::io::Result<Self> {
        Ok(Self::new(Arc::new(RealDir::create(path)?)))
    }

    /// The locks of a folder.
    pub fn new(dir: Arc<dyn Dir>) -> Self {
        Self { dir, options: LockOptions::default(), queues: Queues::of_process() }
    }

    /// With other times.
    #[must_use]
    pub const fn options(mut self, options: LockOptions) -> Self {
        self.options = options;
        self
    }

    /// With a queue that is not shared with the rest of the process: to behave towards it like another process.
    #[must_use]
    pub fn as_another_process(mut self) -> Self {
        self.queues = Queues::default();
        self
    }

    /// Takes a lock, waiting for it as the protocol says. It is released when the guard goes.
    ///
    /// # Errors
    ///
    /// [`LockError::Timeout`] when one holder kept it for the whole [budget](LockOptions::budget); [`LockError::File`]
    /// at once for any other failure than "it exists", for example a missing permission.
    pub fn acquire(&self, name: &str) -> Result<Guard, LockError> {
        let file_name = PathBuf::from(format!("{name}.lock"));
        let path = self.dir.path().join(&file_name);
        if inherit::is_held(&path) {
            return Ok(Guard { outermost: None });
        }
        let place = self.queues.wait(&path, &self.options)?;
        let file = takeover::poll(&self.dir, &file_name, &path, &self.options)?;
        inherit::add(&path);
        Ok(Guard {
            outermost: Some(Outermost {
                file,
                dir: Arc::clone(&self.dir),
                name: file_name,
                path,
                _place: place,
            }),
        })
    }

    /// Runs a function while holding a lock.
    pub fn with<T>(&self, name: &str, work: impl FnOnce(&Guard) -> T) -> Result<T, LockError> {
        let guard = self.acquire(name)?;
        Ok(work(&guard))
    }
}

/// A lock that is held; dropping it releases it. It stays with the thread that took it.
#[derive(Debug)]
pub struct Guard {
    /// `None` inside a section of the same thread that holds the lock already.
    outermost: Option<Outermost>,
}

#[derive(Debug)]
struct Outermost {
    file: Arc<LockFile>,
    dir: Arc<dyn Dir>,
    name: PathBuf,
    path: PathBuf,
    /// Gives the turn to the next in the process, after the file is removed.
    _place: Place,
}

impl Guard {
    /// Whether the lock is still ours. To be asked before the result of long work is made visible.
    ///
    /// # Errors
    ///
    /// [`LockError::Lost`] when the file was removed or replaced by another program.
    pub fn check(&self) -> Result<(), LockError> {
        match &self.outermost {
            Some(outermost) if !outermost.file.is_at(&*outermost.dir, &outermost.name)? => {
                Err(LockError::Lost { path: outermost.path.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Outermost {
    fn drop(&mut self) {
        inherit::remove(&self.path);
        // While we hold the advisory lock of this very file, nobody of this crate can put another one in its place.
        if matches!(self.file.is_at(&*self.dir, &self.name), Ok(true)) {
            // As the protocol says, a failure is ignored: the file becomes an orphan.
            let _ = self.dir.remove(&self.name);
        }
        self.file.retire();
    }
}

/// The lock file's name: `<name>.lock`.
pub fn lock_path(home: &Path, name: &str) -> PathBuf {
    home.join(format!("{name}.lock"))
}
