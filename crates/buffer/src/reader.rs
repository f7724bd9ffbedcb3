//! The reader that streams a file inside its envelope.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::blocks::{BLOCK_BYTES, Blocks};
use crate::check::Checked;
use crate::claim::Claim;
use crate::config::Validation;
use crate::damage::{Damage, DamageKind};
use crate::delivery::{self, DeliveryId};
use crate::format::{HEADER_BYTES, Header, Next, next_record, peek_header};
use crate::names::FileName;
use crate::salvage::Salvage;

/// Files up to this size are kept in memory between being checked and being streamed, one per fetch.
const MAX_WHOLE_BYTES: u64 = 512 << 10;

/// Yields a file as one request body: header, payloads with separators between them, footer.
///
/// It owns what it needs and outlives the store. A reader that is asked for its [`content_length`](Self::content_length),
/// or for anything else about what is in the file, checks the file first, in one pass; one that is only read checks each
/// record before it yields it. Either way the bytes are the same.
///
/// While it is read, its memory is one buffer of 64 KiB, or of the largest record if that is larger; of the readers of one
/// fetch that were asked first, one at a time has a buffer of 512 KiB instead, so that a file up to that size is read
/// once and not twice.
///
/// Nobody else can fetch the file while the reader or its [`Removable`](crate::Removable) lives; dropping both gives the
/// file back.
#[derive(Debug)]
pub struct LedgerReader {
    claim: Arc<Claim>,
    header: Vec<u8>,
    footer: Vec<u8>,
    separator: Arc<[u8]>,
    spare: Arc<Spare>,
    /// A checked file, whole, that is to be streamed.
    whole: Mutex<Option<Blocks>>,
    blocks: Blocks,
    /// `blocks` are such a file.
    is_whole: bool,
    /// Records that were begun.
    records: u64,
    phase: Phase,
}

/// The large buffer that the readers of one fetch share, unless one of them has it.
#[derive(Debug)]
pub(crate) struct Spare(Mutex<Option<Vec<u8>>>);

impl Default for Spare {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Spare {
    fn buffer(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The buffer, of at least this size.
    fn take(&self, bytes: usize) -> Option<Vec<u8>> {
        let buffer = self.buffer().take()?;
        // A new one costs nothing before it is used; growing one would fill it with zeros.
        Some(if buffer.len() < bytes { vec![0; bytes] } else { buffer })
    }
}

/// What a reader yields next.
#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The header, behind its first `done` bytes.
    Header {
        done: usize,
    },
    /// The separator, behind its first `done` bytes, and then a payload of `payload` bytes.
    Separator {
        done: usize,
        payload: usize,
    },
    /// `left` bytes of a payload that was checked and is in the buffer of blocks.
    Payload {
        left: usize,
    },
    /// The bytes of a file that is a ready-made batch.
    Verbatim,
    /// The footer, behind its first `done` bytes.
    Footer {
        done: usize,
    },
    Done,
    /// The file is no longer what it was when it was checked, or cannot be read.
    Failed {
        offset: u64,
        kind: DamageKind,
    },
}

impl LedgerReader {
    pub(crate) fn new(
        claim: Arc<Claim>,
        (header, footer): (Vec<u8>, Vec<u8>),
        separator: Arc<[u8]>,
        spare: Arc<Spare>,
    ) -> Self {
        let (whole, blocks, phase) = (Mutex::default(), claim.blocks(), Phase::Header { done: 0 });
        Self { claim, header, footer, separator, spare, whole, blocks, is_whole: false, records: 0, phase }
    }

    /// What the file holds.
    fn checked(&self) -> &Checked {
        let len = self.claim.found.len;
        if self.claim.is_checked()
            || len > MAX_WHOLE_BYTES
            || self.claim.checker.validation != Validation::Full
        {
            return self.claim.checked();
        }
        let mut whole = self.whole.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(buffer) = self.spare.take(usize::try_from(len).unwrap_or_default()) else {
            return self.claim.checked();
        };
        let mut blocks = Blocks::with_buffer(self.claim.file.clone(), 0, len, buffer);
        let checked = self.claim.checked_through(&mut blocks);
        blocks.seek(0);
        blocks.set_end(checked.intact_bytes);
        if blocks.is_whole() && whole.is_none() {
            *whole = Some(blocks);
        } else {
            *self.spare.buffer() = Some(blocks.into_buffer());
        }
        checked
    }

    /// How many bytes the reader yields from its beginning: the `Content-Length` of the request that sends it.
    pub fn content_length(&self) -> u64 {
        if self.is_legacy() {
            return self.file_size();
        }
        let Checked { records, payload_bytes, .. } = *self.checked();
        let separators = records.saturating_sub(1).saturating_mul(self.separator.len() as u64);
        let envelope = (self.header.len() as u64).saturating_add(self.footer.len() as u64);
        payload_bytes.saturating_add(separators).saturating_add(envelope)
    }

