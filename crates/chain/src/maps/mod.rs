//! The maps that the entries of a ledger add up to: latest values, history, ranges, the state at an earlier position.
//!
//! ```no_run
//! use ledger_chain::{maps::Maps, writer::Home};
//!
//! let maps = Maps::open(&Home::open("audit")?)?;
//! if let Some(version) = maps.get("public:app.records", b"k")? {
//!     println!("{} set it to {:?}", version.txid, version.value);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Index
//!
//! Beside the ledger, in `index/`, lie *runs*: immutable files that say which entry wrote which key. A run covers entries of closed
//! chunks, up to 8 million when an index is built. Eight runs of one size class are merged into one of the next, so their number
//! grows with the logarithm of the ledger. The open chunk is read at the start and kept in memory. Values are not in the index;
//! they are read from the ledger. Everything in the folder can be removed at any time: what is missing or does not fit is built
//! again when maps are opened.
//!
//! Building takes the same memory for any ledger: every thread sorts 32 MiB of records at a time and writes them to a file of its
//! own, and these are read side by side to write the run.
//!
//! Without an index, one begins with the newest snapshot that is whole and belongs to the ledger: a run `base_1-<S>` that has the
//! latest entry of every key with a value. Who asks for the history of a key, or for a state before S, has the whole index built
//! then. Keys that were removed before S are unknown to such an index, not removed. If the chunks before S are gone, the values
//! are the snapshot's, and earlier states cannot be had ([`MapsError::Gone`]).
//!
//! | field of a run | content |
//! |---|---|
//! | 8 bytes | `LCHRUN1` and a zero byte |
//! | `u64` × 4 | first and last sequence number, number of records, offset of the table |
//! | 32 bytes | SHA-256 of the last entry covered, or of the entry of the snapshot |
//! | records | `u32` length of the key, key, `u64` sequence number; sorted by key, then sequence number |
//! | table | `u64` offset of every record |
//!
//! Keys are `u32` (big-endian) length of the map's name, name, key. The index holds the keys of private maps in the clear, so its
//! files are readable by their owner only.
//!
//! ```text
//! 4c 43 48 52 55 4e 31 00                            LCHRUN1
//! 01 00 00 00 00 00 00 00  02 00 00 00 00 00 00 00   entries 1 to 2
//! 03 00 00 00 00 00 00 00  a8 00 00 00 00 00 00 00   3 records, table at 0xa8
//! …                                                  SHA-256 of entry 2
//! 14 00 00 00  00 00 00 0e "public:records" "k0"     key, 20 bytes
//! 01 00 00 00 00 00 00 00                            touched by entry 1
//! …                                                  k1, k2
//! 48 00 00 00 00 00 00 00 …                          table
//! ```

mod base;
mod build;
mod collect;
mod cursor;
mod error;
mod history;
mod run;
mod write;

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use ledger_fs::{Dir, File, Open};
use zeroize::Zeroizing;

pub use error::MapsError;
pub use history::History;

use crate::{
    format::{Entry, MapWrites, Maps as DomainMaps, PUBLIC_PREFIX, PublicDomain, TxId},
    store::Reader,
    verify::Secrets,
    writer::Home,
};
use build::index_entry;
use cursor::Merge;
use run::Run;

/// What an entry did to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The entry.
    pub txid: TxId,
    /// The value it wrote; `None` if it removed the key.
    pub value: Option<Vec<u8>>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The key.
    pub key: Vec<u8>,
    /// The entry that wrote it.
    pub txid: TxId,
    /// The value.
    pub value: Vec<u8>,
}

/// The maps of a ledger, for reading.
#[derive(Debug)]
pub struct Maps {
    reader: Reader,
    secrets: Secrets,
    /// Newest first.
    runs: Vec<Run>,
    /// What the runs do not cover.
    recent: BTreeMap<Vec<u8>, Vec<u64>>,
    folders: Folders,
    /// The index with the history, once somebody asked for it.
    full: OnceLock<Box<Self>>,
    /// Values of the snapshot, once one of them was asked for whose entry is gone.
    values: OnceLock<HashMap<Vec<u8>, Version>>,
}

