//! First come, first served, within one process.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::LockOptions;
use super::error::{Held, LockError};
use super::takeover::timeout;

/// After this time of handing the lock on within the process, others get a chance to see it free…
const BURST: Duration = Duration::from_millis(250);
/// …for a little longer than their pause between attempts.
const YIELD: Duration = Duration::from_millis(25);

static PROCESS: LazyLock<Queues> = LazyLock::new(Queues::default);

/// One queue per lock path.
#[derive(Clone, Debug, Default)]
pub(super) struct Queues(Arc<Mutex<HashMap<PathBuf, Arc<Queue>>>>);

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Debug)]
struct State {
    waiting: VecDeque<u64>,
    next: u64,
    /// When the lock was last passed on: a queue that moves keeps nobody from waiting.
    progress: Instant,
    burst_started: Instant,
}

impl Queues {
    pub(super) fn of_process() -> Self {
        PROCESS.clone()
    }

    /// Waits until the caller is at the head, which alone may poll the file.
    pub(super) fn wait(&self, path: &Path, options: &LockOptions) -> Result<Place, LockError> {
        let queue =
            Arc::clone(lock(&self.0).entry(path.to_owned()).or_insert_with(|| Arc::new(Queue::new())));
        let mut state = lock(&queue.state);
        let ticket = state.next;
        state.next += 1;
        if state.waiting.is_empty() {
            state.burst_started = Instant::now();
            state.progress = Instant::now();
        }
        state.waiting.push_back(ticket);
        let place = Place { queues: self.clone(), path: path.to_owned(), queue: Arc::clone(&queue), ticket };
        while state.waiting.front() != Some(&ticket) {
            let waited = state.progress.elapsed();
            let Some(left) = options.budget().checked_sub(waited).filter(|left| !left.is_zero()) else {
                drop(state);
                return Err(timeout(options, Held::Live, path));
            };
            state = queue.moved.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let burst_over = state.burst_started.elapsed() > BURST;
        if burst_over {
            state.burst_started = Instant::now() + YIELD;
        }
        drop(state);
        if burst_over {
            std::thread::sleep(YIELD);
        }
        Ok(place)
    }
}

impl Queue {
    fn new() -> Self {
        let state = State {
            waiting: VecDeque::new(),
            next: 0,
            progress: Instant::now(),
            burst_started: Instant::now(),
        };
        Self { state: Mutex::new(state), moved: Condvar::new() }
    }
}

/// A place in the queue; dropping it lets the others move up.
#[derive(Debug)]
pub(super) struct Place {
    queues: Queues,
    path: PathBuf,
    queue: Arc<Queue>,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = lock(&self.queues.0);
        let mut state = lock(&self.queue.state);
        if state.waiting.front() == Some(&self.ticket) {
            state.progress = Instant::now();
        }
        state.waiting.retain(|ticket| *ticket != self.ticket);
        if state.waiting.is_empty() {
            queues.remove(&self.path);
        }
        self.queue.moved.notify_all();
    }
}

/// The data is consistent after every step, so a panic elsewhere does not spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
