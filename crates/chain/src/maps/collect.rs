//! Sorts records with a bounded memory.

use std::{io, path::Path};

use ledger_fs::{Dir, File, Open, temporary_name};

use super::{
    cursor::{MergedRecords, RecordCursor},
    run::{Record, put_composite},
    write::Stretch,
};

/// Records that are sorted in memory take so many bytes; more go to files.
const MAX_BYTES_IN_MEMORY: usize = 32 << 20;

/// More sorted files than this become one.
const MAX_PARTS: usize = 64;

/// What the files are called while they have a name.
pub(super) const PART: &str = "part";

/// Takes records in any order.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    index: &'a dyn Dir,
    /// All keys, one behind the other.
    keys: Vec<u8>,
    records: Vec<Collected>,
    parts: Vec<Part>,
}

/// Where a key is, and the entry that touched it.
#[derive(Debug, Clone, Copy)]
struct Collected {
    begin: usize,
    end: usize,
    seqno: u64,
}

/// Sorted records in a file without a name, so that a crash leaves nothing behind.
#[derive(Debug)]
pub(super) struct Part {
    file: Box<dyn File>,
    pub(super) bytes: u64,
}

impl Part {
    pub(super) fn cursor(&self) -> io::Result<RecordCursor<'_>> {
        RecordCursor::new(&*self.file, 0, self.bytes)
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(index: &'a dyn Dir) -> Self {
        Self { index, keys: Vec::new(), records: Vec::new(), parts: Vec::new() }
    }

    /// Adds the record of a key that the entry `seqno` touched.
    pub(super) fn add(&mut self, map: &str, key: &[u8], seqno: u64) {
        let begin = self.keys.len();
        put_composite(&mut self.keys, map, key);
        self.records.push(Collected { begin, end: self.keys.len(), seqno });
    }

    /// Frees the memory if it is full; to be called between entries.
    pub(super) fn relieve(&mut self) -> io::Result<()> {
        let bytes = self.records.len().saturating_mul(size_of::<Collected>()).saturating_add(self.keys.len());
        if bytes < MAX_BYTES_IN_MEMORY { Ok(()) } else { self.write_part() }
    }

    /// All records, in sorted parts.
    pub(super) fn finish(mut self) -> io::Result<Vec<Part>> {
        self.write_part()?;
        Ok(self.parts)
    }

    /// Writes what is in memory to a part.
    pub(super) fn write_part(&mut self) -> io::Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let Self { keys, records, .. } = self;
        let record =
            |at: &Collected| Record { key: keys.get(at.begin..at.end).unwrap_or_default(), seqno: at.seqno };
        records.sort_unstable_by(|left, right| record(left).cmp(&record(right)));
        let mut part = PartWriter::begin(self.index)?;
        for at in &*records {
            part.add(record(at))?;
        }
        self.parts.push(part.finish()?);
        self.keys.clear();
        self.records.clear();
        if self.parts.len() >= MAX_PARTS {
            self.parts = vec![merge(self.index, &self.parts)?];
        }
        Ok(())
    }
}

fn merge(index: &dyn Dir, parts: &[Part]) -> io::Result<Part> {
    let mut merged = MergedRecords::new(parts.iter().map(Part::cursor).collect::<io::Result<_>>()?);
    let mut part = PartWriter::begin(index)?;
    while let Some(record) = merged.record() {
        part.add(record)?;
        merged.advance()?;
    }
    part.finish()
}

struct PartWriter {
    file: Box<dyn File>,
    records: Stretch,
}

impl PartWriter {
    fn begin(index: &dyn Dir) -> io::Result<Self> {
        let name = temporary_name(Path::new(PART));
        let file = index.open(&name, Open::WRITE.create_new().private())?;
        index.remove(&name)?;
        Ok(Self { file, records: Stretch::begin(0) })
    }

    fn add(&mut self, record: Record<'_>) -> io::Result<()> {
        record.encode(self.records.pending());
        self.records.write_if_full(&*self.file)
    }

    fn finish(mut self) -> io::Result<Part> {
        self.records.write(&*self.file)?;
        Ok(Part { file: self.file, bytes: self.records.end() })
    }
}

#[cfg(test)]
mod tests {
    use ledger_fs::RealDir;

    use super::*;

    #[test]
    fn any_number_of_parts_gives_all_records_in_order_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let index = RealDir::open(folder.path()).unwrap();
        let mut collector = Collector::new(&index);
        let mut wanted = Vec::new();
        for seqno in 0..1_000u64 {
            // Some keys are longer than what is read at once.
            let key = vec![b'k'; (seqno * 7_919 % 13) as usize * if seqno % 200 == 0 { 20_000 } else { 1 }];
            let map = if seqno % 3 == 0 { "public:a" } else { "b" };
            collector.add(map, &key, seqno);
            wanted.push((crate::maps::run::composite(map, &key), seqno));
            if seqno % 4 == 0 {
                collector.write_part().unwrap();
            }
        }
        let parts = collector.finish().unwrap();
        assert!(parts.len() <= MAX_PARTS);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        wanted.sort();
        let mut merged = MergedRecords::new(parts.iter().map(|part| part.cursor().unwrap()).collect());
        for (key, seqno) in wanted {
            assert_eq!(merged.record(), Some(Record { key: &key, seqno }));
            merged.advance().unwrap();
        }
        assert_eq!(merged.record(), None);
    }
}