#[derive(Debug, Clone)]
struct Folders {
    ledger: Arc<dyn Dir>,
    index: Arc<dyn Dir>,
    snapshots: Option<Arc<dyn Dir>>,
}

const LOCK: &str = "lock";

/// How long the index may be worked on by another process.
const LOCK_PATIENCE: Duration = Duration::from_secs(600);

impl Maps {
    /// Opens the maps of a home, and brings the index up to date.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn open(home: &Home) -> Result<Self, MapsError> {
        home.dir().create_dir_all(Path::new(crate::writer::INDEX))?;
        let folders = Folders {
            ledger: home.ledger(),
            index: home.folder(crate::writer::INDEX),
            snapshots: Some(home.snapshots()),
        };
        Self::open_folders(folders, home.secrets()?)
    }

    /// Opens the maps of a folder of chunk files with an index in another folder.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn open_in(ledger: Arc<dyn Dir>, index: &Arc<dyn Dir>, secrets: Secrets) -> Result<Self, MapsError> {
        Self::open_folders(Folders { ledger, index: Arc::clone(index), snapshots: None }, secrets)
    }

    fn open_folders(folders: Folders, secrets: Secrets) -> Result<Self, MapsError> {
        let _lock = lock(&*folders.index)?;
        let reader = match &folders.snapshots {
            Some(_) => Reader::open_tail(Arc::clone(&folders.ledger))?,
            None => Reader::open(Arc::clone(&folders.ledger))?,
        };
        let runs = build::catch_up(&reader, &folders.index, &secrets, folders.snapshots.as_deref())?;
        let covered = runs.first().map_or(0, Run::last);
        let recent = BTreeMap::new();
        let (full, values) = (OnceLock::new(), OnceLock::new());
        let mut maps = Self { reader, secrets, runs, recent, folders, full, values };
        let mut recent = BTreeMap::<Vec<u8>, Vec<u64>>::new();
        maps.reader.scan(covered.saturating_add(1), |seqno, bytes| {
            index_entry(bytes, maps.secrets.at(seqno), &mut |map, key| {
                recent.entry(run::composite(map, key)).or_default().push(seqno);
            })?;
            Ok::<_, MapsError>(true)
        })?;
        maps.recent = recent;
        Ok(maps)
    }

    /// The last sequence number.
    #[must_use]
    pub fn last(&self) -> u64 {
        self.reader.last()
    }

    /// Number of index files.
    #[must_use]
    pub fn run_count(&self) -> usize {
        self.runs.len()
    }

    /// What the last entry that touched a key did: `None` if none did.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn get(&self, map: &str, key: &[u8]) -> Result<Option<Version>, MapsError> {
        self.get_at(map, key, u64::MAX)
    }

    /// The same as it was after the entry `seqno`.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn get_at(&self, map: &str, key: &[u8], seqno: u64) -> Result<Option<Version>, MapsError> {
        if self.lacks(seqno) {
            return self.full()?.get_at(map, key, seqno);
        }
        let composite = run::composite(map, key);
        let recent =
            self.recent.get(&composite).and_then(|seqnos| seqnos.iter().rev().find(|at| **at <= seqno));
        let mut found = recent.copied();
        for run in &self.runs {
            if found.is_some() {
                break;
            }
            found = run.latest(&composite, seqno)?;
        }
        found.map(|found| self.version(map, key, found)).transpose()
    }

    /// Everything that was ever done to a key, oldest first; read one by one, so that a long history takes no memory.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn history(&self, map: &str, key: &[u8]) -> Result<History<'_>, MapsError> {
        if self.lacks(0) {
            return self.full()?.history(map, key);
        }
        History::new(self, map, key)
    }

    /// Rows of a map in the order of their keys, from `from` on (inclusive), as they were after the entry `seqno`
    /// (`u64::MAX` for now), at most `limit`, while the key begins with `prefix`.
    ///
    /// # Errors
    /// A [`MapsError`].
    pub fn range(
        &self,
        map: &str,
        from: &[u8],
        prefix: &[u8],
        seqno: u64,
        limit: usize,
    ) -> Result<Vec<Row>, MapsError> {
        if self.lacks(seqno) {
            return self.full()?.range(map, from, prefix, seqno, limit);
        }
        let begin = run::composite(map, from.max(prefix));
        let scope = run::composite(map, prefix);
        let skip = run::composite(map, b"").len();
        let recent = self.recent.range((Bound::Included(begin.clone()), Bound::Unbounded));
        let mut merge = Merge::new(&self.runs, &begin, recent)?;
        let mut rows = Vec::new();
        while rows.len() < limit {
            let Some((composite, found)) = merge.next_key(&scope, seqno)? else { break };
            let key = composite.get(skip..).unwrap_or_default();
            let Some(found) = found else { continue };
            let version = self.version(map, key, found)?;
            if let Some(value) = version.value {
                rows.push(Row { key: key.to_vec(), txid: version.txid, value });
            }
        }
        Ok(rows)
    }

    /// What the entry `seqno` did to a key.
    fn version(&self, map: &str, key: &[u8], seqno: u64) -> Result<Version, MapsError> {
        if seqno < self.reader.first() {
            return self.version_in_snapshot(map, key, seqno);
        }
        let bytes = self.reader.read(seqno)?;
        let (entry, _) = Entry::parse(&bytes)?;
        let clear;
        let maps = if map.starts_with(PUBLIC_PREFIX) {
            PublicDomain::parse(entry.public)?.maps()
        } else {
            clear = self.decrypt(&entry)?;
            DomainMaps::of_private(&clear)
        };
        for found in maps {
            let found: MapWrites<'_> = found?;
            if let Some(value) = (found.name == map).then(|| found.get(key)).flatten() {
                return Ok(Version { txid: entry.txid(), value: value.map(<[u8]>::to_vec) });
            }
        }
        Err(MapsError::Index { seqno })
    }

    /// The run of a snapshot, if the index begins with one.
    fn base(&self) -> Option<&Run> {
        self.runs.last().filter(|run| run.is_base())
    }

    /// Whether the index does not know the state after the entry `seqno`.
    fn lacks(&self, seqno: u64) -> bool {
        self.base().is_some_and(|base| seqno < base.last())
    }

    /// The same maps with the whole history.
    fn full(&self) -> Result<&Self, MapsError> {
        if let Some(full) = self.full.get() {
            return Ok(full);
        }
        if self.reader.first() > 1 {
            return Err(MapsError::Gone { first: self.reader.first() });
        }
        // Runs of snapshots are removed where none is given.
        let folders = Folders { snapshots: None, ..self.folders.clone() };
        let full = Self::open_folders(folders, self.secrets.clone())?;
        Ok(self.full.get_or_init(|| Box::new(full)))
    }

    /// What a row of the snapshot says whose entry is gone.
    fn version_in_snapshot(&self, map: &str, key: &[u8], seqno: u64) -> Result<Version, MapsError> {
        let (Some(base), Some(snapshots)) = (self.base(), &self.folders.snapshots) else {
            return Err(MapsError::Gone { first: self.reader.first() });
        };
        if self.values.get().is_none() {
            let values = base::values(base, &**snapshots, &self.secrets)?;
            _ = self.values.set(values);
        }
        let row = self.values.get().and_then(|values| values.get(&run::composite(map, key)));
        row.cloned().ok_or(MapsError::Index { seqno })
    }

    fn decrypt(&self, entry: &Entry<'_>) -> Result<Zeroizing<Vec<u8>>, MapsError> {
        let seqno = entry.txid().seqno;
        let secret = self.secrets.at(seqno).ok_or(MapsError::NoSecret { seqno })?;
        Ok(secret.open(entry.iv, entry.public, entry.tag, entry.private)?)
    }
}

fn lock(index: &dyn Dir) -> Result<Box<dyn File>, MapsError> {
    let file = index.open(Path::new(LOCK), Open::WRITE.create().private())?;
    let begin = Instant::now();
    while !file.try_lock()? {
        if begin.elapsed() > LOCK_PATIENCE {
            return Err(MapsError::Busy);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(file)
}
