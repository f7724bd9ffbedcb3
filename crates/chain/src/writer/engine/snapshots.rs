//! When a snapshot is due, and its way from the signature to the committed file.

use std::sync::Arc;

use ledger_fs::Dir;

use super::{Engine, Home, home};
use crate::{
    format::{MAX_ENTRY_BYTES, SINGLE_KEY, TxId, WriteSet},
    governance::SNAPSHOT_EVIDENCE,
    snapshot::{self, Built, ReceiptForm, SnapshotError, SnapshotJob, SnapshotName},
    store::ChunkStore,
    writer::{LedgerError, Prepared, Settings},
};

/// Entries that a snapshot costs itself: its evidence, and the signature behind that.
const OWN_ENTRIES: u64 = 2;

/// A snapshot that failed is not tried again before so many bytes were appended.
const MIN_WAIT_BYTES: u64 = 64 << 10;

/// What the engine knows of snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    folder: Arc<dyn Dir>,
    /// A snapshot is due after so many entries; 0: only when somebody asks.
    interval: u64,
    /// The largest one that is taken without being asked for.
    max_bytes: u64,
    stage: Stage,
    /// Somebody asked for the one under way.
    asked: bool,
    /// The newest one.
    last: u64,
    last_bytes: u64,
    /// Bytes of entries since.
    bytes_since: u64,
    /// So many are awaited before the next one.
    wait_bytes: u64,
    problem: Option<SnapshotError>,
    set_aside: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    /// The next signature ends a chunk for it.
    Wanted,
    /// The chunk ended at this signature, which is not committed yet.
    Cut(u64),
    /// Being written.
    Taken(u64),
    /// Recorded in the ledger; waits for a signature behind the evidence.
    Recorded {
        name: SnapshotName,
        bytes: u64,
    },
}

impl Snapshots {
    /// Looks at the folder, and removes what was not finished.
    pub(super) fn open(home: &Home, store: &ChunkStore, settings: &Settings) -> Result<Self, LedgerError> {
        let folder = home.folder(home::SNAPSHOTS);
        snapshot::remove_unfinished(&*folder)?;
        let newest = snapshot::list(&*folder)?.committed.into_iter().find(|name| name.seqno <= store.last());
        let (last, last_bytes) = match newest {
            Some(name) => (name.seqno, folder.metadata(name.to_string().as_ref())?.len),
            None => (0, 0),
        };
        let bytes_since = store.bytes_behind(last)?;
        let max_bytes = settings.max_snapshot_bytes.min(MAX_ENTRY_BYTES);
        let mut snapshots = Self {
            folder,
            interval: settings.snapshot_tx_interval,
            max_bytes,
            stage: Stage::Idle,
            asked: false,
            last,
            last_bytes,
            bytes_since,
            wait_bytes: last_bytes,
            problem: None,
            set_aside: Vec::new(),
        };
        if snapshots.is_due(store.last()) {
            // It was due before, so it could not be taken, or not be finished.
            snapshots.postpone();
        }
        Ok(snapshots)
    }

    pub(super) fn appended(&mut self, bytes: usize) {
        self.bytes_since = self.bytes_since.saturating_add(bytes as u64);
    }

    /// Whether a chunk should end at a signature at `seqno`. A snapshot costs as much as the state is large; it waits until as many
    /// bytes were appended, so that all of them together cost no more than the ledger.
    pub(super) fn is_due(&self, seqno: u64) -> bool {
        let entries = seqno.saturating_sub(self.last).saturating_sub(OWN_ENTRIES);
        let small = self.last_bytes <= self.max_bytes;
        let due =
            self.interval > 0 && small && entries >= self.interval && self.bytes_since >= self.wait_bytes;
        self.stage == Stage::Wanted || (self.stage == Stage::Idle && due)
    }

    pub(super) fn cut(&mut self, seqno: u64) {
        self.stage = Stage::Cut(seqno);
    }

    /// Entries behind `seqno` are taken back.
    pub(super) fn rollback(&mut self, seqno: u64) {
        let stale = match self.stage {
            Stage::Idle | Stage::Wanted => false,
            Stage::Cut(at) | Stage::Taken(at) => at > seqno,
            Stage::Recorded { name, .. } => name.evidence > seqno,
        };
        if stale {
            (self.stage, self.asked) = (Stage::Idle, false);
        }
    }

    fn fail(&mut self, error: SnapshotError) {
        self.end(Some(error));
        self.postpone();
    }

    /// Waits until there is twice as much: what failed would mostly fail again at the next signature or the next start.
    fn postpone(&mut self) {
        let mut wait = self.last_bytes.max(MIN_WAIT_BYTES);
        while wait <= self.bytes_since {
            wait = wait.saturating_mul(2);
        }
        self.wait_bytes = wait;
    }

    fn end(&mut self, problem: Option<SnapshotError>) {
        self.stage = Stage::Idle;
        self.asked = false;
        self.problem = problem;
    }
}

impl Engine {
    /// Ends the chunk at the next signature and takes a snapshot there, whether one is due or not.
    pub fn want_snapshot(&mut self) {
        if self.snapshots.stage == Stage::Idle {
            self.snapshots.stage = Stage::Wanted;
            self.snapshots.asked = true;
        }
    }

    /// Whether a snapshot was begun that is not committed yet.
    #[must_use]
    pub fn snapshot_under_way(&self) -> bool {
        !matches!(self.snapshots.stage, Stage::Idle | Stage::Wanted)
    }

