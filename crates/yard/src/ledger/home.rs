//! The ledger home: a folder whose files are the whole state of a yard (request "Ledger Structure").
//!
//! ```text
//! ledger.d/
//! ├── .yard                      says that this is a ledger home: "ledger-yard 1"
//! ├── .lock                      held by the start or watch that is at work
//! ├── .current-session           name of the newest session and a newline
//! ├── .run/                      mode 0700, one folder per data file, mirrored like the sessions
//! │   └── apps/dashboard.db/
//! │       ├── current            link to the context of the latest start: what is live is found without history
//! │       ├── port               the port it had last and gets again
//! │       └── …                  private folders of the service
//! ├── 2026-01-12-10-30-00/       a session: one run of `start`, in UTC; two in one second get `-2`, `-3` …
//! │   └── apps/
//! │       ├── dashboard.db.context.json
//! │       ├── dashboard.db.stdout.log
//! │       └── dashboard.db.stderr.log
//! └── watch/                     the session of `start --watch`
//! ```
//!
//! A service that is already running when a session begins is linked into it: its context and logs stand there as
//! symbolic links to the session that started it, so that the newest session is a picture of what runs.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_fs::{Dir, File, Kind, Open, RealDir, append_all, read_all, temporary_name};

use super::context::Context;
use super::session::is_session_name;
use crate::failpoint::reached;

/// Content of `.yard`.
const MARKER: &str = "ledger-yard 1\n";
/// How long a start waits for another one over the same ledger home.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
/// Largest context that is read, in bytes.
pub(crate) const MAX_CONTEXT_BYTES: usize = 1 << 20;

/// A ledger home.
#[derive(Clone, Debug)]
pub struct Home {
    dir: Arc<dyn Dir>,
    path: PathBuf,
}

/// The right to start services in a ledger home; given back when dropped.
#[derive(Debug)]
pub struct HomeLock {
    file: Box<dyn File>,
}

/// A ledger home that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HomeError {
    /// A file operation failed.
    #[error("yard: ledger home: {0}")]
    File(#[from] io::Error),
    /// A context could not be written as JSON.
    #[error("yard: ledger home: {0}")]
    Json(#[from] serde_json::Error),
    /// It was made by a version that we do not know.
    #[error("yard: {} was made by another version ({found:?}); use that one, or another --ledger-home", path.display())]
    Version {
        /// The ledger home.
        path: PathBuf,
        /// What its marker says.
        found: String,
    },
    /// It holds things that are no ledger.
    #[error(
        "yard: {} is not a ledger home: it holds {stray:?}; name another folder with --ledger-home",
        path.display()
    )]
    NotALedger {
        /// The folder.
        path: PathBuf,
        /// The first thing that does not belong there.
        stray: String,
    },
    /// Another yard is at work.
    #[error(
        "yard: another yard (pid {}) is at work in {}; wait for it, stop it, or use another --ledger-home",
        pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()), path.display()
    )]
    Locked {
        /// The ledger home.
        path: PathBuf,
        /// Its process id, if it wrote one.
        pid: Option<u32>,
    },
}

impl Home {
    /// Opens a ledger home to write to it; it is made when missing.
    ///
    /// # Errors
    /// When it cannot be made, holds other things, or was made by another version.
    pub fn create(path: &Path) -> Result<Self, HomeError> {
        let home = Self::at(Arc::new(RealDir::create(path)?))?;
        reached("home/made");
        match home.marker()? {
            Some(marker) if marker == MARKER => {}
            Some(found) => {
                return Err(HomeError::Version { path: home.path, found: found.trim_end().to_owned() });
            }
            None => {
                home.check_is_ledger()?;
                home.write(Path::new(".yard"), MARKER.as_bytes(), false)?;
            }
        }
        Ok(home)
    }

