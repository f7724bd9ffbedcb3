//! The takeover of locks under every order in which contenders' system calls can come.
//!
//! The code that is checked is the real one: it runs on a file layer whose every call waits until a scheduler says whose
//! turn it is. The scheduler tries every order in which contenders are interrupted at most three times, and random ones.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, SystemTime};

use ledger_fs::{Dir, Entry, File, FileId, Kind, Metadata, Open};
use relayburn_ledger::lock::{LockOptions, Locks};

/// A folder in memory with one rule: a call happens when its contender is told to go on.
#[derive(Debug)]
struct Model {
    files: Mutex<Files>,
    turns: Turns,
}

#[derive(Debug, Default)]
struct Files {
    names: HashMap<PathBuf, u64>,
    modified: HashMap<u64, SystemTime>,
    /// Which handle holds the advisory lock of which file.
    locks: HashMap<u64, u64>,
    next: u64,
}

thread_local! {
    /// The number of this contender; threads without one are not scheduled.
    static CONTENDER: Cell<Option<usize>> = const { Cell::new(None) };
}

#[derive(Debug, Default)]
struct Turns {
    state: Mutex<TurnState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TurnState {
    waiting: Vec<usize>,
    done: usize,
    go: Option<usize>,
}

impl Turns {
    fn wait(&self) {
        let Some(me) = CONTENDER.get() else { return };
        let mut state = self.state.lock().unwrap();
        state.waiting.push(me);
        self.changed.notify_all();
        while state.go != Some(me) {
            state = self.changed.wait(state).unwrap();
        }
        state.go = None;
        state.waiting.retain(|other| *other != me);
    }

    fn finish(&self) {
        self.state.lock().unwrap().done += 1;
        self.changed.notify_all();
    }

    /// Lets contenders go on one by one, as `choose` says among those that could, until all are done.
    fn schedule(&self, contenders: usize, mut choose: impl FnMut(&[usize]) -> usize) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.go.is_some() || state.waiting.len() + state.done < contenders {
                state = self.changed.wait(state).unwrap();
            }
            if state.done == contenders {
                return;
            }
            state.waiting.sort_unstable();
            state.go = Some(choose(&state.waiting));
            self.changed.notify_all();
        }
    }
}

struct Handle {
    model: Arc<Model>,
    id: u64,
    handle: u64,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "handle {} of file {}", self.handle, self.id)
    }
}

#[derive(Clone, Debug)]
struct ModelDir(Arc<Model>);

impl ModelDir {
    fn step<T>(&self, what: impl FnOnce(&mut Files) -> io::Result<T>) -> io::Result<T> {
        self.0.turns.wait();
        what(&mut self.0.files.lock().unwrap())
    }
}

fn metadata(files: &Files, id: u64) -> Metadata {
    let id_of = FileId { device: 1, inode: id };
    Metadata { kind: Kind::File, len: 0, id: id_of, modified: files.modified[&id] }
}

fn missing<T>() -> io::Result<T> {
    Err(io::ErrorKind::NotFound.into())
}

impl Dir for ModelDir {
    fn path(&self) -> &Path {
        Path::new("/model")
    }

    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let create = how == Open::WRITE.create_new();
        let model = Arc::clone(&self.0);
        self.step(|files| {
            let id = match (files.names.get(name), create) {
                (Some(_), true) => return Err(io::ErrorKind::AlreadyExists.into()),
                (Some(id), false) => *id,
                (None, false) => return missing(),
                (None, true) => {
                    files.next += 1;
                    files.names.insert(name.to_owned(), files.next);
                    files.modified.insert(files.next, SystemTime::now());
                    files.next
                }
            };
            files.next += 1;
            Ok(Box::new(Handle { model, id, handle: files.next }) as Box<dyn File>)
        })
    }

    fn metadata(&self, name: &Path) -> io::Result<Metadata> {
        self.step(|files| files.names.get(name).map_or_else(missing, |id| Ok(metadata(files, *id))))
    }

    fn remove(&self, name: &Path) -> io::Result<()> {
        self.step(|files| files.names.remove(name).map_or_else(missing, |_| Ok(())))
    }

    fn create_dir_all(&self, _: &Path) -> io::Result<()> {
        unreachable!("locks create files only")
    }

    fn entries(&self, _: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<Entry>> + Send>> {
        unreachable!("locks list nothing")
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("locks rename nothing")
    }

    fn hard_link(&self, _: &Path, _: &Path) -> io::Result<()> {
        unreachable!("locks link nothing")
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        unreachable!("locks remove files only")
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        unreachable!("locks need not survive a power cut")
    }
}

