use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    time::Duration,
};

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Time after which one looks although nothing was heard: some file systems tell nothing, and hints can get lost.
const RESCAN: Duration = Duration::from_secs(5);

/// Hints that something in a folder has changed. A hint may come for nothing, and when none comes [`wait`](Self::wait) ends after
/// some seconds all the same: the files are the truth.
#[derive(Debug)]
pub struct Changes {
    hints: Receiver<()>,
    wake: Wake,
    /// Ends with it. Without one every wait takes its full time.
    _watcher: Option<RecommendedWatcher>,
}

/// Ends a wait, also one that has not begun yet.
#[derive(Debug, Clone)]
pub struct Wake {
    hint: SyncSender<()>,
    ended: Arc<AtomicBool>,
}

impl Wake {
    /// Ends the wait, and all that come.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
        // Full: it wakes up anyway.
        _ = self.hint.try_send(());
    }

    /// Whether it was ended.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

impl Changes {
    /// Listens to a folder of the file system.
    #[must_use]
    pub fn of(folder: &Path) -> Self {
        // One hint says as much as many.
        let (hint, hints) = mpsc::sync_channel(1);
        // The first wait is over at once: nobody has looked yet.
        _ = hint.try_send(());
        let wake = Wake { hint: hint.clone(), ended: Arc::new(AtomicBool::new(false)) };
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Reading is no change; that we read would wake us up.
            if !event.is_ok_and(|event| event.kind.is_access()) {
                _ = hint.try_send(());
            }
        });
        let watcher = watcher.ok().and_then(|mut watcher| {
            watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
            Some(watcher)
        });
        Self { hints, wake, _watcher: watcher }
    }

    /// What ends a wait from another thread.
    #[must_use]
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Waits for a hint; `false` if the waiting was [ended](Wake::end).
    #[must_use = "it says whether to go on"]
    pub fn wait(&self) -> bool {
        if !self.wake.is_ended() {
            _ = self.hints.recv_timeout(RESCAN);
        }
        !self.wake.is_ended()
    }
}
