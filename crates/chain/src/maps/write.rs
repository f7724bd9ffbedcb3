//! Writes a run, with the same memory for any number of records.

use std::{io, path::Path};

use ledger_fs::{Dir, File, Open, Replacement, temporary_name, write_all_at};

use super::{
    MapsError,
    collect::Part,
    cursor::MergedRecords,
    run::{HEADER_BYTES, MAGIC, Record, Run},
};
use crate::format::Digest;

const WRITE_BYTES: usize = 1 << 20;

/// Which run is written.
#[derive(Debug)]
pub(super) struct RunHead {
    pub(super) name: String,
    pub(super) first: u64,
    pub(super) last: u64,
    /// Of the last entry, or of the snapshot.
    pub(super) digest: Digest,
}

/// Joins sorted parts to a run.
pub(super) fn write_parts(index: &dyn Dir, head: &RunHead, parts: &[Part]) -> Result<Run, MapsError> {
    let cursors = parts.iter().map(Part::cursor).collect::<io::Result<_>>()?;
    let bytes = parts.iter().map(|part| part.bytes).sum();
    write_run(index, head, MergedRecords::new(cursors), bytes)
}

/// Writes `records`, which take `bytes` in all, to a run. Since that is known, the table is written beside the records.
pub(super) fn write_run(
    index: &dyn Dir,
    head: &RunHead,
    mut records: MergedRecords<'_>,
    bytes: u64,
) -> Result<Run, MapsError> {
    let temporary = temporary_name(Path::new(&head.name));
    let replacement = Replacement::begin(index, temporary, Open::WRITE.private())?;
    let file = replacement.file();
    let table = HEADER_BYTES.saturating_add(bytes);
    let (mut body, mut offsets) = (Stretch::begin(HEADER_BYTES), Stretch::begin(table));
    while let Some(record) = records.record() {
        let offset = body.end();
        offsets.pending().extend_from_slice(&offset.to_le_bytes());
        offsets.write_if_full(file)?;
        record.encode(body.pending());
        body.write_if_full(file)?;
        records.advance()?;
    }
    body.write(file)?;
    offsets.write(file)?;
    if body.end() != table {
        return Err(MapsError::Index { seqno: head.last });
    }
    let count = offsets.end().saturating_sub(table) / 8;
    let mut header = MAGIC.to_vec();
    for field in [head.first, head.last, count, table] {
        header.extend_from_slice(&field.to_le_bytes());
    }
    header.extend_from_slice(&head.digest);
    write_all_at(file, &header, 0)?;
    replacement.commit(Path::new(&head.name))?;
    Run::open(index, &head.name)?.ok_or(MapsError::Index { seqno: head.last })
}

/// Bytes that are written one behind the other, in large pieces.
#[derive(Debug)]
pub(super) struct Stretch {
    /// End of what is written.
    written: u64,
    pending: Vec<u8>,
}

impl Stretch {
    pub(super) fn begin(offset: u64) -> Self {
        Self { written: offset, pending: Vec::with_capacity(WRITE_BYTES) }
    }

    /// What is to be written next; add to it.
    pub(super) fn pending(&mut self) -> &mut Vec<u8> {
        &mut self.pending
    }

    /// Where it ends in the file.
    pub(super) fn end(&self) -> u64 {
        self.written.saturating_add(self.pending.len() as u64)
    }

    pub(super) fn write_if_full(&mut self, file: &dyn File) -> io::Result<()> {
        if self.pending.len() < WRITE_BYTES { Ok(()) } else { self.write(file) }
    }

    pub(super) fn write(&mut self, file: &dyn File) -> io::Result<()> {
        write_all_at(file, &self.pending, self.written)?;
        self.written = self.end();
        self.pending.clear();
        Ok(())
    }
}

impl Record<'_> {
    /// Its form in a run.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.key.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(self.key);
        out.extend_from_slice(&self.seqno.to_le_bytes());
    }
}
