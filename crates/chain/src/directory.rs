//! A folder of chunk files: what is in it, and reading it entry by entry.

use std::{io, path::Path, sync::Arc};

use ledger_fs::{Dir, File, Kind, Open, read_exact_at};

use crate::format::{ChunkName, FileName};

/// A chunk file of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkFile {
    /// Its name, taken apart.
    pub name: ChunkName,
}

impl ChunkFile {
    /// Its file name.
    #[must_use]
    pub fn file_name(&self) -> String {
        self.name.to_string()
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(&self, folder: &dyn Dir) -> io::Result<Arc<dyn File>> {
        Ok(Arc::from(folder.open(Path::new(&self.file_name()), Open::READ)?))
    }
}

/// What a folder holds.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Chunks by first sequence number; at equal starts the more complete first.
    pub chunks: Vec<ChunkFile>,
    /// Chunks of an unfinished recovery.
    pub recovery: Vec<ChunkFile>,
    /// Files set aside by a writer.
    pub ignored: Vec<String>,
    /// Files and folders that do not belong here.
    pub strays: Vec<String>,
}

/// Lists a folder.
///
/// # Errors
/// Those of the file system.
pub fn list(folder: &dyn Dir) -> io::Result<Listing> {
    let mut listing = Listing::default();
    for entry in folder.entries(Path::new(""))? {
        let entry = entry?;
        let name = entry.name.to_string_lossy().into_owned();
        match FileName::parse(&name) {
            _ if entry.kind != Kind::File => listing.strays.push(name),
            FileName::Chunk(name) if name.recovery => listing.recovery.push(ChunkFile { name }),
            FileName::Chunk(name) => listing.chunks.push(ChunkFile { name }),
            FileName::Ignored => listing.ignored.push(name),
            FileName::Stray => listing.strays.push(name),
        }
    }
    let rank = |chunk: &ChunkFile| {
        (chunk.name.start, !chunk.name.committed, chunk.name.end.is_none(), chunk.name.end)
    };
    listing.chunks.sort_by_key(rank);
    listing.recovery.sort_by_key(rank);
    listing.ignored.sort();
    listing.strays.sort();
    Ok(listing)
}

/// Reads `count` bytes at `offset`.
pub(crate) fn read_at(file: &dyn File, offset: u64, count: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; count];
    read_exact_at(file, &mut bytes, offset)?;
    Ok(bytes)
}
