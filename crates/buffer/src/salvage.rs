//! Getting out of a damaged file what is intact (hole H11).

use std::io;
use std::path::Path;
use std::sync::Arc;

use crc32fast::Hasher;
use ledger_fs::{Dir, File, Open, RealDir, read_exact_at};

use crate::blocks::{BLOCK_BYTES, Blocks};
use crate::damage::DamageKind;
use crate::format::{HEADER_BYTES, Header, Next, next_record};

/// Distance in bytes between the places of which [`Resync`] knows the checksum of everything before.
const CHECKPOINT_BYTES: usize = 256;

/// A part of a damaged file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Salvaged {
    /// An intact record.
    Record {
        /// Where it begins, in bytes.
        offset: u64,
        /// Its payload.
        payload: Vec<u8>,
    },
    /// Bytes that are no intact record.
    Gap {
        /// Where they begin.
        offset: u64,
        /// How many there are.
        bytes: u64,
        /// What is wrong with the first of them.
        kind: DamageKind,
    },
}

/// Every intact record of a file, and the gaps between them, in the order of the file.
///
/// Behind damage it looks for the next place with a plausible length and a matching checksum. The time for that grows
/// with the size of the file and not with what is in it, and no more memory is used than for one record and one
/// sixtieth of the file. A payload that itself contains records (a buffer in a buffer) may, if damaged, be salvaged as
/// those.
///
/// ```
/// use ledger_buffer::{Salvage, Salvaged};
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("0-events");
/// # std::fs::write(&path, [1, 0, 0, 0, 0xb7, 0xef, 0xdc, 0x83, b'1', 9])?;
/// for part in Salvage::open(&path, 1 << 20)? {
///     match part? {
///         Salvaged::Record { payload, .. } => println!("{}", String::from_utf8_lossy(&payload)),
///         Salvaged::Gap { offset, bytes, kind } => eprintln!("{bytes} bytes at {offset}: {kind}"),
///         _ => {}
///     }
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Salvage {
    blocks: Blocks,
    resync: Resync,
    failed: bool,
}

impl Salvage {
    /// The parts of a file, whose records have payloads of at most `max_record_size` bytes.
    ///
    /// # Errors
    /// Those of opening it.
    pub fn open(path: &Path, max_record_size: u32) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let dir = RealDir::open(folder.unwrap_or(Path::new(".")))?;
        let file: Arc<dyn File> = dir.open(Path::new(name), Open::READ)?.into();
        let len = file.metadata()?.len;
        Ok(Self::new(file, len, max_record_size))
    }

    pub(crate) fn new(file: Arc<dyn File>, len: u64, max_record_size: u32) -> Self {
        let resync = Resync::new(file.clone(), 0, len, max_record_size);
        Self { blocks: Blocks::new(file, 0, len), resync, failed: false }
    }

    fn step(&mut self) -> io::Result<Option<Salvaged>> {
        let offset = self.blocks.offset();
        let kind = match next_record(&mut self.blocks, self.resync.max_record_size) {
            Next::Record(payload) => return Ok(Some(Salvaged::Record { offset, payload: payload.to_vec() })),
            Next::End => return Ok(None),
            Next::Damaged(kind) => kind,
        };
        let next = self.behind_damage(offset, kind)?;
        self.blocks.seek(next);
        Ok(Some(Salvaged::Gap { offset, bytes: next.saturating_sub(offset), kind }))
    }

    /// Where the next intact record is, or the end.
    fn behind_damage(&mut self, offset: u64, kind: DamageKind) -> io::Result<u64> {
        // A damaged payload usually has a right length; what it contains is then no record.
        if let DamageKind::Checksum { length } = kind {
            self.blocks.skip(u64::from(length).saturating_add(HEADER_BYTES as u64));
            let behind = self.blocks.offset();
            if !matches!(next_record(&mut self.blocks, self.resync.max_record_size), Next::Damaged(_)) {
                return Ok(behind);
            }
        }
        self.resync.seek(offset.saturating_add(1));
        Ok(self.resync.next()?.unwrap_or(self.resync.len))
    }
}

