//! The file of a lock that is held, and the thread that shows that its holder lives.

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ledger_fs::{Dir, File, FileId};

use crate::home::if_found;

const INTERVAL: Duration = Duration::from_secs(1);

/// The lock file that we created. As long as it is open it carries the advisory lock.
#[derive(Debug)]
pub(super) struct LockFile {
    file: Box<dyn File>,
    id: FileId,
}

impl LockFile {
    pub(super) fn new(file: Box<dyn File>, id: FileId) -> Arc<Self> {
        let file = Arc::new(Self { file, id });
        REFRESHER.add(&file);
        file
    }

    /// Whether the name leads to this file.
    pub(super) fn is_at(&self, dir: &dyn Dir, name: &Path) -> io::Result<bool> {
        Ok(if_found(dir.metadata(name))?.is_some_and(|metadata| metadata.id == self.id))
    }

    /// Renews the time. Whole seconds, so that waiters can tell it from the creation by another holder.
    fn touch(&self) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        // Nothing can be done about a failure; the lock then ages like the original's.
        let _ = self.file.set_modified(UNIX_EPOCH + Duration::from_secs(seconds));
    }

    /// Ends the renewal.
    pub(super) fn retire(self: &Arc<Self>) {
        REFRESHER.remove(self);
    }
}

/// Whether a lock file's time was set by a renewal.
pub(super) fn is_renewal(modified: SystemTime) -> bool {
    modified.duration_since(UNIX_EPOCH).is_ok_and(|time| time.subsec_nanos() == 0)
}

static REFRESHER: LazyLock<Refresher> = LazyLock::new(Refresher::default);

#[derive(Default)]
struct Refresher {
    held: Mutex<(Vec<Arc<LockFile>>, bool)>,
    added: Condvar,
}

impl Refresher {
    fn add(&'static self, file: &Arc<LockFile>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.push(Arc::clone(file));
        if !held.1 {
            // Without the thread the lock ages like the original's: not worth a failure.
            held.1 = std::thread::Builder::new().name("lock-refresh".to_owned()).spawn(|| self.run()).is_ok();
        }
        self.added.notify_one();
    }

    fn remove(&self, file: &Arc<LockFile>) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.0.retain(|other| !Arc::ptr_eq(other, file));
    }

    fn run(&self) {
        loop {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            while held.0.is_empty() {
                held = self.added.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            drop(held);
            std::thread::sleep(INTERVAL);
            // Touched under the mutex: after `remove` returned, nobody touches the file any more.
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            held.0.iter().for_each(|file| file.touch());
        }
    }
}
