//! Checking a file in one pass: how much of it is intact, and what is wrong behind that.

use std::io;
use std::sync::Arc;

use ledger_fs::File;

use crate::blocks::Blocks;
use crate::config::Validation;
use crate::damage::{Damage, DamageKind};
use crate::format::{Next, next_record, peek_header};
use crate::salvage::Resync;

/// What a file holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Checked {
    pub(crate) records: u64,
    pub(crate) payload_bytes: u64,
    /// Where the intact records end.
    pub(crate) intact_bytes: u64,
    pub(crate) damage: Option<Damage>,
}

impl Checked {
    fn count(&mut self, payload_bytes: u64, offset: u64) {
        self.records = self.records.saturating_add(1);
        self.payload_bytes = self.payload_bytes.saturating_add(payload_bytes);
        self.intact_bytes = offset;
    }
}

/// How files are checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checker {
    pub(crate) max_record_size: u32,
    pub(crate) validation: Validation,
}

impl Checker {
    /// Checks the file from its beginning.
    pub(crate) fn check(self, blocks: &mut Blocks) -> Checked {
        let mut checked = Checked::default();
        let damage = loop {
            let step = match self.validation {
                Validation::Full => match next_record(blocks, self.max_record_size) {
                    Next::Record(payload) => Ok(Some(payload.len() as u64)),
                    Next::End => Ok(None),
                    Next::Damaged(kind) => Err(kind),
                },
                Validation::HeadersOnly => skip_record(blocks, self.max_record_size),
            };
            match step {
                Ok(Some(payload_bytes)) => checked.count(payload_bytes, blocks.offset()),
                Ok(None) => break None,
                Err(kind) => break Some(kind),
            }
        };
        checked.damage =
            damage.map(|kind| self.damage(blocks.file(), checked.intact_bytes, blocks.end(), kind));
        checked
    }

    /// Describes damage, after a look at what is behind it.
    pub(crate) fn damage(self, file: &Arc<dyn File>, offset: u64, len: u64, kind: DamageKind) -> Damage {
        let is_torn_tail = match kind {
            DamageKind::ZeroLength => is_zero(file, offset, len).unwrap_or(false),
            // A flipped bit in a length looks the same, but leaves intact records behind it.
            DamageKind::TornHeader | DamageKind::TornPayload { .. } => {
                let mut resync =
                    Resync::new(file.clone(), offset.saturating_add(1), len, self.max_record_size);
                matches!(resync.next(), Ok(None))
            }
            DamageKind::TooLong { .. } | DamageKind::Checksum { .. } | DamageKind::Unreadable { .. } => false,
        };
        Damage { offset, kind, bytes_behind: len.saturating_sub(offset), is_torn_tail }
    }
}

fn skip_record(blocks: &mut Blocks, max_record_size: u32) -> Result<Option<u64>, DamageKind> {
    let Some(header) = peek_header(blocks, max_record_size)? else { return Ok(None) };
    blocks.skip(header.record_bytes());
    Ok(Some(u64::from(header.length)))
}

fn is_zero(file: &Arc<dyn File>, offset: u64, len: u64) -> io::Result<bool> {
    let mut blocks = Blocks::new(file.clone(), offset, len);
    while blocks.left_bytes() > 0 {
        let block = blocks.peek(crate::blocks::BLOCK_BYTES)?;
        if block.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let bytes = block.len();
        blocks.take(bytes);
    }
    Ok(true)
}