    /// Opens a ledger home, or a single session, to read it. `None` if there is no such folder.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn existing(path: &Path) -> Result<Option<Self>, HomeError> {
        match RealDir::open(path) {
            Ok(dir) => Ok(Some(Self::at(Arc::new(dir))?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn at(dir: Arc<dyn Dir>) -> Result<Self, HomeError> {
        let path = std::fs::canonicalize(dir.path())?;
        Ok(Self { dir, path })
    }

    /// Absolute path, free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn dir(&self) -> &Arc<dyn Dir> {
        &self.dir
    }

    /// What the marker says; a ledger of the original program has none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn marker(&self) -> Result<Option<String>, HomeError> {
        match read_all(&*self.dir, Path::new(".yard"), 100) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A folder without a marker is taken if it is empty or a ledger of the original program.
    fn check_is_ledger(&self) -> Result<(), HomeError> {
        for entry in self.dir.entries(Path::new(""))? {
            let entry = entry?;
            let name = entry.name.to_string_lossy().into_owned();
            let belongs = match entry.kind {
                Kind::Dir => is_session_name(&name),
                _ => matches!(name.as_str(), ".current-session" | ".lock" | ".gitignore" | ".gitkeep"),
            };
            if !belongs && !name.ends_with(".tmp") {
                return Err(HomeError::NotALedger { path: self.path.clone(), stray: name });
            }
        }
        Ok(())
    }

    /// Takes the right to start services here. Waits a while for a `start` that is at work, not for a watch.
    ///
    /// # Errors
    /// [`HomeError::Locked`] when another yard keeps it.
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let file = self.dir.open(Path::new(".lock"), Open::WRITE.create())?;
        let since = Instant::now();
        while !file.try_lock()? {
            let holder = self.lock_holder();
            let is_watch = holder.as_ref().is_some_and(|(_, word)| word == "watch");
            if is_watch || since.elapsed() > LOCK_PATIENCE {
                return Err(HomeError::Locked { path: self.path.clone(), pid: holder.map(|(pid, _)| pid) });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let lock = HomeLock { file };
        lock.say("start")?;
        reached("home/locked");
        Ok(lock)
    }

    /// Who is at work here: process id, and `start` or `watch`.
    pub(crate) fn lock_holder(&self) -> Option<(u32, String)> {
        let text = read_all(&*self.dir, Path::new(".lock"), 100).ok()?;
        let text = String::from_utf8(text).ok()?;
        let (pid, word) = text.trim().split_once(' ')?;
        Some((pid.parse().ok()?, word.to_owned()))
    }

    /// Writes a context in one step; readers see the old or the new one, whole. It is not synced: it speaks of processes,
    /// which do not survive a power cut either.
    pub(crate) fn write_context(
        &self,
        name: &Path,
        context: &Context,
        is_private: bool,
    ) -> Result<(), HomeError> {
        Ok(self.write(name, &context.to_json()?, is_private)?)
    }

    pub(crate) fn write(&self, name: &Path, bytes: &[u8], is_private: bool) -> io::Result<()> {
        let how = Open::APPEND.create_new();
        let how = if is_private { how.private() } else { how };
        let temporary = temporary_name(name);
        let file = self.or_without_leftover(&temporary, || self.dir.open(&temporary, how))?;
        let written = append_all(&*file, bytes, 0).map_err(io::Error::from);
        reached("write/temporary");
        let result = written.and_then(|_| self.dir.rename(&temporary, name));
        if result.is_err() {
            // The first error is the one that matters.
            let _ = self.dir.remove(&temporary);
        }
        reached("write/renamed");
        result
    }

    /// Links a file of a running service into another session.
    pub(crate) fn link(&self, from: &Path, target: &Path) -> io::Result<()> {
        if let Some(parent) = from.parent() {
            self.dir.create_dir_all(parent)?;
        }
        let temporary = temporary_name(from);
        let path = self.path.join(&temporary);
        self.or_without_leftover(&temporary, || symlink(relative_to(target, from), &path))?;
        reached("link/temporary");
        self.dir.rename(&temporary, from)
    }

    /// Makes a temporary file. A process that was killed may have left one, and where pids begin anew with every
    /// container the same name comes again.
    fn or_without_leftover<T>(&self, temporary: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match make() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.remove(temporary)?;
                make()
            }
            made => made,
        }
    }
}

impl HomeLock {
    /// Says that the holder keeps watching: nobody need wait for it to finish.
    ///
    /// # Errors
    /// When the lock file cannot be written.
    pub fn watching(&self) -> Result<(), HomeError> {
        Ok(self.say("watch")?)
    }

    /// Writes into the lock who holds it.
    fn say(&self, what: &str) -> io::Result<()> {
        let text = format!("{} {what}\n", std::process::id());
        self.file.set_len(0)?;
        self.file.write_at(text.as_bytes(), 0).map(|_| ())
    }
}

/// The way from the folder of `from` to `target`, both relative to the ledger home.
fn relative_to(target: &Path, from: &Path) -> PathBuf {
    let depth = from.parent().map_or(0, |parent| parent.components().count());
    std::iter::repeat_n(Path::new(".."), depth).chain([target]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_other_things_is_not_taken_for_a_ledger() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("thesis.txt"), "").unwrap();
        let error = Home::create(folder.path()).unwrap_err();
        assert!(error.to_string().contains("thesis.txt"), "{error}");
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join(".yard"), "ledger-yard 9\n").unwrap();
        assert!(matches!(Home::create(other.path()), Err(HomeError::Version { .. })));
    }

    #[test]
    fn a_ledger_home_has_one_yard_at_work() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        let lock = home.lock().unwrap();
        lock.watching().unwrap();
        let error = home.lock().unwrap_err();
        assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
        drop(lock);
        home.lock().unwrap();
    }

    #[test]
    fn what_a_killed_process_with_the_same_pid_left_is_in_nobodys_way() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        for number in 0..1000 {
            for name in ["a", "b"] {
                let left = format!("{name}.{}-{number}.tmp", std::process::id());
                std::fs::write(home.path().join(left), "half").unwrap();
            }
        }
        home.write(Path::new("a"), b"whole", true).unwrap();
        assert_eq!(std::fs::read(home.path().join("a")).unwrap(), b"whole");
        home.link(Path::new("b"), Path::new("a")).unwrap();
        assert_eq!(std::fs::read(home.path().join("b")).unwrap(), b"whole");
    }

    #[test]
    fn links_are_relative_so_that_a_ledger_can_be_copied() {
        let link =
            relative_to(Path::new("watch/apps/a.db.context.json"), Path::new("2026/apps/a.db.context.json"));
        assert_eq!(link, Path::new("../../watch/apps/a.db.context.json"));
    }
}
