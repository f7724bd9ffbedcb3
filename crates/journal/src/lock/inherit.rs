//! Re-entrancy: which locks the current thread holds.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

thread_local! {
    static HELD: RefCell<Vec<PathBuf>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn is_held(path: &Path) -> bool {
    HELD.with_borrow(|held| held.iter().any(|other| other == path))
}

pub(super) fn add(path: &Path) {
    HELD.with_borrow_mut(|held| held.push(path.to_owned()));
}

pub(super) fn remove(path: &Path) {
    HELD.with_borrow_mut(|held| {
        if let Some(index) = held.iter().rposition(|other| other == path) {
            held.remove(index);
        }
    });
}

/// The locks that one thread holds, to be taken along into a thread that works for it.
///
/// ```
/// # let home = tempfile::tempdir()?;
/// use relayburn_ledger::lock::{Inherited, Locks};
///
/// let locks = Locks::at(home.path())?;
/// let _guard = locks.acquire("ledger")?;
/// let inherited = Inherited::from_this_thread();
/// std::thread::scope(|scope| {
///     // Runs at once instead of waiting for the lock that its parent holds.
///     scope.spawn(|| inherited.enter(|| locks.acquire("ledger").is_ok()));
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Inherited(Vec<PathBuf>);

impl Inherited {
    /// What the current thread holds.
    pub fn from_this_thread() -> Self {
        Self(HELD.with_borrow(Clone::clone))
    }

    /// Runs a function as if the current thread held these locks. The thread that holds them must outlive it.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let before = HELD.with_borrow_mut(|held| {
            let before = held.clone();
            held.extend(self.0.iter().cloned());
            before
        });
        let _restore = Restore(before);
        work()
    }
}

struct Restore(Vec<PathBuf>);

impl Drop for Restore {
    fn drop(&mut self) {
        HELD.set(std::mem::take(&mut self.0));
    }
}
