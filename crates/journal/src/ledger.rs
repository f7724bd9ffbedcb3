//! Appending to the ledger, each record once (specification §2.5, §2.6, §3.4).

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use ledger_fs::Dir;

use crate::hash::{Hash64, fingerprint, record_id};
use crate::home::{Home, ID_INDEX, LEDGER};
use crate::index::{self, Identity, KnownIds, Lookup, Rebuilt};
use crate::json::parse;
use crate::jsonl::{Durability, JournalFile};
use crate::line::{Kind, record_line};
use crate::lock::{LockError, LockOptions, Locks};
use crate::record::{Record, Relationship};
use crate::stamp::Stamp;

/// A ledger that could not be changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A lock could not be taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A stamp that would mean nothing.
    #[error("stamp requires at least one selector field (sessionId, messageId, or range)")]
    EmptySelector,
    /// A record that is no JSON object.
    #[error("record {index} of the batch is not a JSON object; nothing of the batch was appended")]
    NotAnObject {
        /// Its position in the batch.
        index: usize,
    },
}

/// A ledger that can be appended to. One per home and process is best: it remembers what the index holds.
#[derive(Debug)]
pub struct Ledger {
    home: Home,
    durability: Durability,
    options: LockOptions,
    known: Mutex<KnownIds>,
}

/// A record on its way into the ledger.
struct Candidate {
    kind: Kind,
    json: String,
    id: Hash64,
    fingerprint: Option<Hash64>,
}

impl Ledger {
    /// The ledger in that home. Nothing is read or created yet.
    pub fn new(home: Home) -> Self {
        Self {
            home,
            durability: Durability::default(),
            options: LockOptions::default(),
            known: Mutex::default(),
        }
    }

    /// With another durability than [`Durability::Synced`].
    #[must_use]
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Its home.
    pub const fn home(&self) -> &Home {
        &self.home
    }

    /// The home's locks.
    pub fn locks(&self) -> io::Result<Locks> {
        Ok(Locks::new(self.home.dir()?).options(self.options))
    }

    /// Appends the records that the ledger does not have yet, and returns how many those are.
    ///
    /// A record is known by its id; a turn also by its content, if one of the latest 10 000 turns has the same. Both are
    /// checked under the lock, against what all processes have appended. When all records are known nothing is touched.
    pub fn append<R: Record>(&self, records: &[R]) -> Result<usize, LedgerError> {
        let candidates = candidates(records)?;
        if candidates.is_empty() {
            return Ok(0);
        }
        let dir = self.home.dir()?;
        let ids: Vec<Hash64> = candidates.iter().map(|candidate| candidate.id).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // One sweep for both questions: are these known, and does the index know the ledger's end?
        let mut asked = index::last_ids(&*dir)?;
        asked.extend(&ids);
        let before = known.lookup(&*dir, &asked, None)?;
        let fingerprints = index::fingerprints(&*dir)?;
        if select(&candidates, &before.known, &fingerprints).is_empty() {
            return Ok(0);
        }
        let locks = self.locks()?;
        let lock = locks.acquire("ledger")?;
        // What others appended while we waited. The first lookup still holds for what was there then.
        let unchanged = KnownIds::is_current(&*dir, before.position)?;
        self.heal(&dir, &locks, &mut known, Some(&before).filter(|_| unchanged))?;
        let after = known.lookup(&*dir, &ids, before.position.filter(|_| unchanged))?;
        let mut all = after.known;
        if unchanged {
            all.extend(before.known);
        }
        let accepted = select(&candidates, &all, &index::fingerprints(&*dir)?);
        if accepted.is_empty() {
            return Ok(0);
        }
        lock.check()?;
        let lines: String =
            accepted.iter().map(|record| record_line(record.kind, &record.json) + "\n").collect();
        JournalFile::new(Arc::clone(&dir), LEDGER).append(lines.as_bytes(), self.durability)?;
        let identities: Vec<Identity> = accepted
            .iter()
            .map(|record| Identity { id: record.id, fingerprint: record.fingerprint })
            .collect();
        add_to_index(&dir, &locks, &identities)?;
        Ok(accepted.len())
    }

