//! Following a ledger that somebody writes: every entry once, in order, as soon as it is committed.
//!
//! Committed is what a signature covers. Before an entry is handed out, the files that hold it are synced, by whoever asks
//! first: what a follower has seen is not taken back by a power cut.
//!
//! ```no_run
//! use std::sync::Arc;
//! use ledger_chain::{follow::{Changes, Follower}, store::StoreError};
//!
//! let folder: Arc<dyn ledger_fs::Dir> = Arc::new(ledger_fs::RealDir::open("audit/ledger")?);
//! let changes = Changes::of(folder.path());
//! let mut follower = Follower::new(folder, 1);
//! while changes.wait() {
//!     follower.poll(|entry| {
//!         println!("{}", entry.txid());
//!         Ok::<_, StoreError>(true)
//!     })?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Two cursors go through the files: one looks ahead for signatures, the other follows it up to the last one. They keep files
//! open, so the writer may rename them; a round costs what is new, whatever the length of the ledger. A chunk that was taken
//! back and written anew is noticed by its file, and read again from the last signature on.

mod changes;
mod cursor;

use std::sync::Arc;

use ledger_fs::Dir;

pub use changes::{Changes, Wake};

use crate::{format::Entry, governance::is_signature, store::StoreError, verify::Batch};
use cursor::{Cursor, Place, damaged};

/// Hands out the entries of a ledger as they are committed.
#[derive(Debug)]
pub struct Follower {
    folder: Arc<dyn Dir>,
    from: u64,
    /// Looks for signatures.
    ahead: Cursor,
    /// Stands behind the last entry that was handed out.
    behind: Cursor,
    started: bool,
}

impl Follower {
    /// Follows the chunk files of a folder from the entry number `from` on, which need not be there yet.
    #[must_use]
    pub fn new(folder: Arc<dyn Dir>, from: u64) -> Self {
        let cursor = Cursor::at_chunk(1);
        Self { folder, from: from.max(1), ahead: cursor.clone(), behind: cursor, started: false }
    }

    /// Number of the next entry that will be handed out.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.behind.next().max(self.from)
    }

    /// Calls `visit` with every entry that is committed by now and was not handed out before, until it answers `false`. An entry
    /// for which it gives an error counts as handed out.
    ///
    /// # Errors
    /// [`StoreError`] as the error of `visit`: [`StoreError::Gone`] if the chunk of the next entry was moved away,
    /// [`StoreError::Damaged`], and those of the file system.
    pub fn poll<E: From<StoreError>>(
        &mut self,
        mut visit: impl FnMut(&Entry<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        if !self.started {
            self.behind = Cursor::find(&*self.folder, self.from)?;
            self.ahead = self.behind.clone();
            self.started = true;
        }
        while let Some(signed) = self.look_ahead()? {
            self.ahead.sync(&*self.folder)?;
            if !self.hand_out(signed, &mut visit)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The end of the last signature of the next batch that has one.
    fn look_ahead(&mut self) -> Result<Option<Place>, StoreError> {
        let was_ahead = self.ahead.next() > self.behind.next();
        match self.seek() {
            // What it had looked at was taken back, and something else was written there.
            Err(_) if was_ahead => {
                self.look_again()?;
                self.seek()
            }
            Ok(None) if self.ahead.is_lost(&*self.folder)? => {
                self.look_again()?;
                Ok(None)
            }
            found => found,
        }
    }

    fn seek(&mut self) -> Result<Option<Place>, StoreError> {
        while let Some(batch) = self.ahead.next_batch(&*self.folder, None)? {
            if let Some(index) = last_signature(&batch)? {
                return Ok(Some(Place::behind(&batch, index)));
            }
        }
        Ok(None)
    }

    fn look_again(&mut self) -> Result<(), StoreError> {
        self.behind.find_again(&*self.folder)?;
        self.ahead = self.behind.clone();
        Ok(())
    }

    /// Entries up to `signed`.
    fn hand_out<E: From<StoreError>>(
        &mut self,
        signed: Place,
        visit: &mut impl FnMut(&Entry<'_>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        while self.behind.next() < signed.next {
            let Some(batch) = self.behind.next_batch(&*self.folder, Some(signed))? else {
                // Taken back between the two looks.
                self.ahead = self.behind.clone();
                return Ok(true);
            };
            for index in 0..batch.starts.len() {
                let seqno = batch.seqno(index);
                if seqno < self.from {
                    continue;
                }
                let (entry, _) =
                    Entry::parse(batch.entry(index)).map_err(|error| damaged(&batch, index, error))?;
                if entry.txid().seqno != seqno {
                    return Err(damaged(&batch, index, format!("entry {seqno} has another number")).into());
                }
                if !visit(&entry)? {
                    self.from = seqno.saturating_add(1);
                    self.behind = Cursor::find(&*self.folder, self.from)?;
                    self.ahead = self.behind.clone();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

fn last_signature(batch: &Batch) -> Result<Option<usize>, StoreError> {
    for index in (0..batch.starts.len()).rev() {
        let parsed = Entry::parse(batch.entry(index)).and_then(|(entry, _)| is_signature(&entry));
        if parsed.map_err(|error| damaged(batch, index, error))? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}
