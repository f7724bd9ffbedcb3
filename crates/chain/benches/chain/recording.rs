//! A folder that notes what is written and when it is synced, so that a calibration can do exactly the same.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use ledger_fs::{Dir, Entry, File, Metadata, Open};

/// Something that was done to a file.
#[derive(Debug, Clone, Copy)]
pub enum Done {
    Write(usize),
    Sync,
}

#[derive(Debug)]
pub struct Recording {
    pub dir: Arc<dyn Dir>,
    pub done: Arc<Mutex<Vec<Done>>>,
}

#[derive(Debug)]
struct RecordingFile {
    file: Box<dyn File>,
    done: Arc<Mutex<Vec<Done>>>,
}

impl Dir for Recording {
    fn path(&self) -> &Path {
        self.dir.path()
    }
    fn open(&self, name: &Path, how: Open) -> io::Result<Box<dyn File>> {
        let file = self.dir.open(name, how)?;
        Ok(Box::new(RecordingFile { file, done: Arc::clone(&self.done) }))
    }
    fn create_dir_all(&self, name: &Path) -> io::Result<()> {
        self.dir.create_dir_all(name)
    }
    fn entries(&self, name: &Path) -> io::Result<Box<dyn Iterator<Item = io::Result<Entry>> + Send>> {
        self.dir.entries(name)
    }
    fn metadata(&self, name: &Path) -> io::Result<Metadata> {
        self.dir.metadata(name)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.dir.rename(from, to)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.dir.hard_link(from, to)
    }
    fn remove(&self, name: &Path) -> io::Result<()> {
        self.dir.remove(name)
    }
    fn remove_dir(&self, name: &Path) -> io::Result<()> {
        self.dir.remove_dir(name)
    }
    fn sync(&self, name: &Path) -> io::Result<()> {
        self.dir.sync(name)
    }
}

impl File for RecordingFile {
    fn path(&self) -> &Path {
        self.file.path()
    }
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes)
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.done.lock().unwrap().push(Done::Write(bytes.len()));
        self.file.write_at(bytes, offset)
    }
    fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }
    fn set_modified(&self, time: SystemTime) -> io::Result<()> {
        self.file.set_modified(time)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.done.lock().unwrap().push(Done::Sync);
        self.file.sync_data()
    }
    fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
    fn unlock(&self) -> io::Result<()> {
        self.file.unlock()
    }
}

/// A folder for a measurement, on the disk of the build.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(PathBuf::from(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
