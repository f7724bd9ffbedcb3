//! Log files: what a service prints, unmodified, written as it comes, rotated by size.
//!
//! `NAME.stdout.log` is the current one. When the next piece would make it longer than [`MAX_LOG_BYTES`], it is renamed to
//! `NAME.stdout.log.1`, the former `.1` to `.2`; older ones go. A line is cut by a rotation only if it is longer than a
//! whole file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_fs::{Dir, File, Open};

/// Length of a log file after which it is rotated.
pub const MAX_LOG_BYTES: u64 = 10 << 20;
/// Rotated files that are kept.
pub const KEPT_LOGS: u32 = 2;

/// A log file that is being written.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Arc<dyn Dir>,
    name: PathBuf,
    is_private: bool,
    max_bytes: u64,
    file: Box<dyn File>,
    length: u64,
    /// Whether the last line has no end yet.
    is_in_line: bool,
}

impl Log {
    /// Opens a log, or goes on with it.
    pub(crate) fn open(dir: Arc<dyn Dir>, name: &Path, is_private: bool, max_bytes: u64) -> io::Result<Self> {
        let file = open(&*dir, name, is_private)?;
        let length = file.metadata()?.len;
        Ok(Self { dir, name: name.to_owned(), is_private, max_bytes, file, length, is_in_line: false })
    }

    /// Appends what a service printed. Lines stay whole where they can.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let room = usize::try_from(self.max_bytes.saturating_sub(self.length)).unwrap_or(usize::MAX);
            if bytes.len() <= room {
                return self.append(bytes);
            }
            let (now, later) = bytes.split_at_checked(self.fitting(bytes, room)).unwrap_or((bytes, &[]));
            self.append(now)?;
            if later.is_empty() {
                return Ok(());
            }
            self.rotate()?;
            bytes = later;
        }
    }

    /// How much of it belongs to the current file, which has this much room and not enough for all: the lines that fit;
    /// if none does, the end of a line that stands there already, or a line for which no file is long enough.
    fn fitting(&self, bytes: &[u8], room: usize) -> usize {
        let behind = |index: usize| index.saturating_add(1);
        let fits = bytes.get(..room).and_then(|bytes| bytes.iter().rposition(|byte| *byte == b'\n'));
        let must_stand_here = self.is_in_line || self.length == 0;
        match fits {
            Some(end) => behind(end),
            None if !must_stand_here => 0,
            None => bytes.iter().position(|byte| *byte == b'\n').map_or(room, behind),
        }
    }

    fn append(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.is_in_line = bytes.last().map_or(self.is_in_line, |last| *last != b'\n');
        while !bytes.is_empty() {
            let written = self.file.append(bytes)?;
            self.length = self.length.saturating_add(written as u64);
            bytes = bytes.get(written..).unwrap_or_default();
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..KEPT_LOGS).rev() {
            let to = rotated(&self.name, number.saturating_add(1));
            match self.dir.rename(&rotated(&self.name, number), &to) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&*self.dir, &self.name, self.is_private)?;
        self.length = 0;
        Ok(())
    }
}

fn open(dir: &dyn Dir, name: &Path, is_private: bool) -> io::Result<Box<dyn File>> {
    let how = Open::APPEND.create();
    dir.open(name, if is_private { how.private() } else { how })
}

/// The name of the `number`th rotated file; 0 is the current one.
pub(crate) fn rotated(name: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return name.to_owned();
    }
    let mut rotated = name.as_os_str().to_owned();
    rotated.push(format!(".{number}"));
    PathBuf::from(rotated)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger_fs::{RealDir, read_all};

    #[test]
    fn a_log_is_rotated_between_lines_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let dir: Arc<dyn Dir> = Arc::new(RealDir::open(folder.path()).unwrap());
        let name = Path::new("x.stdout.log");
        let mut log = Log::open(Arc::clone(&dir), name, true, 12).unwrap();
        for piece in ["one\ntw", "o\nthree\n", "four\n", "a line that is longer than a file\n", "five\n"] {
            log.write(piece.as_bytes()).unwrap();
        }
        let read = |number| String::from_utf8(read_all(&*dir, &rotated(name, number), 100).unwrap()).unwrap();
        assert_eq!(
            [read(0), read(1), read(2)],
            ["five\n", "a line that is longer than a file\n", "three\nfour\n"]
        );
        assert!(dir.metadata(&rotated(name, 3)).is_err());
        // Much at once is cut into files, too.
        log.write("0123456789\n".repeat(3).as_bytes()).unwrap();
        assert_eq!([read(0), read(1), read(2)], ["0123456789\n"; 3]);
        log.write(&[b'x'; 30]).unwrap();
        assert_eq!(
            [read(0).len(), read(1).len(), read(2).len()],
            [6, 12, 12],
            "a line without an end is cut"
        );
        log.write(b"\nfive\n").unwrap();
        let again = Log::open(dir, name, true, 12).unwrap();
        assert_eq!(again.length, 12);
    }
}