impl Iterator for Salvage {
    type Item = io::Result<Salvaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let step = self.step();
        self.failed = step.is_err();
        step.transpose()
    }
}

/// Looks for intact records at every offset.
///
/// Comparing a checksum at every offset would take time that grows with the square of the file, if someone has made
/// the lengths for it. So the checksums of everything before each [`CHECKPOINT_BYTES`] are computed once; that of any
/// part of the file then follows from two of them, since `crc(ab) = shift(crc(a), len(b)) ^ crc(b)`.
#[derive(Debug)]
pub(crate) struct Resync {
    file: Arc<dyn File>,
    blocks: Blocks,
    first: u64,
    len: u64,
    max_record_size: u32,
    /// Checksums of the bytes from `first` to every checkpoint, computed when one is needed.
    checkpoints: Vec<u32>,
}

impl Resync {
    /// Looks in the bytes from `first` to `len`.
    pub(crate) fn new(file: Arc<dyn File>, first: u64, len: u64, max_record_size: u32) -> Self {
        let blocks = Blocks::new(file.clone(), first, len);
        Self { file, blocks, first, len, max_record_size, checkpoints: Vec::new() }
    }

    fn seek(&mut self, offset: u64) {
        self.blocks.seek(offset);
    }

    /// The offset of the next intact record, from the current place on.
    pub(crate) fn next(&mut self) -> io::Result<Option<u64>> {
        loop {
            let (offset, left_bytes) = (self.blocks.offset(), self.blocks.left_bytes());
            let Some(header) = Header::decode(self.blocks.peek(HEADER_BYTES)?) else { return Ok(None) };
            if header.check(left_bytes, self.max_record_size).is_ok() && self.matches(offset, header)? {
                return Ok(Some(offset));
            }
            self.blocks.take(1);
        }
    }

    fn matches(&mut self, offset: u64, header: Header) -> io::Result<bool> {
        if self.checkpoints.is_empty() {
            self.compute_checkpoints()?;
        }
        let begin = offset.saturating_add(HEADER_BYTES as u64);
        let length = u64::from(header.length);
        let before = self.checksum_before(begin)?;
        Ok(self.checksum_before(begin.saturating_add(length))? ^ shift(before, length) == header.crc)
    }

    /// Checksum of the bytes from `first` to `offset`.
    fn checksum_before(&self, offset: u64) -> io::Result<u32> {
        let ahead = offset.saturating_sub(self.first);
        let checkpoint = usize::try_from(ahead / CHECKPOINT_BYTES as u64).unwrap_or(usize::MAX);
        let known = self.checkpoints.get(checkpoint).copied().unwrap_or_default();
        let mut rest = [0; CHECKPOINT_BYTES];
        let rest_bytes = usize::try_from(ahead % CHECKPOINT_BYTES as u64).unwrap_or_default();
        let rest = rest.get_mut(..rest_bytes).unwrap_or_default();
        read_exact_at(&*self.file, rest, offset.saturating_sub(rest_bytes as u64))?;
        Ok(extend(known, rest))
    }

    fn compute_checkpoints(&mut self) -> io::Result<()> {
        let mut blocks = Blocks::new(self.file.clone(), self.first, self.len);
        let mut checksum = 0;
        loop {
            let block = blocks.peek(BLOCK_BYTES)?;
            let read_bytes = block.len();
            for part in block.chunks(CHECKPOINT_BYTES) {
                self.checkpoints.push(checksum);
                checksum = extend(checksum, part);
            }
            blocks.take(read_bytes);
            if read_bytes < BLOCK_BYTES {
                // The end of the file may be a checkpoint too.
                self.checkpoints.push(checksum);
                return Ok(());
            }
        }
    }
}

fn extend(checksum: u32, bytes: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(checksum);
    hasher.update(bytes);
    hasher.finalize()
}

/// The part of a checksum that comes from what stands this many bytes before its end.
fn shift(checksum: u32, bytes: u64) -> u32 {
    let mut hasher = Hasher::new_with_initial_len(checksum, 0);
    hasher.combine(&Hasher::new_with_initial_len(0, bytes));
    hasher.finalize()
}
