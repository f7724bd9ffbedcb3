//! The thread behind [`Durability::Interval`](crate::Durability::Interval).

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::active::Active;

/// Syncs a file an interval after the first append to it that was not synced. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Syncer {
    shared: Arc<Shared>,
    interval: Duration,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// The file that is to be synced, and when. One is enough: a file is synced when it is finished.
    due: Option<(Arc<Active>, Instant)>,
    ended: bool,
}

impl Syncer {
    pub(crate) fn start(interval: Duration) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = Builder::new().name("ledger-buffer-sync".to_owned()).spawn(move || of_thread.run())?;
        Ok(Self { shared, interval, thread: Some(thread) })
    }

    /// A record was appended to a file.
    pub(crate) fn written(&self, active: &Arc<Active>) {
        let mut state = self.shared.state();
        let is_known = state.due.as_ref().is_some_and(|(due, _)| Arc::ptr_eq(due, active));
        if !is_known {
            // An interval beyond the end of time is as good as none.
            let now = Instant::now();
            let due = now.checked_add(self.interval).unwrap_or(now);
            state.due = Some((active.clone(), due));
            self.shared.changed.notify_one();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.state();
        while !state.ended {
            let wait = state.due.as_ref().map(|(_, due)| due.saturating_duration_since(Instant::now()));
            state = match wait {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(wait) if !wait.is_zero() => {
                    let waited = self.changed.wait_timeout(state, wait);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let due = state.due.take();
                    drop(state);
                    if let Some((active, _)) = due {
                        // A failure poisons the file, which the next append or fetch finds.
                        let _ = active.sync(active.len());
                    }
                    self.state()
                }
            };
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It has no result, and its panic would have been shown.
            let _ = thread.join();
        }
    }
}
