//! Taking a snapshot: the state is the newest snapshot before it and the entries since.

use std::{path::Path, sync::Arc};

use ledger_fs::{Dir, Open, temporary_name, write_all_at};

use super::{SnapshotError, SnapshotName, file, state::MapState};
use crate::{crypto::sha256, format::Digest, receipt::Receipts, store::Reader, verify::Secrets};

/// Writes the state after a signature at which a chunk was closed; may run beside the writer, since it reads only what never changes again.
#[derive(Debug)]
pub struct SnapshotJob {
    pub(crate) ledger: Arc<dyn Dir>,
    pub(crate) folder: Arc<dyn Dir>,
    pub(crate) secrets: Secrets,
    pub(crate) seqno: u64,
    /// The largest that may come out.
    pub(crate) max_bytes: u64,
}

/// A snapshot that is written, but not recorded in the ledger yet.
#[derive(Debug)]
pub struct Built {
    pub(crate) seqno: u64,
    pub(crate) digest: Digest,
    /// Length of its entry.
    pub(crate) bytes: u64,
    file: String,
    /// Damaged snapshots that were met, by their new names.
    pub(crate) set_aside: Vec<String>,
}

impl SnapshotJob {
    /// Makes the state and writes it to a temporary file. Nothing is synced before the snapshot is committed.
    ///
    /// # Errors
    /// A [`SnapshotError`]; nothing is left behind then.
    pub fn run(&self) -> Result<Built, SnapshotError> {
        let reader = Reader::open_tail(Arc::clone(&self.ledger))?;
        let (state, set_aside) = self.state(&reader)?;
        let secret = self.secrets.at(self.seqno).ok_or(SnapshotError::NoSecret { seqno: self.seqno })?;
        let entry = state.encode(secret)?;
        let name = temporary_name(Path::new(&format!("snapshot_{}", self.seqno)));
        let file = self.folder.open(&name, Open::WRITE.create_new())?;
        if let Err(error) = write_all_at(&*file, &entry, 0) {
            // The disk is full, for example: what was written only takes room.
            _ = self.folder.remove(&name);
            return Err(error.into());
        }
        Ok(Built {
            seqno: self.seqno,
            digest: sha256(&entry),
            bytes: entry.len() as u64,
            file: name.to_string_lossy().into_owned(),
            set_aside,
        })
    }

    fn state(&self, reader: &Reader) -> Result<(MapState, Vec<String>), SnapshotError> {
        let from = reader.first().saturating_sub(1);
        let found = file::newest(&*self.folder, reader, from, self.seqno.saturating_sub(1))?;
        let mut set_aside = Vec::new();
        for (name, error) in found.refused {
            if matches!(error, SnapshotError::Damaged { .. }) {
                set_aside.push(file::set_aside(&*self.folder, name)?);
            }
        }
        let state = match found.file {
            Some(base) => {
                let seqno = base.name().seqno;
                let secret = self.secrets.at(seqno).ok_or(SnapshotError::NoSecret { seqno })?;
                MapState::of_snapshot(&base.snapshot()?, Some(secret))?
            }
            None if from == 0 => MapState::new(true),
            None => return Err(SnapshotError::NoState { before: from }),
        };
        let state = state.limited_to(self.max_bytes);
        Ok((replay(state, reader, &self.secrets, self.seqno)?, set_aside))
    }
}

/// Takes a state on to the entry `seqno`.
pub(super) fn replay(
    mut state: MapState,
    reader: &Reader,
    secrets: &Secrets,
    seqno: u64,
) -> Result<MapState, SnapshotError> {
    reader.scan(state.seqno().saturating_add(1), |at, bytes| {
        if at <= seqno {
            state.apply(bytes, secrets)?;
        }
        Ok::<_, SnapshotError>(at < seqno)
    })?;
    if state.seqno() == seqno {
        return Ok(state);
    }
    Err(crate::store::StoreError::NotFound { seqno }.into())
}

impl Built {
    /// Takes the name under which the entry `evidence` of the ledger records it.
    pub(crate) fn record(&self, folder: &dyn Dir, evidence: u64) -> Result<SnapshotName, SnapshotError> {
        let name = SnapshotName::recorded(self.seqno, evidence);
        folder.rename(Path::new(&self.file), Path::new(&name.to_string()))?;
        Ok(name)
    }
}

/// Which form a receipt has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReceiptForm {
    /// The only one that version 6 of the Python package reads.
    Json,
    /// For ledgers without signatures of nodes.
    Cose,
}

/// Appends the receipt of the evidence, which must be committed, and makes the snapshot one that may be used.
pub(crate) fn commit(
    job: &SnapshotJob,
    recorded: SnapshotName,
    bytes: u64,
    form: ReceiptForm,
) -> Result<SnapshotName, SnapshotError> {
    let reader = Reader::open_tail(Arc::clone(&job.ledger))?;
    let receipts = Receipts::new(&reader, &job.secrets);
    let receipt = match form {
        ReceiptForm::Json => receipts.json(recorded.evidence)?.to_json().into_bytes(),
        ReceiptForm::Cose => receipts.cose(recorded.evidence)?,
    };
    let (from, to) = (recorded.to_string(), recorded.into_committed());
    let file = job.folder.open(Path::new(&from), Open::WRITE)?;
    write_all_at(&*file, &receipt, bytes)?;
    file.sync_all()?;
    job.folder.rename(Path::new(&from), Path::new(&to.to_string()))?;
    job.folder.sync(Path::new(""))?;
    Ok(to)
}

/// Removes what a writer had begun and not finished.
pub(crate) fn remove_unfinished(folder: &dyn Dir) -> Result<(), SnapshotError> {
    for name in file::list(folder)?.unfinished {
        folder.remove(Path::new(&name))?;
    }
    Ok(())
}

/// What an entry says that records a snapshot.
pub(crate) fn evidence(seqno: u64, digest: &Digest) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Evidence {
        hash: String,
        version: u64,
    }
    crate::governance::json(&Evidence { hash: hex::encode(digest), version: seqno })
}
