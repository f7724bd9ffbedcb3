//! Which process is the daemon of a configuration folder.
//!
//! `ledger.lock` decides: the daemon holds a lock on it (flock) as long as it lives, so two cannot run, and the
//! operating system takes the lock away however the process ends. It is never deleted, so nobody can lock a file that
//! is no longer there. Its content identifies the holder:
//!
//! ```json
//! {"pid":4711,"start_ticks":8812345,"boot_id":"4b0e…","address":"127.0.0.1:50051"}
//! ```
//!
//! A process is meant only if all of pid, start time and boot are right, so a pid that was given to somebody else
//! is never signalled, and a file left by a crash is just old text. `ledger.pid` beside it holds the decimal pid alone,
//! for scripts such as `kill -HUP $(cat ledger.pid)`; nothing here reads it (specification §6.2).

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Longest content that is read.
const MAX_BYTES: u64 = 64 << 10;

/// Why the daemon cannot be told apart, or there is one already.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PidError {
    /// There is one already.
    #[error("ledger daemon is already running{}", holder.as_ref().map_or_else(String::new, |holder| format!(" (pid {})", holder.pid)))]
    AlreadyRunning {
        /// Which, if it has said so by now.
        holder: Option<Holder>,
    },
    /// A file of the folder cannot be used.
    #[error("ledger: {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The daemon cannot be signalled.
    #[error("ledger: cannot signal the daemon (pid {pid}): {source}")]
    Signal {
        /// Its pid.
        pid: u32,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Who holds the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id.
    pub pid: u32,
    /// When the process started, in clock ticks since the boot.
    start_ticks: u64,
    /// Which boot.
    boot_id: String,
    /// Where it listens; empty until it does.
    pub address: String,
}

impl Holder {
    fn this_process() -> std::io::Result<Self> {
        let pid = std::process::id();
        let start_ticks = start_ticks(pid)?.ok_or(std::io::ErrorKind::NotFound)?;
        Ok(Self { pid, start_ticks, boot_id: boot_id()?, address: String::new() })
    }

    /// Whether exactly this process is alive.
    fn is_alive(&self) -> bool {
        boot_id().is_ok_and(|boot| boot == self.boot_id)
            && start_ticks(self.pid).is_ok_and(|ticks| ticks == Some(self.start_ticks))
    }
}

/// The daemon's hold on its folder; ends when dropped.
#[derive(Debug)]
pub struct PidFile {
    lock: File,
    lock_path: PathBuf,
    pid_path: PathBuf,
    holder: Holder,
}

impl PidFile {
    /// Takes the lock of a folder for this process.
    ///
    /// # Errors
    /// [`PidError::AlreadyRunning`], [`PidError::Io`].
    pub fn take(folder: &Path) -> Result<Self, PidError> {
        let (lock_path, pid_path) = (folder.join("ledger.lock"), folder.join("ledger.pid"));
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PidError::Io { path, source }
        };
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&lock_path).map_err(failed(&lock_path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(PidError::AlreadyRunning { holder: read_holder(folder)? });
            }
            taken => taken.map_err(|error| failed(&lock_path)(error.into()))?,
        }
        let holder = Holder::this_process().map_err(failed(Path::new("/proc/self/stat")))?;
        let mut taken = Self { lock, lock_path, pid_path, holder };
        taken.write().map_err(failed(&taken.lock_path))?;
        taken.write_pid().map_err(failed(&taken.pid_path))?;
        Ok(taken)
    }

    /// Tells where the daemon listens.
    ///
    /// # Errors
    /// [`PidError::Io`].
    pub fn publish(&mut self, address: String) -> Result<(), PidError> {
        self.holder.address = address;
        self.write().map_err(|source| PidError::Io { path: self.lock_path.clone(), source })
    }

    fn write(&mut self) -> std::io::Result<()> {
        let text = serde_json::to_string(&self.holder)?;
        self.lock.rewind()?;
        self.lock.set_len(0)?;
        self.lock.write_all(text.as_bytes())
    }

    fn write_pid(&self) -> std::io::Result<()> {
        let draft = self.pid_path.with_extension("pid.new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        write!(file, "{}", self.holder.pid)?;
        std::fs::rename(&draft, &self.pid_path)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // The lock is still held, so these are our files. What cannot be removed is told apart as old by the next.
        let removed = std::fs::remove_file(&self.pid_path).and_then(|()| self.lock.set_len(0));
        if let Err(error) = removed {
            tracing::warn!(%error, path = %self.pid_path.display(), "failed to remove pid file");
        }
    }
}

/// A daemon that is running: this very process, whatever happens to its pid later.
#[derive(Debug)]
pub struct Running {
    /// Who it is.
    pub holder: Holder,
    process: OwnedFd,
}

impl Running {
    /// The daemon of a folder; `None` if none is running.
    ///
    /// # Errors
    /// [`PidError::Io`], and [`PidError::Signal`] if the process is there but out of reach.
    pub fn find(folder: &Path) -> Result<Option<Self>, PidError> {
        let Some(holder) = read_holder(folder)? else { return Ok(None) };
        let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let process = match pidfd_open(pid, PidfdFlags::empty()) {
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            process => process.map_err(|error| PidError::Signal { pid: holder.pid, source: error.into() })?,
        };
        // Checked after opening: from here on the descriptor means the process that was checked.
        Ok(holder.is_alive().then_some(Self { holder, process }))
    }

