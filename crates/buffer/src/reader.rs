//! The reader that streams a file inside its envelope.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::blocks::{BLOCK_BYTES, Blocks};
use crate::check::{Checked, Checker};
use crate::claim::Claim;
use crate::config::Validation;
use crate::damage::{Damage, DamageKind};
use crate::delivery::{self, DeliveryId};
use crate::format::{HEADER_BYTES, Next, next_record};
use crate::names::FileName;
use crate::salvage::Salvage;

/// Yields a file as one request body: header, payloads with separators between them, footer.
///
/// It owns what it needs and outlives the store. Its memory is one buffer of 64 KiB, or of the largest record if that is
/// larger, while it is being read. Nobody else can fetch the file while the reader or its
/// [`Removable`](crate::Removable) lives; dropping both gives the file back.
#[derive(Debug)]
pub struct LedgerReader {
    claim: Arc<Claim>,
    checker: Checker,
    checked: Checked,
    header: Vec<u8>,
    footer: Vec<u8>,
    separator: Arc<[u8]>,
    content_length: u64,
    blocks: Blocks,
    phase: Phase,
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
        checker: Checker,
        envelope: (Vec<u8>, Vec<u8>),
        separator: Arc<[u8]>,
        buffer: &mut Vec<u8>,
    ) -> Self {
        let (header, footer) = envelope;
        let len = claim.found.len;
        let (checked, content_length) = match claim.name {
            FileName::Legacy(_) => (Checked { intact_bytes: len, ..Checked::default() }, len),
            FileName::Data(_) => {
                let checked = checker.check(&claim.file, len, buffer);
                let separators = checked.records.saturating_sub(1).saturating_mul(separator.len() as u64);
                let envelope = (header.len() as u64).saturating_add(footer.len() as u64);
                let content = checked.payload_bytes.saturating_add(separators);
                (checked, content.saturating_add(envelope))
            }
        };
        claim.set_damage(checked.damage);
        let (blocks, phase) =
            (Blocks::new(claim.file.clone(), 0, checked.intact_bytes), Phase::Header { done: 0 });
        Self { claim, checker, checked, header, footer, separator, content_length, blocks, phase }
    }

    /// How many bytes the reader yields from its beginning: the `Content-Length` of the request that sends it.
    pub fn content_length(&self) -> u64 {
        self.content_length
    }

    /// What is wrong with the file, if anything is. What is behind the damage is not among the records.
    pub fn damage(&self) -> Option<Damage> {
        self.claim.damage()
    }

    /// How many intact records the file has; 0 for a ready-made batch.
    pub fn record_count(&self) -> u64 {
        self.checked.records
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
        let end = if self.is_legacy() { 0 } else { self.checked.intact_bytes };
        let blocks = Blocks::new(self.claim.file.clone(), 0, end);
        Records { blocks, max_record_size: self.checker.max_record_size, failed: false }
    }

    /// Everything intact in the file, also behind damage.
    pub fn salvage(&self) -> Salvage {
        Salvage::new(self.claim.file.clone(), self.claim.found.len, self.checker.max_record_size)
    }

    /// Begins again from the first byte, with the same header and footer: for sending a second time.
    pub fn rewind(&mut self) {
        self.blocks.seek(0);
        self.phase = Phase::Header { done: 0 };
    }

    /// The delivery id of the file: see [`DeliveryId`].
    ///
    /// # Errors
    /// Those of keeping it in the folder.
    pub fn delivery_id(&self) -> io::Result<DeliveryId> {
        delivery::id_of(&self.claim)
    }

    /// Checks the next record before any of it, or the separator in front of it, is yielded.
    fn begin_record(&mut self, is_first: bool) -> Phase {
        let offset = self.blocks.offset();
        let kind = match next_record(&mut self.blocks, self.checker.max_record_size) {
            Next::Record(payload) => {
                let payload = payload.len();
                // It is given out from the buffer, where it stays until something else is read.
                self.blocks.seek(offset.saturating_add(HEADER_BYTES as u64));
                let begin = Phase::Separator { done: 0, payload };
                return if is_first { Phase::Payload { left: payload } } else { begin };
            }
            Next::End => return Phase::Footer { done: 0 },
            Next::Damaged(kind) => kind,
        };
        if self.checker.validation == Validation::Full {
            return Phase::Failed { offset, kind };
        }
        let len = self.claim.found.len;
        self.claim.set_damage(Some(self.checker.damage(&self.claim.file, offset, len, kind)));
        Phase::Footer { done: 0 }
    }

    /// Yields some bytes of the current phase, or none and moves on to the next.
    fn step(&mut self, room: &mut [u8]) -> usize {
        let (phase, written) = match self.phase {
            Phase::Header { .. } if self.is_legacy() => (Phase::Verbatim, 0),
            Phase::Header { done } => match copy(&self.header, done, room) {
                0 => (self.begin_record(true), 0),
                written => (Phase::Header { done: done.saturating_add(written) }, written),
            },
            Phase::Separator { done, payload } => match copy(&self.separator, done, room) {
                0 => (Phase::Payload { left: payload }, 0),
                written => (Phase::Separator { done: done.saturating_add(written), payload }, written),
            },
            Phase::Payload { left: 0 } => (self.begin_record(false), 0),
            Phase::Payload { left } => {
                let written = copy(self.blocks.take(left.min(room.len())), 0, room);
                (Phase::Payload { left: left.saturating_sub(written) }, written)
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
            // Readers that were read may be kept for long; their buffers need not.
            self.blocks = Blocks::new(self.claim.file.clone(), 0, self.checked.intact_bytes);
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
