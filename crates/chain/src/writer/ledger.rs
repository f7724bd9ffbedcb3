use std::{
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use ledger_fs::File;

use super::{
    Engine, Home, LedgerError, Prepared, Recovery, Settings,
    queue::{Queue, Reply, Work},
};
use crate::{
    crypto::Curve,
    format::{Digest, TxId, WriteSet},
    snapshot::{SnapshotJob, SnapshotName},
    store::Recovered,
};

/// How far an append is when it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// Written to the operating system: survives a killed process.
    Os,
    /// Synced to the disk: survives a power cut.
    #[default]
    Synced,
}

/// The answer to an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its position.
    pub txid: TxId,
    /// How far it is.
    pub durability: Durability,
}

/// A ledger that is open for writing. Cheap to share between threads behind an [`Arc`].
#[derive(Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    recovered: Recovered,
}

#[derive(Debug)]
struct Shared {
    queue: Queue,
    engine: Mutex<Engine>,
    /// A snapshot that was taken beside was handed in, or none will be any more.
    snapshot_done: Condvar,
    settings: Settings,
    failed: Mutex<Option<Arc<LedgerError>>>,
    /// Holds the lock.
    _lock: Box<dyn File>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Creates a ledger in a folder and opens it.
    ///
    /// # Errors
    /// [`LedgerError::Exists`], [`LedgerError::Locked`], and what can go wrong with files and keys.
    pub fn init(path: impl AsRef<Path>, settings: Settings) -> Result<Self, LedgerError> {
        Self::init_in(&Home::create(path)?, settings)
    }

    /// Like [`init`](Self::init), in any kind of folder.
    ///
    /// # Errors
    /// As [`init`](Self::init).
    pub fn init_in(home: &Home, settings: Settings) -> Result<Self, LedgerError> {
        let lock = home.lock()?;
        let mut engine = Engine::init(home, &settings)?;
        engine.flush()?;
        engine.pending_sync().run()?;
        let last = engine.last().seqno;
        engine.commit(last)?;
        Self::start(engine, Recovered::default(), settings, lock)
    }

