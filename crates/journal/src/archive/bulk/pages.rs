//! Pages behind those that SQLite has written, in the order in which they are finished.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger_fs::{File, read_exact_at, write_all_at};

/// Bytes of a page.
pub(super) const PAGE_BYTES: usize = 4096;
/// SQLite locks bytes of this page, which begins at 1 GiB, and stores nothing in it.
const LOCK_PAGE: u32 = (1 << 30) / 4096 + 1;
/// Pages that are written at once.
const BLOCK: usize = 64;

/// Where the first page says how often the file was changed, how many pages it has, and when that was counted.
const CHANGES: u64 = 24;
const PAGE_COUNT: u64 = 28;
const COUNTED_AT: u64 = 92;

/// Adds pages to a database file, from several threads.
pub(super) struct Pages<'f> {
    file: &'f dyn File,
    tail: Mutex<Tail>,
}

struct Tail {
    /// Number of the next page.
    next: u32,
    /// The pages before it that are not written yet.
    waiting: Vec<u8>,
}

impl<'f> Pages<'f> {
    /// Behind the `count` pages that the file has.
    pub(super) fn behind(count: u32, file: &'f dyn File) -> Self {
        let waiting = Vec::with_capacity((BLOCK + 1) * PAGE_BYTES);
        Self { file, tail: Mutex::new(Tail { next: count + 1, waiting }) }
    }

    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a page and returns its number.
    pub(super) fn append(&self, page: &[u8]) -> io::Result<u32> {
        let mut tail = self.tail();
        let number = tail.append(page)?;
        if tail.waiting.len() >= BLOCK * PAGE_BYTES {
            tail.write(self.file)?;
        }
        Ok(number)
    }

    /// Adds what does not fit into a cell: a chain of overflow pages. Returns the number of the first.
    pub(super) fn append_chain(&self, bytes: &[u8]) -> io::Result<u32> {
        let mut tail = self.tail();
        let mut first = None;
        let mut chunks = bytes.chunks(PAGE_BYTES - 4).peekable();
        while let Some(chunk) = chunks.next() {
            let next = if chunks.peek().is_some() { after(after_lock_page(tail.next)) } else { 0 };
            let number = tail.append(&[&next.to_be_bytes(), chunk].concat())?;
            first.get_or_insert(number);
            if tail.waiting.len() >= BLOCK * PAGE_BYTES {
                tail.write(self.file)?;
            }
        }
        Ok(first.unwrap_or(0))
    }

    /// Overwrites a page that SQLite has made: the root of a tree.
    pub(super) fn overwrite(&self, number: u32, page: &[u8]) -> io::Result<()> {
        write_all_at(self.file, page, offset_of(number))
    }

    /// Writes what is waiting, and in the first page how many pages there are now.
    pub(super) fn finish(self) -> io::Result<()> {
        let mut tail = self.tail();
        tail.write(self.file)?;
        let mut changes = [0; 4];
        read_exact_at(self.file, &mut changes, CHANGES)?;
        let changes = u32::from_be_bytes(changes).wrapping_add(1);
        for (offset, value) in [(CHANGES, changes), (PAGE_COUNT, tail.next - 1), (COUNTED_AT, changes)] {
            write_all_at(self.file, &value.to_be_bytes(), offset)?;
        }
        Ok(())
    }
}

impl Tail {
    fn append(&mut self, page: &[u8]) -> io::Result<u32> {
        let number = after_lock_page(self.next);
        let next = number.checked_add(1).ok_or(io::ErrorKind::FileTooLarge)?;
        // The page that is left out reads as zeros.
        let end = self.waiting.len() + (next - self.next) as usize * PAGE_BYTES;
        self.waiting.resize(end - PAGE_BYTES, 0);
        self.waiting.extend_from_slice(page);
        self.waiting.resize(end, 0);
        self.next = next;
        Ok(number)
    }

    fn write(&mut self, file: &dyn File) -> io::Result<()> {
        let end = offset_of(self.next);
        write_all_at(file, &self.waiting, end - self.waiting.len() as u64)?;
        self.waiting.clear();
        Ok(())
    }
}

fn offset_of(page: u32) -> u64 {
    u64::from(page.saturating_sub(1)) * PAGE_BYTES as u64
}

const fn after(page: u32) -> u32 {
    after_lock_page(page.saturating_add(1))
}

/// The page of that number, or the next one if it must not be used.
const fn after_lock_page(page: u32) -> u32 {
    if page == LOCK_PAGE { page + 1 } else { page }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ledger_fs::{Dir, Open, RealDir};

    use super::*;

    #[test]
    fn the_page_that_sqlite_locks_stays_empty() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RealDir::open(folder.path()).unwrap();
        let file = dir.open(Path::new("file"), Open::WRITE.create_new()).unwrap();
        let pages = Pages::behind(LOCK_PAGE - 4, &*file);
        assert_eq!(pages.append(&[1; PAGE_BYTES]).unwrap(), LOCK_PAGE - 3);
        // Two pages before the one that is left out, and one behind it.
        assert_eq!(pages.append_chain(&vec![2; 2 * PAGE_BYTES]).unwrap(), LOCK_PAGE - 2);
        assert_eq!(pages.append(&[3; PAGE_BYTES]).unwrap(), LOCK_PAGE + 2);
        pages.finish().unwrap();
        let page = |number: u32| {
            let mut page = vec![0; PAGE_BYTES];
            read_exact_at(&*file, &mut page, offset_of(number)).unwrap();
            page
        };
        assert_eq!(page(LOCK_PAGE - 2)[..4], (LOCK_PAGE - 1).to_be_bytes());
        assert_eq!(page(LOCK_PAGE - 1)[..4], (LOCK_PAGE + 1).to_be_bytes());
        assert_eq!(page(LOCK_PAGE), [0; PAGE_BYTES]);
        assert_eq!(page(LOCK_PAGE + 1)[..5], [0, 0, 0, 0, 2]);
        assert_eq!(page(LOCK_PAGE + 2), [3; PAGE_BYTES]);
        assert_eq!(page(1)[28..32], (LOCK_PAGE + 2).to_be_bytes());
    }
}
