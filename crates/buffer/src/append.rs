//! Appending records.

use std::path::Path;
use std::sync::Arc;

use crate::active::Active;
use crate::config::Durability;
use crate::error::AppendError;
use crate::format::{HEADER_BYTES, Header};
use crate::store::{LedgerStore, Writer};

/// Most bytes of a batch, headers included: it is put together in memory and written at once.
pub const MAX_BATCH_BYTES: usize = 256 << 20;
/// Largest buffer for putting records together that is kept for the next append.
const KEPT_SCRATCH_BYTES: usize = 64 << 10;

impl Writer {
    /// Keeps a buffer that records were put together in, unless it is large.
    fn keep(&mut self, scratch: Vec<u8>) {
        if (self.scratch.capacity()..=KEPT_SCRATCH_BYTES).contains(&scratch.capacity()) {
            self.scratch = scratch;
        }
    }
}

impl LedgerStore {
    /// Appends one record. When it returns, the record survives what [`Durability`] says.
    ///
    /// # Errors
    /// [`AppendError`]; whether anything was written is said by its variant.
    pub fn append(&self, payload: &[u8]) -> Result<(), AppendError> {
        let header = Header::of(payload, self.check_length(payload, 0)?).encode();
        let mut writer = self.writer();
        let mut scratch = std::mem::take(&mut writer.scratch);
        scratch.clear();
        scratch.extend_from_slice(&header);
        scratch.extend_from_slice(payload);
        let written = self.write(&mut writer, &scratch);
        writer.keep(scratch);
        drop(writer);
        self.acknowledge(written?)
    }

    /// Appends many records with one `write(2)`, into one file. A crash leaves a prefix of them; an error leaves none of
    /// them, unless it says so. A batch of nothing does nothing.
    ///
    /// # Errors
    /// [`AppendError`]; whether anything was written is said by its variant.
    pub fn append_batch<P: AsRef<[u8]>>(&self, payloads: &[P]) -> Result<(), AppendError> {
        let mut bytes = 0_usize;
        for (index, payload) in payloads.iter().enumerate() {
            let length = self.check_length(payload.as_ref(), index)?;
            bytes = bytes.saturating_add(HEADER_BYTES).saturating_add(length as usize);
        }
        if bytes == 0 {
            return Ok(());
        }
        if bytes > MAX_BATCH_BYTES {
            return Err(AppendError::BatchTooLarge { bytes, limit: MAX_BATCH_BYTES });
        }
        // Outside the lock, because a large batch takes its time; others who append meanwhile get a buffer of their own.
        let mut records = std::mem::take(&mut self.writer().scratch);
        records.clear();
        records.reserve_exact(bytes);
        for (index, payload) in payloads.iter().enumerate() {
            let payload = payload.as_ref();
            let header = Header::of(payload, self.check_length(payload, index)?);
            records.extend_from_slice(&header.encode());
            records.extend_from_slice(payload);
        }
        let mut writer = self.writer();
        let written = self.write(&mut writer, &records);
        writer.keep(records);
        drop(writer);
        self.acknowledge(written?)
    }

    fn check_length(&self, payload: &[u8], index: usize) -> Result<u32, AppendError> {
        let limit = self.settings.checker.max_record_size;
        match u32::try_from(payload.len()) {
            Ok(0) => Err(AppendError::Empty { index }),
            Ok(length) if length <= limit => Ok(length),
            _ => Err(AppendError::TooLarge { index, bytes: payload.len(), limit }),
        }
    }

    /// Writes whole records to the active file, or to a new one.
    fn write(&self, writer: &mut Writer, records: &[u8]) -> Result<Written, AppendError> {
        if let Some(source) = writer.unreported.take() {
            return Err(AppendError::Sync { written: false, source });
        }
        self.give_up_poisoned(writer)?;
        self.make_room(writer, records.len() as u64)?;
        let active = match &writer.active {
            Some(active) => active,
            None => {
                // Others may have begun files too.
                writer.total_bytes = None;
                writer.active.insert(self.begin_file(&mut writer.next_index)?)
            }
        };
        if let Err(error) = active.append(records) {
            writer.total_bytes = None;
            if let Some(active) = writer.active.take() {
                active.finish(&self.folder);
            }
            return Err(error);
        }
        let end = active.len();
        let is_finished = end > self.settings.max_file_size;
        writer.total_bytes = writer.total_bytes.map(|total| total.saturating_add(records.len() as u64));
        // Most appends need the file no more, and counting references costs.
        let active = match self.settings.durability {
            _ if is_finished => writer.active.take(),
            Durability::None => None,
            Durability::Interval(_) | Durability::EveryAppend => writer.active.clone(),
        };
        Ok(Written { active, end, is_finished })
    }

    fn begin_file(&self, next_index: &mut u64) -> Result<Arc<Active>, AppendError> {
        let active = Arc::new(Active::create(&self.folder, next_index)?);
        if self.settings.durability != Durability::None
            && let Err(error) = self.folder.dir.sync(Path::new(""))
        {
            active.finish(&self.folder);
            return Err(AppendError::Create(error));
        }
        Ok(active)
    }

    /// A sync in the background has failed: the file is closed for good, and the failure told once (hole H12).
    fn give_up_poisoned(&self, writer: &mut Writer) -> Result<(), AppendError> {
        match writer.active.take_if(|active| active.is_poisoned()) {
            Some(poisoned) => {
                poisoned.finish(&self.folder);
                poisoned.sync(poisoned.len()).map_err(|source| AppendError::Sync { written: false, source })
            }
            None => Ok(()),
        }
    }

    /// What is to be done before an append may return, outside the lock.
    fn acknowledge(&self, written: Written) -> Result<(), AppendError> {
        let Written { active: Some(active), end, is_finished } = written else { return Ok(()) };
        if is_finished {
            return self.finish(&active).map_err(|source| AppendError::Sync { written: true, source });
        }
        match (self.settings.durability, &self.syncer) {
            (Durability::EveryAppend, _) => active.sync(end).map_err(|source| {
                self.close_poisoned(&active);
                AppendError::Sync { written: true, source }
            }),
            (Durability::Interval(_), Some(syncer)) => {
                syncer.written(&active);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn close_poisoned(&self, poisoned: &Arc<Active>) {
        let closed = self.writer().active.take_if(|active| Arc::ptr_eq(active, poisoned));
        if let Some(active) = closed {
            active.finish(&self.folder);
        }
    }
}

/// Where records were written to.
struct Written {
    /// The file, if something is left to be done with it.
    active: Option<Arc<Active>>,
    /// Its size in bytes, behind these records.
    end: u64,
    /// It is the active file no more.
    is_finished: bool,
}
