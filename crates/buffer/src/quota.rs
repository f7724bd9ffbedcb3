//! The bound on all files together (hole H6).

use std::io;
use std::sync::PoisonError;

use crate::check::Checker;
use crate::claim::Claim;
use crate::config::{Validation, WhenFull};
use crate::delivery;
use crate::error::AppendError;
use crate::remove::remove_if_claimed;
use crate::store::{LedgerStore, Writer};

/// Names that a scan for the oldest files brings.
const SCAN_FILES: usize = 64;

/// What was deleted unsent to make room, since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Files, those in the quarantine included.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Intact records in them; those of files in the quarantine were sent and do not count.
    pub records: u64,
}

impl Dropped {
    fn count(&mut self, bytes: u64, records: u64) {
        self.files = self.files.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        self.records = self.records.saturating_add(records);
    }
}

impl LedgerStore {
    /// What was deleted unsent under [`WhenFull::DropOldest`], since the store was opened.
    pub fn dropped(&self) -> Dropped {
        *self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that `needed` more bytes fit.
    pub(crate) fn make_room(&self, writer: &mut Writer, needed: u64) -> Result<(), AppendError> {
        let Some((limit, when_full)) = self.settings.max_total_size else { return Ok(()) };
        let excess = |used: u64| used.saturating_add(needed).saturating_sub(limit);
        if writer.total_bytes.is_some_and(|used| excess(used) == 0) {
            return Ok(());
        }
        let mut used = self.folder.total_bytes().map_err(AppendError::Create)?;
        if excess(used) > 0 && when_full == WhenFull::DropOldest && needed <= limit {
            used = used.saturating_sub(self.drop_oldest(excess(used)).map_err(AppendError::Create)?);
            if excess(used) > 0
                && let Some(active) = writer.active.take()
            {
                // It is all there is.
                writer.unreported = self.finish(&active).err();
                used = used.saturating_sub(self.drop_oldest(excess(used)).map_err(AppendError::Create)?);
            }
        }
        writer.total_bytes = Some(used);
        if excess(used) == 0 {
            return Ok(());
        }
        Err(AppendError::Full { folder: self.folder().to_owned(), used, needed, limit })
    }

    /// Deletes the oldest files that nobody uses until `bytes` have become free, or there are none; answers how many
    /// have.
    fn drop_oldest(&self, bytes: u64) -> io::Result<u64> {
        let mut freed = 0_u64;
        for (path, size) in self.folder.quarantined()? {
            if freed >= bytes {
                return Ok(freed);
            }
            self.folder.dir.remove(&path)?;
            freed = freed.saturating_add(size);
            self.count_dropped(size, 0);
        }
        let mut after = None;
        while freed < bytes {
            let batch = self.folder.oldest(SCAN_FILES, after)?;
            after = batch.last().copied();
            for name in batch.iter().copied() {
                if freed >= bytes {
                    break;
                }
                let checker = Checker { validation: Validation::HeadersOnly, ..self.settings.checker };
                let Some(claim) = Claim::take(&self.folder, checker, name)? else { continue };
                let size = claim.found.len;
                let records = claim.checked().records;
                remove_if_claimed(&claim)?;
                delivery::forget(&claim.dir, &claim.path);
                freed = freed.saturating_add(size);
                self.count_dropped(size, records);
            }
            if batch.len() < SCAN_FILES {
                break;
            }
        }
        Ok(freed)
    }

    fn count_dropped(&self, bytes: u64, records: u64) {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).count(bytes, records);
    }
}