    /// What is wrong with the file, if anything is. What is behind the damage is not among the records.
    pub fn damage(&self) -> Option<Damage> {
        self.checked();
        self.claim.damage()
    }

    /// How many intact records the file has; 0 for a ready-made batch.
    pub fn record_count(&self) -> u64 {
        self.checked().records
    }

    /// Index of the file.
    pub fn index(&self) -> u32 {
        self.claim.name.index()
    }

    /// Where the file is.
    pub fn path(&self) -> PathBuf {
        self.claim.full_path()
    }

    /// Size of the file in bytes.
    pub fn file_size(&self) -> u64 {
        self.claim.found.len
    }

    /// When the file was last written to, by the file system's clock.
    pub fn modified(&self) -> SystemTime {
        self.claim.found.modified
    }

    /// Whether the file is a ready-made batch of `transientdb`'s directory store, which is yielded as it is.
    pub fn is_legacy(&self) -> bool {
        matches!(self.claim.name, FileName::Legacy(_))
    }

    /// The payloads, without envelope and separators, from the first on; independent of how far the reader is. A
    /// ready-made batch has none.
    pub fn records(&self) -> Records {
        let end = if self.is_legacy() { 0 } else { self.checked().intact_bytes };
        let blocks = Blocks::new(self.claim.file.clone(), 0, end);
        Records { blocks, max_record_size: self.claim.checker.max_record_size, failed: false }
    }

    /// Everything intact in the file, also behind damage.
    pub fn salvage(&self) -> Salvage {
        Salvage::new(self.claim.file.clone(), self.claim.found.len, self.claim.checker.max_record_size)
    }

    /// Begins again from the first byte, with the same header and footer: for sending a second time.
    pub fn rewind(&mut self) {
        self.give_back();
        self.phase = Phase::Header { done: 0 };
    }

    /// The delivery id of the file: see [`DeliveryId`].
    ///
    /// # Errors
    /// Those of keeping it in the folder.
    pub fn delivery_id(&self) -> io::Result<DeliveryId> {
        delivery::id_of(&self.claim)
    }

    /// Gets ready to stream the file.
    fn begin(&mut self) -> Phase {
        self.records = 0;
        if let Some(whole) = self.whole.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            (self.blocks, self.is_whole) = (whole, true);
        }
        self.begin_record(true)
    }

    /// Checks the next record before any of it, or the separator in front of it, is yielded.
    fn begin_record(&mut self, is_first: bool) -> Phase {
        let offset = self.blocks.offset();
        let max_record_size = self.claim.checker.max_record_size;
        let next = if self.is_whole {
            // It is in memory as it was checked.
            peek_header(&mut self.blocks, max_record_size)
                .map(|header| header.map(|header| header.length as usize))
        } else {
            match next_record(&mut self.blocks, max_record_size) {
                Next::Record(payload) => Ok(Some(payload.len())),
                Next::End => Ok(None),
                Next::Damaged(kind) => Err(kind),
            }
        };
        match next {
            Ok(Some(payload)) => {
                self.records = self.records.saturating_add(1);
                // It is given out from the buffer, where it stays until something else is read.
                self.blocks.seek(offset.saturating_add(HEADER_BYTES as u64));
                let behind_separator = Phase::Separator { done: 0, payload };
                if is_first { Phase::Payload { left: payload } } else { behind_separator }
            }
            Ok(None) => {
                self.claim.was_streamed(self.records, offset, None);
                Phase::Footer { done: 0 }
            }
            // It was intact when its length was announced.
            Err(kind) if self.claim.is_checked() && self.claim.checker.validation == Validation::Full => {
                Phase::Failed { offset, kind }
            }
            Err(kind) => {
                self.claim.was_streamed(self.records, offset, Some(kind));
                Phase::Footer { done: 0 }
            }
        }
    }

    /// Yields records that are in the buffer, with their separators, as long as they fit whole: nearly all of them come
    /// this way.
    fn buffered_records(&mut self, room: &mut [u8]) -> usize {
        let (mut taken, mut written) = (0_usize, 0_usize);
        let (left_bytes, max_record_size) = (self.blocks.left_bytes(), self.claim.checker.max_record_size);
        let buffered = self.blocks.buffered();
        while let Some((header, record)) = buffered.get(taken..).and_then(|rest| {
            let header = Header::decode(rest)?;
            Some((header, rest.get(HEADER_BYTES..)?.get(..header.length as usize)?))
        }) {
            let room = room.get_mut(written..).unwrap_or_default();
            let Some((separator, room)) = room.split_at_mut_checked(self.separator.len()) else { break };
            let Some(payload) = room.get_mut(..record.len()) else { break };
            let is_intact = self.is_whole
                || (header.check(left_bytes, max_record_size).is_ok()
                    && crc32fast::hash(record) == header.crc);
            if !is_intact {
                break;
            }
            separator.copy_from_slice(&self.separator);
            payload.copy_from_slice(record);
            taken = taken.saturating_add(HEADER_BYTES).saturating_add(header.length as usize);
            written = written.saturating_add(self.separator.len()).saturating_add(record.len());
            self.records = self.records.saturating_add(1);
        }
        self.blocks.take(taken);
        written
    }

