//! Following a log: every line once, in order, across rotations, with bounded memory.
//!
//! A rotated file keeps its inode, so the file that comes after the one that is open is found by looking for that inode
//! among the rotated names. The open file is read to its end once more after it was seen to be rotated: what was written
//! between the last read and the rotation is in it. Lines are lost only if a reader falls so far behind that its
//! file is deleted; [`Tail::missed`] then says so.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::log::{KEPT_LOGS, rotated};

/// How much is read at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// A longer line is delivered in pieces of this length, in bytes.
const MAX_LINE_BYTES: usize = 64 << 10;

/// A log file that is being followed.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    file: Option<Followed>,
    /// A line that has no end yet.
    rest: Vec<u8>,
    missed: bool,
}

/// The open file.
#[derive(Debug)]
struct Followed {
    file: File,
    device_and_inode: (u64, u64),
    position: u64,
    /// It has another name by now, so nothing is added to it any more.
    is_rotated: bool,
}

impl Tail {
    /// Follows a log from the beginning of its current file, which need not be there yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), file: None, rest: Vec::new(), missed: false }
    }

    /// Follows a log from the last `lines` lines of its current file on. Only the end of the file is read.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn from_last(path: &Path, lines: u64) -> io::Result<Self> {
        let mut tail = Self::new(path);
        tail.file = Followed::open(path)?;
        if let Some(followed) = &mut tail.file {
            let start = start_of_last(&mut followed.file, lines)?;
            followed.position = followed.file.seek(SeekFrom::Start(start))?;
        }
        Ok(tail)
    }

    /// The log.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether lines were lost, because they were deleted by rotation before they were read; asking clears it.
    pub fn missed(&mut self) -> bool {
        std::mem::take(&mut self.missed)
    }

    /// Whole lines that have come since, without their ends, about `max_bytes` of them at most; none if there are
    /// no more for now.
    ///
    /// # Errors
    /// When the log is there and cannot be read.
    pub fn lines(&mut self, max_bytes: usize) -> io::Result<Vec<Vec<u8>>> {
        let mut lines = Vec::new();
        let mut bytes = 0_usize;
        let mut chunk = vec![0; CHUNK_BYTES];
        while bytes < max_bytes || lines.is_empty() {
            if self.file.is_none() {
                self.file = Followed::open(&self.path)?;
            }
            let Some(followed) = &mut self.file else { break };
            let length = followed.read(&mut chunk)?;
            if length == 0 && !self.turn_page()? {
                break;
            }
            bytes = bytes.saturating_add(length);
            self.split(chunk.get(..length).unwrap_or_default(), &mut lines);
        }
        Ok(lines)
    }

    fn split(&mut self, mut bytes: &[u8], lines: &mut Vec<Vec<u8>>) {
        while !bytes.is_empty() {
            let room = MAX_LINE_BYTES.saturating_sub(self.rest.len()).min(bytes.len());
            let (piece, behind) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            let (piece, behind) = match piece.iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let (line, _) = piece.split_at_checked(end).unwrap_or((piece, &[]));
                    (line, bytes.get(end.saturating_add(1)..).unwrap_or_default())
                }
                None if self.rest.len().saturating_add(piece.len()) < MAX_LINE_BYTES => {
                    self.rest.extend_from_slice(piece);
                    return;
                }
                None => (piece, behind),
            };
            self.rest.extend_from_slice(piece);
            lines.push(std::mem::take(&mut self.rest));
            bytes = behind;
        }
    }

    /// At the end of the open file: whether there is more to read, in it or in the one that follows.
    fn turn_page(&mut self) -> io::Result<bool> {
        let Some(followed) = &mut self.file else { return Ok(false) };
        match identity(&self.path)? {
            Some(named) if named == followed.device_and_inode => return followed.rewind_if_truncated(),
            // In the middle of a rotation, or removed: what follows is not there yet.
            None => return Ok(false),
            Some(_) if !followed.is_rotated => {
                followed.is_rotated = true;
                return Ok(true);
            }
            Some(_) => {}
        }
        let own = followed.device_and_inode;
        match self.successor(own)? {
            Some(next) => self.file = Some(next),
            None => {
                self.missed = true;
                self.rest.clear();
                self.file = self.oldest()?;
            }
        }
        Ok(true)
    }

    /// The file that was begun after this one; `None` if this one is deleted, so that nobody can tell.
    fn successor(&self, own: (u64, u64)) -> io::Result<Option<Followed>> {
        loop {
            let Some(number) = self.number_of(own)? else { return Ok(None) };
            let next = Followed::open(&rotated(&self.path, number.saturating_sub(1)))?;
            // A rotation meanwhile would have moved both.
            if self.number_of(own)? == Some(number) {
                return Ok(next);
            }
        }
    }

    /// Under which number a file is kept.
    fn number_of(&self, own: (u64, u64)) -> io::Result<Option<u32>> {
        for number in 1..=KEPT_LOGS {
            if identity(&rotated(&self.path, number))? == Some(own) {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn oldest(&self) -> io::Result<Option<Followed>> {
        for number in (0..=KEPT_LOGS).rev() {
            if let Some(followed) = Followed::open(&rotated(&self.path, number))? {
                return Ok(Some(followed));
            }
        }
        Ok(None)
    }
}

impl Followed {
    /// `None` if it is not there.
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        let device_and_inode = (metadata.dev(), metadata.ino());
        Ok(Some(Self { file, device_and_inode, position: 0, is_rotated: false }))
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(chunk)?;
        self.position = self.position.saturating_add(length as u64);
        Ok(length)
    }

    /// Somebody may empty a log to free space: then it begins anew.
    fn rewind_if_truncated(&mut self) -> io::Result<bool> {
        if self.file.metadata()?.len() >= self.position {
            return Ok(false);
        }
        self.position = self.file.seek(SeekFrom::Start(0))?;
        Ok(true)
    }
}

fn identity(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last `count` lines begin. A last line without an end is one of them.
fn start_of_last(file: &mut File, count: u64) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    if count == 0 {
        return Ok(length);
    }
    let mut position = length;
    let mut found = 0_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    while position > 0 {
        let size = position.min(CHUNK_BYTES as u64);
        position = position.saturating_sub(size);
        file.seek(SeekFrom::Start(position))?;
        let piece = chunk.get_mut(..usize::try_from(size).unwrap_or_default()).unwrap_or_default();
        file.read_exact(piece)?;
        for (index, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = position.saturating_add(index as u64).saturating_add(1);
            // The end of the last line begins no line.
            if behind < length {
                found = found.saturating_add(1);
                if found == count {
                    return Ok(behind);
                }
            }
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn lines(tail: &mut Tail) -> Vec<String> {
        let lines = tail.lines(1 << 20).unwrap();
        lines.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// As a keeper does it.
    fn rotate(path: &Path) {
        for number in (0..KEPT_LOGS).rev() {
            let _ = fs::rename(rotated(path, number), rotated(path, number + 1));
        }
        append(path, "");
    }

    #[test]
    fn lines_come_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let mut tail = Tail::new(&path);
        assert_eq!(lines(&mut tail), [""; 0], "it is not there yet");
        append(&path, "one\ntw");
        assert_eq!(lines(&mut tail), ["one"]);
        append(&path, "o\n\nthree\n");
        assert_eq!(lines(&mut tail), ["two", "", "three"]);
        assert_eq!(lines(&mut tail), [""; 0]);
    }

    #[test]
    fn nothing_is_lost_or_told_twice_by_rotations() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        append(&path, "1\n");
        let mut tail = Tail::new(&path);
        assert_eq!(lines(&mut tail), ["1"]);
        // Written after the last look, then rotated, twice.
        append(&path, "2\n");
        rotate(&path);
        append(&path, "3\n4\n");
        rotate(&path);
        append(&path, "5\n");
        assert_eq!(lines(&mut tail), ["2", "3", "4", "5"]);
        assert!(!tail.missed());
        for _ in 0..=KEPT_LOGS {
            rotate(&path);
            append(&path, "6\n");
        }
        assert_eq!(lines(&mut tail), ["6"; 3]);
        assert!(tail.missed() && !tail.missed(), "its file was deleted, which it says once");
    }

    #[test]
    fn only_the_last_lines_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        append(&path, "one\ntwo\nthree\nunfinish");
        assert_eq!(lines(&mut Tail::from_last(&path, 2).unwrap()), ["three"]);
        let mut tail = Tail::from_last(&path, 0).unwrap();
        append(&path, "ed\nfour\n");
        assert_eq!(lines(&mut tail), ["ed", "four"]);
        assert_eq!(lines(&mut Tail::from_last(&path, 2).unwrap()), ["unfinished", "four"]);
        assert_eq!(lines(&mut Tail::from_last(&path, 99).unwrap()).len(), 5);
    }

    #[test]
    fn a_line_without_an_end_does_not_fill_the_memory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        append(&path, &"x".repeat(3 * MAX_LINE_BYTES + 7));
        append(&path, "\nnext\n");
        let lengths: Vec<usize> = lines(&mut Tail::new(&path)).iter().map(String::len).collect();
        assert_eq!(lengths, [MAX_LINE_BYTES, MAX_LINE_BYTES, MAX_LINE_BYTES, 7, 4]);
    }

    #[test]
    fn a_log_that_was_emptied_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        append(&path, "a long line\n");
        let mut tail = Tail::new(&path);
        assert_eq!(lines(&mut tail), ["a long line"]);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(lines(&mut tail), ["new"]);
    }

    #[test]
    fn a_look_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        append(&path, &"0123456789\n".repeat(100_000));
        let mut tail = Tail::new(&path);
        let first = tail.lines(1).unwrap().len();
        assert!(first > 0 && first < 10_000, "{first}");
        let mut all = first;
        loop {
            match tail.lines(1).unwrap().len() {
                0 => break,
                more => all += more,
            }
        }
        assert_eq!(all, 100_000);
    }
}