    /// Asks it to stop (SIGTERM).
    ///
    /// # Errors
    /// [`PidError::Signal`]. A process that has ended in between is no error.
    pub fn terminate(&self) -> Result<(), PidError> {
        self.signal(Signal::TERM)
    }

    /// Asks it to read configuration and keys again (SIGHUP).
    ///
    /// # Errors
    /// [`PidError::Signal`]. A process that has ended in between is no error.
    pub fn reload(&self) -> Result<(), PidError> {
        self.signal(Signal::HUP)
    }

    fn signal(&self, signal: Signal) -> Result<(), PidError> {
        match pidfd_send_signal(&self.process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(PidError::Signal { pid: self.holder.pid, source: error.into() }),
        }
    }

    /// Waits for its end; answers whether it came in time.
    ///
    /// # Errors
    /// [`PidError::Signal`].
    pub fn wait(&self, at_most: Duration) -> Result<bool, PidError> {
        let failed = |source: std::io::Error| PidError::Signal { pid: self.holder.pid, source };
        let timeout = Timespec::try_from(at_most).map_err(|error| failed(std::io::Error::other(error)))?;
        let mut events = [PollFd::new(&self.process, PollFlags::IN)];
        let ready = poll(&mut events, Some(&timeout)).map_err(|error| failed(error.into()))?;
        Ok(ready > 0)
    }
}

/// What the lock file says; `None` if it is missing, empty or (being written at this moment) half.
fn read_holder(folder: &Path) -> Result<Option<Holder>, PidError> {
    let path = folder.join("ledger.lock");
    let file = match File::open(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|source| PidError::Io { path: path.clone(), source })?,
    };
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(|source| PidError::Io { path, source })?;
    Ok(serde_json::from_str(&text).ok())
}

/// Start time of a process, field 22 of its `stat`; `None` if there is no such process or it is a zombie.
fn start_ticks(pid: u32) -> std::io::Result<Option<u64>> {
    let stat = match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        stat => stat?,
    };
    // The name of the program stands in brackets and may hold anything.
    let Some((_, fields)) = stat.rsplit_once(')') else { return Ok(None) };
    let mut fields = fields.split_ascii_whitespace();
    if matches!(fields.next(), Some("Z" | "X")) {
        return Ok(None);
    }
    Ok(fields.nth(18).and_then(|ticks| ticks.parse().ok()))
}

fn boot_id() -> std::io::Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    fn plant(folder: &Path, holder: &Holder) {
        std::fs::write(folder.join("ledger.lock"), serde_json::to_string(holder).unwrap()).unwrap();
    }

    #[test]
    fn only_one_process_holds_a_folder_and_says_who_it_is() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Running::find(folder.path()).unwrap().is_none());
        let mut held = PidFile::take(folder.path()).unwrap();
        held.publish("127.0.0.1:1".to_owned()).unwrap();
        assert_eq!(
            std::fs::read_to_string(folder.path().join("ledger.pid")).unwrap(),
            std::process::id().to_string()
        );
        let error = PidFile::take(folder.path()).unwrap_err().to_string();
        assert_eq!(error, format!("ledger daemon is already running (pid {})", std::process::id()));
        assert_eq!(Running::find(folder.path()).unwrap().unwrap().holder.address, "127.0.0.1:1");
        drop(held);
        assert!(Running::find(folder.path()).unwrap().is_none());
        assert!(!folder.path().join("ledger.pid").exists());
        PidFile::take(folder.path()).unwrap();
    }

    #[test]
    fn a_pid_that_now_belongs_to_somebody_else_is_not_the_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let mut stranger = Command::new("sleep").arg("60").stdout(Stdio::null()).spawn().unwrap();
        let ticks = start_ticks(stranger.id()).unwrap().unwrap();
        let holder = |start_ticks: u64, boot_id: String| Holder {
            pid: stranger.id(),
            start_ticks,
            boot_id,
            address: String::new(),
        };
        let boot = boot_id().unwrap();
        plant(folder.path(), &holder(ticks - 1, boot.clone()));
        assert!(Running::find(folder.path()).unwrap().is_none());
        plant(folder.path(), &holder(ticks, "another boot".to_owned()));
        assert!(Running::find(folder.path()).unwrap().is_none());
        plant(folder.path(), &holder(ticks, boot));
        let running = Running::find(folder.path()).unwrap().unwrap();
        assert!(!running.wait(Duration::ZERO).unwrap());
        running.terminate().unwrap();
        assert!(running.wait(Duration::from_secs(30)).unwrap());
        // Not yet waited for, it is a zombie: dead.
        assert!(Running::find(folder.path()).unwrap().is_none());
        stranger.wait().unwrap();
        assert!(Running::find(folder.path()).unwrap().is_none());
        PidFile::take(folder.path()).unwrap();
    }

    #[test]
    fn of_many_that_start_at_once_over_an_old_file_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ledger.lock"), "half a li").unwrap();
        std::fs::write(folder.path().join("ledger.pid"), "1").unwrap();
        let start = std::sync::Barrier::new(16);
        let winners = std::thread::scope(|scope| {
            let taking = || {
                start.wait();
                let taken = PidFile::take(folder.path());
                start.wait();
                taken.is_ok()
            };
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(taking)).collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).filter(|&won| won).count()
        });
        assert_eq!(winners, 1);
    }
}
