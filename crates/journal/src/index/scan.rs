//! Sweeping over an index file.

use std::io;

use ledger_fs::File;

use crate::hash::Hash64;
use crate::jsonl::lines;

/// A few hashes to look for among millions.
#[derive(Debug)]
pub(super) struct Wanted {
    sorted: Vec<Hash64>,
    /// One bit per possible value of the first four digits, hashed: sorts out nearly all lines at the cost of a look.
    filter: Vec<u64>,
}

impl Wanted {
    pub(super) fn new(hashes: impl Iterator<Item = Hash64>) -> Self {
        let mut sorted: Vec<Hash64> = hashes.collect();
        sorted.sort_unstable();
        sorted.dedup();
        let mut filter = vec![0; 1024];
        for hash in &sorted {
            let (word, bit) = slot(hash.to_string().as_bytes());
            if let Some(word) = filter.get_mut(word) {
                *word |= bit;
            }
        }
        Self { sorted, filter }
    }

    fn find(&self, line: &[u8]) -> Option<Hash64> {
        let (word, bit) = slot(line);
        if self.filter.get(word).copied().unwrap_or_default() & bit == 0 {
            return None;
        }
        let hash = Hash64::parse(line.trim_ascii())?;
        self.sorted.binary_search(&hash).ok().map(|_| hash)
    }
}

/// Word and bit of the filter for a line.
fn slot(line: &[u8]) -> (usize, u64) {
    let head = line.first_chunk::<4>().map_or(0, |head| u32::from_le_bytes(*head));
    let mixed = head.wrapping_mul(0x9E37_79B1) >> 16;
    ((mixed >> 6) as usize, 1 << (mixed & 63))
}

/// Calls `each` for every wanted hash among the lines from `start` to `end`.
pub(super) fn sweep(
    file: &dyn File,
    start: u64,
    end: u64,
    wanted: &Wanted,
    each: &mut dyn FnMut(Hash64),
) -> io::Result<()> {
    each_chunk(file, start, end, &mut |chunk| {
        // Blank or torn lines are shorter or longer; all others are 16 digits and LF.
        let mut rest = chunk;
        while let Some((line, after)) = rest.split_first_chunk::<17>() {
            if line[16] == b'\n' && line[0] != b'\n' {
                if let Some(hash) = wanted.find(&line[..16]) {
                    each(hash);
                }
                rest = after;
                continue;
            }
            let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            if let Some(hash) = rest.get(..end).and_then(|line| wanted.find(line.trim_ascii())) {
                each(hash);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        if let Some(hash) = wanted.find(rest.trim_ascii()) {
            each(hash);
        }
    })
}

/// Calls `each` for every hash in the file.
pub(super) fn all(file: &dyn File, start: u64, end: u64, each: &mut dyn FnMut(Hash64)) -> io::Result<()> {
    each_chunk(file, start, end, &mut |chunk| {
        for (_, line) in lines(chunk, 0) {
            if let Some(hash) = Hash64::parse(line.trim_ascii()) {
                each(hash);
            }
        }
    })
}

/// What is read at once: it stays in the processor's cache until it is looked through.
const READ_BYTES: usize = 128 << 10;

/// Calls `each` with whole lines; the last one gets its LF if it has none.
fn each_chunk(file: &dyn File, start: u64, end: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let (mut kept, mut position) = (0, start);
    while position < end {
        if kept == buffer.len() {
            // No index has such a line, but any file may stand in its place.
            buffer.resize(2 * kept, 0);
        }
        let left = usize::try_from(end - position).unwrap_or(usize::MAX);
        let space = buffer.len().min(kept.saturating_add(left));
        let space = buffer.get_mut(kept..space).unwrap_or_default();
        let count = match file.read_at(space, position) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        if count == 0 {
            break;
        }
        position += count as u64;
        let filled = kept + count;
        let read = buffer.get(..filled).unwrap_or_default();
        let whole = memchr::memrchr(b'\n', read).map_or(0, |last| last + 1);
        each(read.get(..whole).unwrap_or_default());
        buffer.copy_within(whole..filled, 0);
        kept = filled - whole;
    }
    buffer.truncate(kept);
    buffer.push(b'\n');
    each(&buffer);
    Ok(())
}