    /// Opens an existing ledger.
    ///
    /// # Errors
    /// [`LedgerError::NoLedger`], [`LedgerError::Locked`], [`LedgerError::WrongKeys`], and what can go wrong with files.
    pub fn open(path: impl AsRef<Path>, settings: Settings) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(LedgerError::NoLedger { path: path.to_owned() });
        }
        Self::open_in(&Home::open(path)?, settings)
    }

    /// Like [`open`](Self::open), in any kind of folder.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_in(home: &Home, settings: Settings) -> Result<Self, LedgerError> {
        let lock = home.lock()?;
        let (mut engine, recovered) = Engine::open(home, &settings)?;
        // What was signed before is synced by now, and there is nobody else to ask.
        if let Some(signature) = engine.last_signature() {
            engine.commit(signature.seqno)?;
            engine.pending_sync().run()?;
        }
        Self::start(engine, recovered, settings, lock)
    }

    /// Recovers a ledger whose keys are lost and opens it: see [`Engine::recover`].
    ///
    /// # Errors
    /// As [`Engine::recover`].
    pub fn recover_in(home: &Home, settings: Settings) -> Result<(Self, Recovery), LedgerError> {
        let lock = home.lock()?;
        let (engine, recovery) = Engine::recover(home, &settings)?;
        Ok((Self::start(engine, Recovered::default(), settings, lock)?, recovery))
    }

    /// Gives the node a new key: see [`Engine::rotate_node_key`].
    ///
    /// # Errors
    /// As [`Engine::rotate_node_key`].
    pub fn rotate_node_key(&self, home: &Home, curve: Curve) -> Result<TxId, LedgerError> {
        self.shared.change(|engine| {
            let signature = engine.rotate_node_key(home, curve)?;
            engine.commit(signature.seqno)?;
            Ok(signature)
        })
    }

    /// Encrypts private maps with a new secret from now on: see [`Engine::rotate_ledger_secret`].
    ///
    /// # Errors
    /// As [`Engine::rotate_ledger_secret`], and those of [`sign`](Self::sign).
    pub fn rotate_ledger_secret(&self, home: &Home) -> Result<TxId, LedgerError> {
        let txid = self.shared.change(|engine| engine.rotate_ledger_secret(home))?;
        self.sign()?;
        Ok(txid)
    }

    fn start(
        engine: Engine,
        recovered: Recovered,
        settings: Settings,
        lock: Box<dyn File>,
    ) -> Result<Self, LedgerError> {
        let queue = Queue::new(settings.max_queued_entries, settings.max_queued_bytes);
        let shared = Arc::new(Shared {
            queue,
            engine: Mutex::new(engine),
            snapshot_done: Condvar::new(),
            settings,
            failed: Mutex::new(None),
            _lock: lock,
        });
        let writer = Arc::clone(&shared);
        let thread = thread::Builder::new().name("ledger-chain".into()).spawn(move || writer.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)), recovered })
    }

    /// What had to be put right when it was opened.
    #[must_use]
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// Appends one entry and waits until it is as durable as the settings say.
    ///
    /// # Errors
    /// [`LedgerError::Reserved`], [`LedgerError::Empty`], [`LedgerError::TooLarge`]: nothing happened.
    /// [`LedgerError::Poisoned`]: a write failed; whether the entry is there shows when the ledger is opened again.
    pub fn append(&self, writes: &WriteSet) -> Result<Appended, LedgerError> {
        self.append_prepared(Prepared::new(writes, None)?)
    }

    /// Appends one entry with a digest of the application's claims.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_with_claims(
        &self,
        writes: &WriteSet,
        claims_digest: Digest,
    ) -> Result<Appended, LedgerError> {
        self.append_prepared(Prepared::new(writes, Some(claims_digest))?)
    }

    /// Appends what was encoded before.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_prepared(&self, entry: Prepared) -> Result<Appended, LedgerError> {
        self.submit(entry)?.wait()
    }

    /// Queues an entry without waiting for it: for callers with many entries. Waits only for room in the queue.
    ///
    /// # Errors
    /// [`LedgerError::Closed`].
    pub fn submit(&self, entry: Prepared) -> Result<Pending, LedgerError> {
        Ok(Pending { reply: self.shared.queue.push(entry)? })
    }

    /// Signs everything that was appended, unless it is signed already, and waits until the signature is synced.
    ///
    /// # Errors
    /// [`LedgerError::Poisoned`], [`LedgerError::Closed`].
    pub fn sign(&self) -> Result<TxId, LedgerError> {
        Ok(self.shared.queue.sign()?.wait()?.txid)
    }

    /// Signs, takes a snapshot of the state there, and waits until it is committed. Appends wait meanwhile. One that is being taken by
    /// itself is waited for.
    ///
    /// # Errors
    /// [`LedgerError::Snapshot`] if it could not be taken; the ledger goes on. [`LedgerError::Poisoned`] if a write failed.
    pub fn snapshot(&self) -> Result<SnapshotName, LedgerError> {
        Ok(self.shared.change(Engine::take_snapshot)??)
    }

    /// Runs something with the engine while no entry is added: for reading.
    pub fn with_engine<T>(&self, read: impl FnOnce(&Engine) -> T) -> T {
        read(&lock(&self.shared.engine))
    }

    /// Signs what is unsigned, writes everything and ends the writer.
    ///
    /// # Errors
    /// The error that ended the writer before, if one did.
    pub fn close(&self) -> Result<(), LedgerError> {
        self.shared.queue.close();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic of the writer cannot happen without a defect; its appends are answered by nobody then.
            _ = thread.join();
        }
        lock(&self.shared.failed).clone().map_or(Ok(()), |error| Err(LedgerError::Poisoned(error)))
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        _ = self.close();
    }
}

/// An append that is on its way.
#[derive(Debug)]
#[must_use = "without waiting nobody knows whether the entry was written"]
pub struct Pending {
    reply: Arc<Reply>,
}

impl Pending {
    /// Waits for the answer.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn wait(self) -> Result<Appended, LedgerError> {
        self.reply.wait()
    }
}

impl Shared {
    /// The writer's thread.
    fn run(&self) {
        let mut unsigned_since: Option<Instant> = None;
        thread::scope(|scope| {
            while let Some(job) = self.run_until_snapshot(&mut unsigned_since) {
                if self.queue.is_closed() {
                    self.queue.put_built(job.run());
                } else {
                    scope.spawn(move || self.queue.put_built(job.run()));
                }
            }
        });
    }