    /// Gives the large buffer to the next reader. A reader that was read may be kept for long; its buffer need not.
    fn give_back(&mut self) {
        let whole = self.whole.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let blocks = std::mem::replace(&mut self.blocks, self.claim.blocks());
        let large =
            whole.map(Blocks::into_buffer).or_else(|| blocks.is_whole().then(|| blocks.into_buffer()));
        if let Some(buffer) = large.filter(|buffer| !buffer.is_empty()) {
            self.spare.buffer().get_or_insert(buffer);
        }
    }

    /// Yields some bytes of the current phase, or none and moves on to the next.
    fn step(&mut self, room: &mut [u8]) -> usize {
        let (phase, written) = match self.phase {
            Phase::Header { .. } if self.is_legacy() => (Phase::Verbatim, 0),
            Phase::Header { done } => match copy(&self.header, done, room) {
                0 => (self.begin(), 0),
                written => (Phase::Header { done: done.saturating_add(written) }, written),
            },
            Phase::Separator { done, payload } => match copy(&self.separator, done, room) {
                0 => (Phase::Payload { left: payload }, 0),
                written => (Phase::Separator { done: done.saturating_add(written), payload }, written),
            },
            Phase::Payload { left: 0 } => match self.buffered_records(room) {
                0 => (self.begin_record(false), 0),
                written => (self.phase, written),
            },
            Phase::Payload { left } => {
                let offset = self.blocks.offset();
                match copy(self.blocks.take(left.min(room.len())), 0, room) {
                    0 => (
                        Phase::Failed {
                            offset,
                            kind: DamageKind::Unreadable { error: io::ErrorKind::Other },
                        },
                        0,
                    ),
                    written => (Phase::Payload { left: left.saturating_sub(written) }, written),
                }
            }
            Phase::Verbatim => {
                let offset = self.blocks.offset();
                match self.blocks.peek(room.len().min(BLOCK_BYTES)).map(|bytes| copy(bytes, 0, room)) {
                    Ok(0) => (Phase::Done, 0),
                    Ok(written) => {
                        self.blocks.take(written);
                        (Phase::Verbatim, written)
                    }
                    Err(error) => (Phase::Failed { offset, kind: DamageKind::unreadable(&error) }, 0),
                }
            }
            Phase::Footer { done } => match copy(&self.footer, done, room) {
                0 => (Phase::Done, 0),
                written => (Phase::Footer { done: done.saturating_add(written) }, written),
            },
            phase @ (Phase::Done | Phase::Failed { .. }) => (phase, 0),
        };
        self.phase = phase;
        if matches!(phase, Phase::Done) {
            self.give_back();
        }
        written
    }
}

/// Copies what fits of `bytes` behind the first `done`.
fn copy(bytes: &[u8], done: usize, room: &mut [u8]) -> usize {
    let rest = bytes.get(done..).unwrap_or_default();
    let length = rest.len().min(room.len());
    if let (Some(target), Some(source)) = (room.get_mut(..length), rest.get(..length)) {
        target.copy_from_slice(source);
    }
    length
}

impl Read for LedgerReader {
    /// # Errors
    /// [`InvalidData`](io::ErrorKind::InvalidData) if the file is no longer what it was when it was fetched, or cannot be
    /// read. What was yielded before is intact, but short of `content_length()`: the request must not be completed.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Somebody may have asked meanwhile, and knows the length now.
        self.blocks.set_end(self.claim.intact_bytes());
        let mut filled = 0_usize;
        while let Some(room) = buffer.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.phase {
                Phase::Done => break,
                Phase::Failed { offset, kind } if filled == 0 => {
                    return Err(changed(&self.claim.full_path(), offset, kind));
                }
                Phase::Failed { .. } => break,
                _ => filled = filled.saturating_add(self.step(room)),
            }
        }
        Ok(filled)
    }
}

impl Drop for LedgerReader {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn changed(path: &Path, offset: u64, kind: DamageKind) -> io::Error {
    let text =
        format!("{} is not what it was when it was fetched, at offset {offset}: {kind}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// The payloads of a file. See [`LedgerReader::records`].
#[derive(Debug)]
pub struct Records {
    blocks: Blocks,
    max_record_size: u32,
    failed: bool,
}

impl Iterator for Records {
    type Item = io::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let offset = self.blocks.offset();
        match next_record(&mut self.blocks, self.max_record_size) {
            Next::Record(payload) => Some(Ok(payload.to_vec())),
            Next::End => None,
            Next::Damaged(kind) => {
                self.failed = true;
                Some(Err(changed(self.blocks.file().path(), offset, kind)))
            }
        }
    }
}
