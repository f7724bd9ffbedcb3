use std::{io, path::Path, sync::Arc};

use ledger_fs::{Dir, File, Open};

use super::cursor::RecordCursor;
use crate::{directory::read_at, format::Digest};

pub(super) const MAGIC: &[u8; 8] = b"LCHRUN1\0";
pub(super) const HEADER_BYTES: u64 = 72;

/// A record without its key.
pub(super) const RECORD_BYTES: u64 = 12;

/// The key under which a write is indexed.
pub(super) fn composite(map: &str, key: &[u8]) -> Vec<u8> {
    let mut composite = Vec::with_capacity(map.len().saturating_add(key.len()).saturating_add(4));
    put_composite(&mut composite, map, key);
    composite
}

/// Adds it to `out`.
pub(super) fn put_composite(out: &mut Vec<u8>, map: &str, key: &[u8]) {
    let length = u32::try_from(map.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(map.as_bytes());
    out.extend_from_slice(key);
}

/// An immutable index file.
#[derive(Debug, Clone)]
pub(super) struct Run {
    pub(super) name: String,
    file: Arc<dyn File>,
    first: u64,
    last: u64,
    records: u64,
    table: u64,
    digest: Digest,
}

/// One record, borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) seqno: u64,
}

impl Run {
    pub(super) fn file_name(first: u64, last: u64) -> String {
        format!("run_{first}-{last}")
    }

    /// The name of a run made of a snapshot: it has the latest entry of every key that has a value, and no others.
    pub(super) fn base_name(last: u64) -> String {
        format!("base_1-{last}")
    }

    pub(super) fn is_base(&self) -> bool {
        self.name.starts_with("base_")
    }

    /// Opens a run; `None` if the file is not one that is whole.
    pub(super) fn open(index: &dyn Dir, name: &str) -> io::Result<Option<Self>> {
        let file: Arc<dyn File> = index.open(Path::new(name), Open::READ)?.into();
        let length = file.metadata()?.len;
        if length < HEADER_BYTES {
            return Ok(None);
        }
        let header = read_at(&*file, 0, 72)?;
        let mut cursor = crate::format::Cursor::new(&header);
        let parsed = (|| {
            let magic = cursor.array::<8>("magic").ok()?;
            let (first, last) = (cursor.u64("first").ok()?, cursor.u64("last").ok()?);
            let (records, table) = (cursor.u64("records").ok()?, cursor.u64("table").ok()?);
            let digest = *cursor.digest("digest").ok()?;
            let whole = table.checked_add(records.checked_mul(8)?)? == length && table >= HEADER_BYTES;
            let named = name == Self::file_name(first, last) || (first == 1 && name == Self::base_name(last));
            (magic == MAGIC && whole && named).then(|| Self {
                name: name.to_owned(),
                file,
                first,
                last,
                records,
                table,
                digest,
            })
        })();
        Ok(parsed)
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn last(&self) -> u64 {
        self.last
    }

    pub(super) fn records(&self) -> u64 {
        self.records
    }

    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the records take.
    pub(super) fn record_bytes(&self) -> u64 {
        self.table.saturating_sub(HEADER_BYTES)
    }

    /// Goes through the records from the one number `record` on.
    pub(super) fn cursor(&self, record: u64) -> io::Result<RecordCursor<'_>> {
        let offset = if record < self.records { self.offset(record)? } else { self.table };
        RecordCursor::new(&*self.file, offset, self.table)
    }

    /// Offset of a record.
    fn offset(&self, record: u64) -> io::Result<u64> {
        let at = self.table.saturating_add(record.saturating_mul(8));
        Ok(u64::from_le_bytes(read_at(&*self.file, at, 8)?.try_into().unwrap_or_default()))
    }

    /// Key and sequence number of a record.
    fn record(&self, record: u64) -> io::Result<(Vec<u8>, u64)> {
        let offset = self.offset(record)?;
        let length = u32::from_le_bytes(read_at(&*self.file, offset, 4)?.try_into().unwrap_or_default());
        let end = offset.saturating_add(u64::from(length)).saturating_add(RECORD_BYTES);
        if end > self.table {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is damaged; remove it", self.name),
            ));
        }
        let mut key = read_at(&*self.file, offset.saturating_add(4), (length as usize).saturating_add(8))?;
        let seqno = key.split_off(length as usize);
        Ok((key, u64::from_le_bytes(seqno.try_into().unwrap_or_default())))
    }

    /// The first record that is not below `(key, seqno)`.
    pub(super) fn lower_bound(&self, key: &[u8], seqno: u64) -> io::Result<u64> {
        let (mut low, mut high) = (0, self.records);
        while low < high {
            let middle = low.midpoint(high);
            let (found, at) = self.record(middle)?;
            if (found.as_slice(), at) < (key, seqno) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// The last entry up to `seqno` that touched the key.
    pub(super) fn latest(&self, key: &[u8], seqno: u64) -> io::Result<Option<u64>> {
        if self.first > seqno {
            return Ok(None);
        }
        let above = self.lower_bound(key, seqno.saturating_add(1))?;
        let Some(at) = above.checked_sub(1) else { return Ok(None) };
        let (found, at) = self.record(at)?;
        Ok((found == key && at <= seqno).then_some(at))
    }
}