    /// Serves until a snapshot is to be taken beside; `None` at the end.
    fn run_until_snapshot(&self, unsigned_since: &mut Option<Instant>) -> Option<SnapshotJob> {
        loop {
            let deadline = unsigned_since.map(|since| since + self.settings.sign_after);
            let taken = lock(&self.engine).snapshot_taken();
            let mut work = self.queue.take(deadline, taken);
            let due = deadline.is_some_and(|deadline| Instant::now() >= deadline);
            let closed = work.closed;
            if let Err(error) = self.serve(&mut work, due) {
                self.fail(error);
                // Who wants the engine without a snapshot beside has seen the failure by now, or waits.
                drop(lock(&self.engine));
                self.snapshot_done.notify_all();
                return None;
            }
            let mut engine = lock(&self.engine);
            *unsigned_since = match engine.unsigned() {
                0 => None,
                _ => unsigned_since.filter(|_| !due).or_else(|| Some(Instant::now())),
            };
            if let Some(job) = engine.snapshot_job() {
                return Some(job);
            }
            // What was begun is finished first, so that short-lived writers take snapshots too.
            if closed && !engine.snapshot_under_way() {
                return None;
            }
        }
    }

    /// Writes one group: all appends that wait, and the signatures that are due.
    fn serve(&self, work: &mut Work, due: bool) -> Result<(), LedgerError> {
        let mut answers = Vec::with_capacity(work.appends.len());
        let outcome = self.write(work, due, &mut answers);
        let (last, failed) = match outcome {
            Ok(last) => (last, None),
            Err(error) => (None, Some(Arc::new(error))),
        };
        let durability = self.settings.durability;
        for (waiting, txid) in
            work.appends.iter().zip(answers.iter().copied().map(Some).chain(std::iter::repeat(None)))
        {
            waiting.reply.answer(match (&failed, txid) {
                (None, Some(txid)) => Ok(Appended { txid, durability }),
                (Some(error), _) => Err(LedgerError::Poisoned(Arc::clone(error))),
                (None, None) => Err(LedgerError::Closed),
            });
        }
        for reply in &work.sign {
            reply.answer(match (&failed, last) {
                (None, Some(txid)) => Ok(Appended { txid, durability: Durability::Synced }),
                (Some(error), _) => Err(LedgerError::Poisoned(Arc::clone(error))),
                (None, None) => Err(LedgerError::Closed),
            });
        }
        failed.map_or(Ok(()), |error| Err(LedgerError::Poisoned(error)))
    }

    /// Gives the position of the last signature.
    fn write(
        &self,
        work: &mut Work,
        due: bool,
        answers: &mut Vec<TxId>,
    ) -> Result<Option<TxId>, LedgerError> {
        let mut engine = lock(&self.engine);
        if let Some(error) = lock(&self.failed).clone() {
            return Err(LedgerError::Poisoned(error));
        }
        let before = engine.last_signature();
        if let Some(built) = work.built.take() {
            engine.record_snapshot(built)?;
            self.snapshot_done.notify_all();
        }
        for waiting in &work.appends {
            answers.push(engine.propose(&waiting.entry)?);
            if engine.unsigned() >= self.settings.sign_every_entries {
                engine.sign(false)?;
            }
        }
        let wanted = due || work.closed || !work.sign.is_empty();
        if wanted && engine.unsigned() > 0 {
            engine.sign(false)?;
        }
        engine.flush()?;
        let (sync, last) = (engine.pending_sync(), engine.last_signature());
        drop(engine);
        let signed = last != before;
        if self.settings.durability == Durability::Synced || signed || !work.sign.is_empty() {
            sync.run()?;
        }
        if let Some(signature) = last.filter(|_| signed) {
            lock(&self.engine).commit(signature.seqno)?;
        }
        Ok(last)
    }

    /// Changes something between two groups of appends, while no snapshot is taken beside. After a failure the ledger takes nothing
    /// more.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Engine) -> Result<T, LedgerError>,
    ) -> Result<T, LedgerError> {
        let mut engine = lock(&self.engine);
        loop {
            if let Some(error) = lock(&self.failed).clone() {
                return Err(LedgerError::Poisoned(error));
            }
            if !engine.snapshot_taken() {
                break;
            }
            engine = self.snapshot_done.wait(engine).unwrap_or_else(PoisonError::into_inner);
        }
        change(&mut engine).map_err(|error| {
            let error = Arc::new(error);
            self.fail(LedgerError::Poisoned(Arc::clone(&error)));
            LedgerError::Poisoned(error)
        })
    }

    fn fail(&self, error: LedgerError) {
        let error = match error {
            LedgerError::Poisoned(error) => error,
            error => Arc::new(error),
        };
        *lock(&self.failed) = Some(Arc::clone(&error));
        self.queue.close();
        let work = self.queue.take(Some(Instant::now()), false);
        for reply in work.appends.iter().map(|waiting| &waiting.reply).chain(&work.sign) {
            reply.answer(Err(LedgerError::Poisoned(Arc::clone(&error))));
        }
    }
}
