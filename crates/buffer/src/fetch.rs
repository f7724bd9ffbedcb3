//! Fetching finished files.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ledger_fs::os_error;

use crate::active::Active;
use crate::claim::Claim;
use crate::config::Callback;
use crate::error::FetchError;
use crate::names::FileName;
use crate::reader::{LedgerReader, Spare};
use crate::remove::Removable;
use crate::store::LedgerStore;

/// Most files that one fetch returns, since each of them is an open file; the next fetch returns the next ones.
pub const MAX_FETCH_FILES: usize = 256;
/// Least names that a scan of the folder brings: some of the files may be in use.
const MIN_SCAN_FILES: usize = 64;
/// `ENFILE` and `EMFILE`: the system or the process has too many open files.
const TOO_MANY_OPEN_FILES: [i32; 2] = [23, 24];

/// What a fetch returns: both lists are in the same order, that of appending.
#[derive(Debug)]
pub struct Fetched {
    /// A reader for each file.
    pub data: Vec<LedgerReader>,
    /// For [`LedgerStore::remove`], once the reader's bytes have arrived.
    pub removable: Vec<Removable>,
}

impl LedgerStore {
    /// Finishes the active file and returns the oldest finished files: at most `count`, and together of at most
    /// `max_bytes` bytes on disk, but always one. At most [`MAX_FETCH_FILES`] are returned at once; `None` means that
    /// there is nothing (more) to send.
    ///
    /// Files that another store writes, and those that somebody has fetched and not yet given back, are passed over. A
    /// file is given back when its reader and its removable are dropped.
    ///
    /// # Errors
    /// [`FetchError`]. A file that cannot be opened is passed over if others can.
    pub fn fetch(
        &self,
        count: Option<usize>,
        max_bytes: Option<usize>,
    ) -> Result<Option<Fetched>, FetchError> {
        let mut finished = self.take_active();
        let count = count.unwrap_or(MAX_FETCH_FILES).min(MAX_FETCH_FILES);
        let max_bytes = max_bytes.map_or(u64::MAX, |bytes| bytes as u64);
        let claims = self.claim_oldest(count, max_bytes, &mut finished);
        if let Some(active) = finished {
            active.finish(&self.folder);
        }
        let claims = claims?;
        let spare = Arc::<Spare>::default();
        let (mut data, mut removable) = (Vec::with_capacity(claims.len()), Vec::with_capacity(claims.len()));
        for claim in claims {
            let claim = Arc::new(claim);
            data.push(self.reader(claim.clone(), spare.clone())?);
            self.remember_claim(&claim);
            removable.push(Removable { claim });
        }
        Ok((!data.is_empty()).then_some(Fetched { data, removable }))
    }

    /// `finished` was the active file until now, and is taken if it is among the oldest.
    fn claim_oldest(
        &self,
        count: usize,
        max_bytes: u64,
        finished: &mut Option<Arc<Active>>,
    ) -> Result<Vec<Claim>, FetchError> {
        let (mut claims, mut total_bytes, mut after, mut failure) = (Vec::new(), 0_u64, None, None);
        while claims.len() < count {
            let batch = self.folder.oldest(count.max(MIN_SCAN_FILES), after)?;
            after = batch.last().copied();
            for name in batch.iter().copied() {
                let claim = match self.claim(name, finished) {
                    Ok(Some(claim)) => claim,
                    Ok(None) => continue,
                    Err(error) => {
                        let is_full =
                            os_error(&error).is_some_and(|code| TOO_MANY_OPEN_FILES.contains(&code));
                        failure.get_or_insert(error);
                        if is_full {
                            return found(claims, failure);
                        }
                        continue;
                    }
                };
                total_bytes = total_bytes.saturating_add(claim.found.len);
                // A file over the limit must go out some time, or it and all behind it never would.
                if total_bytes > max_bytes && !claims.is_empty() {
                    return found(claims, failure);
                }
                claims.push(claim);
                if claims.len() == count {
                    break;
                }
            }
            if batch.len() < count.max(MIN_SCAN_FILES) {
                break;
            }
        }
        found(claims, failure)
    }

    /// What was the active file until now is claimed as it is, open and locked.
    fn claim(&self, name: FileName, finished: &mut Option<Arc<Active>>) -> io::Result<Option<Claim>> {
        let checker = self.settings.checker;
        match finished.take_if(|active| active.name == name) {
            Some(active) => Claim::of_locked(&self.folder, checker, name, active.file.clone()),
            None => Claim::take(&self.folder, checker, name),
        }
    }

    /// Calls the callbacks, outside every lock.
    pub(crate) fn reader(&self, claim: Arc<Claim>, spare: Arc<Spare>) -> Result<LedgerReader, FetchError> {
        let envelope = match claim.name {
            FileName::Data(_) => (call("header", &self.header)?, call("footer", &self.footer)?),
            FileName::Legacy(_) => (Vec::new(), Vec::new()),
        };
        Ok(LedgerReader::new(claim, envelope, self.separator.clone(), spare))
    }
}

/// A failure matters only if nothing else was found.
fn found(claims: Vec<Claim>, failure: Option<io::Error>) -> Result<Vec<Claim>, FetchError> {
    match failure {
        Some(error) if claims.is_empty() => Err(error.into()),
        _ => Ok(claims),
    }
}

fn call(name: &'static str, callback: &Callback) -> Result<Vec<u8>, FetchError> {
    catch_unwind(AssertUnwindSafe(callback)).map_err(|_| FetchError::Callback { callback: name })
}