    /// Whether a job was given out that has not come back.
    pub(in crate::writer) fn snapshot_taken(&self) -> bool {
        matches!(self.snapshots.stage, Stage::Taken(_))
    }

    /// Why the last snapshot that was due could not be taken. The ledger goes on without; the next one may succeed.
    #[must_use]
    pub fn snapshot_problem(&self) -> Option<&SnapshotError> {
        self.snapshots.problem.as_ref()
    }

    /// Snapshots that were found damaged since the ledger was opened, by the names they have now.
    #[must_use]
    pub fn snapshots_set_aside(&self) -> &[String] {
        &self.snapshots.set_aside
    }

    /// The snapshot to take now, if one is due and the signature that it is about is committed. It may run in another thread, while
    /// the engine goes on; hand what comes out to [`record_snapshot`](Self::record_snapshot).
    pub fn snapshot_job(&mut self) -> Option<SnapshotJob> {
        let Stage::Cut(seqno) = self.snapshots.stage else { return None };
        if self.store.committed() < seqno {
            return None;
        }
        self.snapshots.stage = Stage::Taken(seqno);
        Some(self.job(seqno))
    }

    fn job(&self, seqno: u64) -> SnapshotJob {
        SnapshotJob {
            ledger: Arc::clone(self.store.folder()),
            folder: Arc::clone(&self.snapshots.folder),
            secrets: self.secrets.clone(),
            seqno,
            max_bytes: if self.snapshots.asked { MAX_ENTRY_BYTES } else { self.snapshots.max_bytes },
        }
    }

    /// Adds the entry that records a snapshot. It is committed with the next signature that is.
    ///
    /// A snapshot that failed leaves the ledger as it is: see [`snapshot_problem`](Self::snapshot_problem).
    ///
    /// # Errors
    /// As [`propose`](Self::propose).
    pub fn record_snapshot(&mut self, built: Result<Built, SnapshotError>) -> Result<(), LedgerError> {
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                self.snapshots.fail(error);
                return Ok(());
            }
        };
        self.snapshots.set_aside.extend(built.set_aside.iter().cloned());
        if self.snapshots.stage != Stage::Taken(built.seqno) {
            // Its signature was taken back meanwhile.
            return Ok(());
        }
        let evidence = TxId { view: self.view, seqno: self.last.seqno.saturating_add(1) };
        let name = match built.record(&*self.snapshots.folder, evidence.seqno) {
            Ok(name) => name,
            Err(error) => {
                self.snapshots.fail(error);
                return Ok(());
            }
        };
        let mut writes = WriteSet::new();
        writes.put(SNAPSHOT_EVIDENCE, SINGLE_KEY, snapshot::evidence(built.seqno, &built.digest));
        self.propose(&Prepared::internal(&writes, built.digest)?)?;
        self.snapshots.stage = Stage::Recorded { name, bytes: built.bytes };
        Ok(())
    }

    /// Commits a recorded snapshot if a signature behind its evidence is.
    pub(super) fn commit_snapshot(&mut self, committed: u64) {
        let Stage::Recorded { name, bytes } = self.snapshots.stage else { return };
        if committed <= name.evidence {
            return;
        }
        let form = if self.profile.raw() { ReceiptForm::Json } else { ReceiptForm::Cose };
        match snapshot::commit(&self.job(name.seqno), name, bytes, form) {
            Ok(_) => {
                self.snapshots.end(None);
                self.snapshots.last = name.seqno;
                (self.snapshots.last_bytes, self.snapshots.wait_bytes) = (bytes, bytes);
                self.snapshots.bytes_since = 0;
            }
            Err(error) => self.snapshots.fail(error),
        }
    }

    /// Signs, takes a snapshot of the state there, and commits it, all at once; one that is under way is finished first.
    ///
    /// # Errors
    /// The outer error is one of the ledger; the engine must not be used any more then. The inner one is about the snapshot, which
    /// was not taken then; [`SnapshotError::UnderWay`] as long as a [job](Self::snapshot_job) was not handed back.
    pub fn take_snapshot(&mut self) -> Result<Result<SnapshotName, SnapshotError>, LedgerError> {
        if self.snapshot_taken() {
            return Ok(Err(SnapshotError::UnderWay));
        }
        if self.snapshot_under_way() {
            _ = self.finish_snapshot()?;
        }
        self.want_snapshot();
        self.finish_snapshot()
    }

    fn finish_snapshot(&mut self) -> Result<Result<SnapshotName, SnapshotError>, LedgerError> {
        if !matches!(self.snapshots.stage, Stage::Recorded { .. }) {
            self.sign_and_commit()?;
            let Some(job) = self.snapshot_job() else { return Ok(Err(SnapshotError::UnderWay)) };
            self.record_snapshot(job.run())?;
        }
        let Stage::Recorded { name, .. } = self.snapshots.stage else {
            return Ok(Err(self.snapshots.problem.take().unwrap_or(SnapshotError::UnderWay)));
        };
        self.sign_and_commit()?;
        Ok(self.snapshots.problem.take().map_or(Ok(name.into_committed()), Err))
    }

    fn sign_and_commit(&mut self) -> Result<(), LedgerError> {
        let signature = self.sign(false)?;
        self.flush()?;
        self.pending_sync().run()?;
        self.commit(signature.seqno)
    }
}
