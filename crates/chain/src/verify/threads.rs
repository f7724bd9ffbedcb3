//! The threads of a verification. All do the same: take signatures to check, or else the next batch to read and digest, and put
//! what came out where it is taken up in the order of the ledger. There is no thread for the order alone, which would wait for its
//! turn while the others have all processors.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    Problem, Secrets,
    digest::{Digested, digest},
    read::{BATCH_BYTES, Batch, Source},
    signatures::{Checked, SignatureJob, check},
};

/// Pieces of work in flight per thread.
const PIECES_PER_THREAD: u64 = 3;

/// Larger buffers are not kept for the next batch.
const MAX_SPARE_BYTES: usize = 2 * BATCH_BYTES;

/// Takes results in the order of the ledger.
pub(crate) trait Sink: Send {
    /// The next batch; gives the signatures that it asks to be checked. Nothing is asked after a problem.
    fn digested(&mut self, digested: &Digested) -> (Vec<SignatureJob>, Result<(), Problem>);

    /// The next signatures.
    fn checked(&mut self, checked: Checked);
}

/// Reads to the end or to the first problem. Gives that, and the number of chunks that were opened.
pub(crate) fn run(
    source: Source<'_>,
    sink: &mut dyn Sink,
    secrets: &Secrets,
    threads: usize,
) -> (u64, Option<Problem>) {
    let desk = Desk {
        intake: Mutex::new(Intake { source, given: 0, at_end: false }),
        order: Mutex::new(Order::new(sink, threads)),
        changed: Condvar::new(),
        secrets,
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(|| desk.work());
        }
        desk.work();
    });
    let opened = lock(&desk.intake).source.opened;
    let mut order = lock(&desk.order);
    (opened, order.broken.take().or(order.unreadable.take()))
}

/// What the threads share: one lock for reading, one for the order. Neither is held while digesting or checking.
struct Desk<'a> {
    intake: Mutex<Intake<'a>>,
    order: Mutex<Order<'a>>,
    /// There may be work again, or all is done.
    changed: Condvar,
    secrets: &'a Secrets,
}

struct Intake<'a> {
    source: Source<'a>,
    given: u64,
    at_end: bool,
}

enum Task {
    /// Read a batch into this buffer and digest it.
    Digest(Vec<u8>),
    Check(u64, Vec<SignatureJob>),
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Desk<'_> {
    fn work(&self) {
        while let Some(task) = self.task() {
            match task {
                Task::Check(number, signatures) => {
                    let checked = check(&signatures);
                    lock(&self.order).checked(number, checked);
                }
                Task::Digest(mut buffer) => match self.read(&mut buffer) {
                    Ok(Some((number, batch))) => {
                        let digested = digest(batch, self.secrets);
                        lock(&self.order).digested(number, digested);
                    }
                    Ok(None) => lock(&self.order).at_end(None),
                    Err(problem) => lock(&self.order).at_end(Some(problem)),
                },
            }
            self.changed.notify_all();
        }
    }

    /// Waits for something to do; `None` when all is done.
    fn task(&self) -> Option<Task> {
        let mut order = lock(&self.order);
        loop {
            if let Some((number, signatures)) = order.to_check.pop_front() {
                return Some(Task::Check(number, signatures));
            }
            if order.may_read() {
                order.reading = order.reading.saturating_add(1);
                return Some(Task::Digest(order.spare.pop().unwrap_or_default()));
            }
            if order.is_done() {
                return None;
            }
            order = self.changed.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn read(&self, buffer: &mut Vec<u8>) -> Result<Option<(u64, Batch)>, Problem> {
        let mut intake = lock(&self.intake);
        if intake.at_end {
            return Ok(None);
        }
        let read = intake.source.next_in(buffer);
        // There is nothing to be read behind a problem.
        intake.at_end = !matches!(read, Ok(Some(_)));
        let number = intake.given;
        intake.given = number.saturating_add(1);
        Ok(read?.map(|batch| (number, batch)))
    }
}

/// Results that come in any order, handed on in the order of the ledger.
struct Order<'a> {
    sink: &'a mut dyn Sink,
    window: u64,
    /// Batches that are being read or digested.
    reading: u64,
    digests: Ordered<Digested>,
    checks: Ordered<Checked>,
    checks_given: u64,
    to_check: VecDeque<(u64, Vec<SignatureJob>)>,
    at_end: bool,
    /// Why reading ended.
    unreadable: Option<Problem>,
    /// What was found in what was read; comes before it.
    broken: Option<Problem>,
    spare: Vec<Vec<u8>>,
}

impl<'a> Order<'a> {
    fn new(sink: &'a mut dyn Sink, threads: usize) -> Self {
        Self {
            sink,
            window: (threads as u64).saturating_mul(PIECES_PER_THREAD),
            reading: 0,
            digests: Ordered::new(),
            checks: Ordered::new(),
            checks_given: 0,
            to_check: VecDeque::new(),
            at_end: false,
            unreadable: None,
            broken: None,
            spare: Vec::new(),
        }
    }

    fn may_read(&self) -> bool {
        let held = self.reading.saturating_add(self.digests.early.len() as u64);
        !self.at_end && held < self.window && self.checks_in_flight() < self.window
    }

    fn checks_in_flight(&self) -> u64 {
        self.checks_given.saturating_sub(self.checks.taken)
    }

    fn is_done(&self) -> bool {
        self.at_end && self.reading == 0 && self.checks_in_flight() == 0
    }

    fn at_end(&mut self, problem: Option<Problem>) {
        self.reading = self.reading.saturating_sub(1);
        self.at_end = true;
        self.unreadable = self.unreadable.take().or(problem);
    }

    fn digested(&mut self, number: u64, digested: Digested) {
        self.reading = self.reading.saturating_sub(1);
        self.digests.early.insert(number, digested);
        while let Some(digested) = self.digests.take() {
            if self.broken.is_some() {
                // Nothing behind a problem can be judged.
                continue;
            }
            let (signatures, outcome) = self.sink.digested(&digested);
            if !signatures.is_empty() {
                self.to_check.push_back((self.checks_given, signatures));
                self.checks_given = self.checks_given.saturating_add(1);
            }
            if let Err(problem) = outcome {
                (self.at_end, self.broken) = (true, Some(problem));
            }
            if digested.batch.bytes.capacity() <= MAX_SPARE_BYTES {
                self.spare.push(digested.batch.bytes);
            }
        }
    }

    fn checked(&mut self, number: u64, checked: Checked) {
        self.checks.early.insert(number, checked);
        while let Some(checked) = self.checks.take() {
            self.sink.checked(checked);
        }
    }
}

struct Ordered<T> {
    taken: u64,
    early: BTreeMap<u64, T>,
}

impl<T> Ordered<T> {
    fn new() -> Self {
        Self { taken: 0, early: BTreeMap::new() }
    }

    fn take(&mut self) -> Option<T> {
        let result = self.early.remove(&self.taken)?;
        self.taken = self.taken.saturating_add(1);
        Some(result)
    }
}
