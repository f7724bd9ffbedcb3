//! The folder `.run`: what is live, found without reading history.
//!
//! For each data file it holds the link `current` to the context of its latest start, and `keeper.log`, which the yard
//! locks (flock) and hands to the keeper as its standard error: the lock lives exactly as long as the keeper, from before
//! it is started, so no instant is left in which a second yard could take the service for dead and start it again.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ledger_fs::{Kind, read_all};

use super::home::{Home, HomeError};
use super::record::{Record, RecordProblem};
use super::session::is_session_name;

/// Name of the keeper's log, which is also its lock.
const KEEPER_LOG: &str = "keeper.log";
/// How long a keeper may take from its start to its first word in the context.
const KEEPER_PATIENCE: Duration = Duration::from_secs(5);
/// How long a process that was killed may take to let go of its files.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);
/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(2);

/// The folder of a data file below `.run`.
pub(crate) fn run_folder(relative: &str) -> PathBuf {
    Path::new(".run").join(relative)
}

impl Home {
    /// The latest context of every data file.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn latest(&self) -> Result<(Vec<Record>, Vec<RecordProblem>), HomeError> {
        let (mut records, mut problems) = (Vec::new(), Vec::new());
        let mut links = Vec::new();
        self.find(Path::new(".run"), 0, &mut |name, kind| {
            if kind == Kind::Link && name.file_name().is_some_and(|name| name == "current") {
                links.push(name);
            }
        })?;
        links.sort();
        for link in links {
            // A session that somebody removed takes its services out of the picture.
            let Ok(target) = std::fs::canonicalize(self.path().join(&link)) else { continue };
            let Ok(name) = target.strip_prefix(self.path()) else { continue };
            match self.settled(name, link.parent().unwrap_or(Path::new(""))) {
                Ok(Some(record)) => records.push(record),
                Ok(None) => {}
                Err(problem) => problems.push(problem),
            }
        }
        Ok((records, problems))
    }

    /// The latest context of every data file; in a ledger of the original program, the contexts of its newest session.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn present(&self) -> Result<(Vec<Record>, Vec<RecordProblem>), HomeError> {
        if self.marker()?.is_some() {
            return self.latest();
        }
        let newest = std::fs::read_to_string(self.path().join(".current-session")).ok();
        match newest.as_deref().map(str::trim).filter(|name| is_session_name(name)) {
            Some(session) => self.records_below(Path::new(session), true),
            None => self.records(true),
        }
    }

    /// A context; if its keeper lives and has not said yet who it is, as soon as it has.
    fn settled(&self, name: &Path, run_folder: &Path) -> Result<Option<Record>, RecordProblem> {
        let is_silent = |record: &Option<Record>| {
            record.as_ref().is_some_and(|one| one.keeper.is_none() && one.state() == "starting")
        };
        let since = Instant::now();
        let mut record = self.record(name, false)?;
        while is_silent(&record) {
            // Asked before the next look: what a keeper wrote before it ended is seen.
            let is_kept = self.has_keeper(run_folder) && since.elapsed() < KEEPER_PATIENCE;
            record = self.record(name, false)?;
            if !is_kept {
                break;
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(record)
    }

    /// Whether a keeper of this data file lives on that no context shows. One that was killed counts as dead a moment
    /// before it lets go of its files.
    pub(crate) fn has_hidden_keeper(&self, run_folder: &Path) -> bool {
        let since = Instant::now();
        while self.has_keeper(run_folder) {
            if since.elapsed() > RELEASE_PATIENCE {
                return true;
            }
            std::thread::sleep(INTERVAL);
        }
        false
    }

    /// Whether a keeper of this data file lives, or is being started.
    fn has_keeper(&self, run_folder: &Path) -> bool {
        let log = File::open(self.path().join(run_folder).join(KEEPER_LOG));
        log.is_ok_and(|log| matches!(log.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The right to start a keeper, in the form of its empty log: the lock is given back when the last process that has
    /// this file open has ended. `None` if a keeper lives.
    pub(crate) fn claim_keeper(&self, run_folder: &Path) -> io::Result<Option<File>> {
        let path = self.path().join(run_folder).join(KEEPER_LOG);
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        let since = Instant::now();
        loop {
            match log.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if since.elapsed() > KEEPER_PATIENCE => return Ok(None),
                // A keeper that is ending, or somebody who looks whether there is one.
                Err(TryLockError::WouldBlock) => std::thread::sleep(INTERVAL),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        log.set_len(0)?;
        Ok(Some(log))
    }

    /// The small files of this name below `.run`, with the folder in which each stands.
    pub(crate) fn run_files(&self, file: &str) -> Result<Vec<(String, String)>, HomeError> {
        let mut names = Vec::new();
        self.find(Path::new(".run"), 0, &mut |name, kind| {
            if kind == Kind::File && name.file_name().is_some_and(|name| name == file) {
                names.push(name);
            }
        })?;
        let read = |name: PathBuf| {
            let folder = name.parent()?.strip_prefix(".run").ok()?.to_str()?.to_owned();
            let text = read_all(&**self.dir(), &name, 100).ok()?;
            Some((folder, String::from_utf8(text).ok()?))
        };
        Ok(names.into_iter().filter_map(read).collect())
    }

    /// Takes a service out of the picture of what is there now; its contexts stay in their sessions.
    ///
    /// # Errors
    /// When that cannot be written down.
    pub fn forget(&self, record: &Record) -> io::Result<()> {
        match self.dir().remove(&run_folder(record.relative_path()).join("current")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_there_as_long_as_its_log_is_open_somewhere() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::create(folder.path()).unwrap();
        let run = run_folder("a.db");
        std::fs::create_dir_all(home.path().join(&run)).unwrap();
        assert!(!home.has_keeper(&run));
        let log = home.claim_keeper(&run).unwrap().unwrap();
        let mut keeper = std::process::Command::new("sleep").arg("60").stderr(log).spawn().unwrap();
        assert!(home.has_keeper(&run), "the process has it, this one has let go");
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        assert!(!home.has_keeper(&run));
        assert!(home.claim_keeper(&run).unwrap().is_some());
    }
}