impl File for Handle {
    fn path(&self) -> &Path {
        Path::new("/model/lock")
    }

    fn append(&self, _: &[u8]) -> io::Result<usize> {
        unreachable!("lock files stay empty")
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        unreachable!("lock files stay empty")
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        unreachable!("lock files stay empty")
    }

    fn metadata(&self) -> io::Result<Metadata> {
        // What is asked of an open file cannot be changed by the others.
        Ok(metadata(&self.model.files.lock().unwrap(), self.id))
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        unreachable!("lock files stay empty")
    }

    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.model.files.lock().unwrap().modified.insert(self.id, time);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self) -> io::Result<bool> {
        self.model.turns.wait();
        let mut files = self.model.files.lock().unwrap();
        let holder = *files.locks.entry(self.id).or_insert(self.handle);
        Ok(holder == self.handle)
    }

    fn unlock(&self) -> io::Result<()> {
        unreachable!("closing the file unlocks it")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Closing is a step too: until then the advisory lock is held.
        self.model.turns.wait();
        let mut files = self.model.files.lock().unwrap();
        if files.locks.get(&self.id) == Some(&self.handle) {
            files.locks.remove(&self.id);
        }
    }
}

const OPTIONS: LockOptions = LockOptions {
    fast_attempts: 3,
    fast_delay: Duration::ZERO,
    slow_attempts: 0,
    slow_delay: Duration::ZERO,
    stale_after: Duration::from_secs(5),
};

/// One run: contenders meet an orphan; who gets the lock holds it for a step, then releases it. Returns whether two ever
/// held it at once, and how many got it.
fn run(contenders: usize, choose: impl FnMut(&[usize]) -> usize) -> (bool, usize) {
    let model = Arc::new(Model { files: Mutex::default(), turns: Turns::default() });
    {
        let mut files = model.files.lock().unwrap();
        files.next = 1;
        files.names.insert(PathBuf::from("x.lock"), 1);
        files.modified.insert(1, SystemTime::now() - Duration::from_secs(60));
    }
    let (inside, overlaps, taken) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..contenders {
            let (model, inside, overlaps, taken) = (&model, &inside, &overlaps, &taken);
            scope.spawn(move || {
                let dir = ModelDir(Arc::clone(model));
                let locks = Locks::new(Arc::new(dir)).as_another_process().options(OPTIONS);
                CONTENDER.set(Some(number));
                if let Ok(guard) = locks.acquire("x") {
                    overlaps.fetch_add(inside.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
                    taken.fetch_add(1, Ordering::SeqCst);
                    model.turns.wait();
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(guard);
                }
                CONTENDER.set(None);
                model.turns.finish();
            });
        }
        model.turns.schedule(contenders, choose);
    });
    (overlaps.into_inner() > 0, taken.into_inner())
}

/// More steps than a run of three contenders has before the first one holds the lock.
const STEPS: usize = 34;

/// A contender goes on until it is done, or until one of these steps, where the next one gets its turn.
fn run_with_interruptions(contenders: usize, at: [usize; 3]) {
    let (mut step, mut current) = (0, 0);
    let (overlap, taken) = run(contenders, |waiting| {
        if at.contains(&step) || !waiting.contains(&current) {
            let next = waiting.iter().find(|other| **other > current);
            current = *next.unwrap_or(&waiting[0]);
        }
        step += 1;
        current
    });
    assert!(!overlap, "two holders when {contenders} are interrupted at {at:?}");
    assert!(taken >= 1, "nobody got the lock when {contenders} are interrupted at {at:?}");
}

#[test]
fn contenders_never_hold_an_orphan_at_once_wherever_three_interruptions_fall() {
    for contenders in [2, 3] {
        for first in 0..STEPS {
            for second in first..STEPS {
                // Equal steps are one interruption, so that runs with fewer than three are among these.
                (second..STEPS).for_each(|third| run_with_interruptions(contenders, [first, second, third]));
            }
        }
    }
}

#[test]
fn three_contenders_never_hold_an_orphan_at_once_in_random_orders() {
    let runs: u64 = std::env::var("LEDGER_INTERLEAVINGS").map_or(5_000, |runs| runs.parse().unwrap());
    for seed in 1..=runs {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (overlap, taken) = run(3, |waiting| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            waiting[usize::try_from(state % waiting.len() as u64).unwrap()]
        });
        assert!(!overlap, "two holders with seed {seed}");
        assert!(taken >= 1, "nobody got the lock with seed {seed}");
    }
}