    /// Appends a stamp. When it gives a session a parent agent, the relationship between the two is appended with it.
    pub fn stamp(&self, stamp: &Stamp) -> Result<(), LedgerError> {
        if stamp.selector.is_empty() {
            return Err(LedgerError::EmptySelector);
        }
        let dir = self.home.dir()?;
        let mut lines = stamp.line() + "\n";
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let locks = self.locks()?;
        let lock = locks.acquire("ledger")?;
        self.heal(&dir, &locks, &mut known, None)?;
        let mut identities = Vec::new();
        if let Some(relationship) = relationship_of(stamp) {
            for candidate in candidates(&[relationship])? {
                if !known.lookup(&*dir, &[candidate.id], None)?.known.contains(&candidate.id) {
                    lines += &(record_line(candidate.kind, &candidate.json) + "\n");
                    identities.push(Identity { id: candidate.id, fingerprint: None });
                }
            }
        }
        lock.check()?;
        JournalFile::new(Arc::clone(&dir), LEDGER).append(lines.as_bytes(), self.durability)?;
        if identities.is_empty() { Ok(()) } else { add_to_index(&dir, &locks, &identities) }
    }

    /// Makes both index files anew from the ledger.
    pub fn rebuild_index(&self) -> Result<Rebuilt, LedgerError> {
        let dir = self.home.dir()?;
        let locks = self.locks()?;
        let lock = locks.acquire("ledger")?;
        let index_lock = locks.acquire("ledger-index")?;
        let rebuilt = index::rebuild(&*dir)?;
        index_lock.check()?;
        lock.check()?;
        self.forget();
        Ok(rebuilt)
    }

    /// Forgets what is remembered of the index, because its files were removed or replaced.
    pub(crate) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = KnownIds::default();
    }

    /// Adds to the index what a crash between the two appends left out. The caller holds `ledger`.
    fn heal(
        &self,
        dir: &Arc<dyn Dir>,
        locks: &Locks,
        known: &mut KnownIds,
        earlier: Option<&Lookup>,
    ) -> Result<(), LedgerError> {
        if dir.metadata(Path::new(LEDGER)).is_ok() && dir.metadata(Path::new(ID_INDEX)).is_err() {
            let _index_lock = locks.acquire("ledger-index")?;
            index::rebuild(&**dir)?;
            *known = KnownIds::default();
            return Ok(());
        }
        let missing = index::uncovered(&**dir, known, earlier)?;
        if missing.is_empty() { Ok(()) } else { add_to_index(dir, locks, &missing) }
    }
}

fn candidates<R: Record>(records: &[R]) -> Result<Vec<Candidate>, LedgerError> {
    let mut candidates = Vec::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        let (kind, json) = (record.kind(), record.to_json());
        let object = parse(&json).ok().and_then(|value| value.as_object());
        let Some((object, id)) = object.and_then(|object| Some((object, record_id(kind, object)?))) else {
            return Err(LedgerError::NotAnObject { index });
        };
        let fingerprint = if kind == Kind::Turn { fingerprint(object) } else { None };
        candidates.push(Candidate { kind, id, fingerprint, json });
    }
    Ok(candidates)
}

/// Those that are new. Equal ids in a batch collapse; equal fingerprints in a batch do not.
fn select<'c>(
    candidates: &'c [Candidate],
    known: &HashSet<Hash64>,
    fingerprints: &HashSet<Hash64>,
) -> Vec<&'c Candidate> {
    let mut taken = HashSet::new();
    let is_new = |candidate: &&Candidate| {
        !known.contains(&candidate.id)
            && !candidate.fingerprint.is_some_and(|fingerprint| fingerprints.contains(&fingerprint))
            && taken.insert(candidate.id)
    };
    candidates.iter().filter(is_new).collect()
}

fn add_to_index(dir: &Arc<dyn Dir>, locks: &Locks, identities: &[Identity]) -> Result<(), LedgerError> {
    let ids: Vec<Hash64> = identities.iter().map(|identity| identity.id).collect();
    let fingerprints: Vec<Hash64> = identities.iter().filter_map(|identity| identity.fingerprint).collect();
    let lock = locks.acquire("ledger-index")?;
    lock.check()?;
    Ok(index::append(dir, &ids, &fingerprints)?)
}

/// The relationship that a stamp implies (specification §2.3).
fn relationship_of(stamp: &Stamp) -> Option<Relationship> {
    let session = stamp.selector.session_id.as_ref().filter(|id| !id.is_empty())?;
    let parent = stamp.fact("parentAgentId").filter(|id| !id.is_empty())?;
    Some(Relationship {
        source: "spawn-env".to_owned(),
        session_id: session.clone(),
        related_session_id: Some(parent.to_owned()),
        relationship_type: "subagent".to_owned(),
        ts: Some(stamp.ts.clone()),
        agent_id: stamp.fact("agentId").filter(|id| !id.is_empty()).map(ToOwned::to_owned),
        ..Relationship::default()
    })
}
