//! Snapshot files: listing, loading, checking, and choosing the one to begin with.

use std::{io, path::Path};

use ledger_fs::{Dir, Kind, read_all};

use super::{Snapshot, SnapshotError, SnapshotName};
use crate::{
    crypto::{Certificate, PublicKey, sha256},
    format::{Digest, Entry, FormatError, MAX_ENTRY_BYTES, PublicDomain, SINGLE_KEY, TxId},
    governance::{self, SERVICE_INFO, ServiceInfo, TREE},
    merkle::Tree,
    receipt::{CoseReceipt, Proved, Receipt},
    store::{Reader, StoreError},
};

/// Longer than any receipt.
const MAX_RECEIPT_BYTES: u64 = 1 << 20;

/// A committed snapshot whose bytes are what its receipt claims.
#[derive(Debug)]
pub struct SnapshotFile {
    name: SnapshotName,
    bytes: Vec<u8>,
    digest: Digest,
    service: PublicKey,
    /// The position of the evidence by its receipt.
    evidence: TxId,
}

impl SnapshotFile {
    /// Reads a file and checks it against itself: the digest is the one that the receipt claims, and the receipt holds for the
    /// service that the snapshot names. Whether it belongs to a ledger [`belongs_to`](Self::belongs_to) tells.
    ///
    /// # Errors
    /// [`SnapshotError::Damaged`] with what does not hold, and those of the file system.
    pub fn load(folder: &dyn Dir, name: SnapshotName) -> Result<Self, SnapshotError> {
        let max = usize::try_from(MAX_ENTRY_BYTES.saturating_add(MAX_RECEIPT_BYTES)).unwrap_or(usize::MAX);
        let bytes = read_all(folder, Path::new(&name.to_string()), max)?;
        let damaged = |reason: String| SnapshotError::Damaged { file: name.to_string(), reason };
        let snapshot = Snapshot::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        if snapshot.seqno != name.seqno {
            return Err(damaged(format!("it is about entry {}", snapshot.seqno)));
        }
        let service = service_of(&snapshot).map_err(damaged)?;
        let proved = prove(snapshot.receipt, &service).map_err(damaged)?;
        let digest = sha256(snapshot.entry.bytes);
        if proved.claims_digest != digest {
            return Err(damaged("it is not the snapshot for which the receipt was made".into()));
        }
        if proved.txid.seqno != name.evidence {
            return Err(damaged(format!("its receipt is about entry {}", proved.txid)));
        }
        Ok(Self { name, bytes, digest, service, evidence: proved.txid })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> SnapshotName {
        self.name
    }

    /// The position of the signature whose state it holds.
    ///
    /// # Errors
    /// None that [`load`](Self::load) did not find.
    pub fn txid(&self) -> Result<TxId, FormatError> {
        let snapshot = self.snapshot()?;
        Ok(TxId { view: snapshot.view(), seqno: snapshot.seqno })
    }

    /// The key of the service that it names, and that its receipt leads to.
    #[must_use]
    pub fn service(&self) -> &PublicKey {
        &self.service
    }

    /// SHA-256 of its entry: what the ledger records.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its content.
    ///
    /// # Errors
    /// None that [`load`](Self::load) did not find.
    pub fn snapshot(&self) -> Result<Snapshot<'_>, FormatError> {
        Snapshot::parse(&self.bytes)
    }

    /// Checks it against a ledger: the ledger had the same entries up to the signature, and the entry that its name calls evidence
    /// carries its digest, unless a recovery took that entry back. `false` if the entries are not there that would tell.
    ///
    /// # Errors
    /// [`SnapshotError::Foreign`], and what can go wrong with files.
    pub fn belongs_to(&self, reader: &Reader) -> Result<bool, SnapshotError> {
        let foreign = |reason: String| SnapshotError::Foreign { file: self.name.to_string(), reason };
        let SnapshotName { seqno, evidence, .. } = self.name;
        let same = self.has_history_of(reader)?;
        if same == Some(false) {
            return Err(foreign(format!("the entries of the ledger up to {seqno} are others")));
        }
        if !(reader.first()..=reader.last()).contains(&evidence) {
            return Ok(same.is_some());
        }
        let bytes = reader.read(evidence)?;
        let (entry, _) = Entry::parse(&bytes)?;
        let taken_back = entry.txid().view > self.evidence.view && same.is_some();
        if PublicDomain::parse(entry.public)?.claims_digest == Some(&self.digest) || taken_back {
            return Ok(true);
        }
        Err(foreign(format!("entry {evidence} of the ledger does not record its digest")))
    }

    /// Whether the ledger ends before the evidence, which was signed, and no recovery has taken its place: entries are missing.
    pub(crate) fn is_ahead_of(&self, reader: &Reader) -> Result<bool, SnapshotError> {
        let last = reader.last();
        if last == 0 || self.evidence.seqno <= last {
            return Ok(false);
        }
        let bytes = reader.read(last)?;
        let (entry, _) = Entry::parse(&bytes)?;
        Ok(entry.txid().view <= self.evidence.view)
    }

    /// Whether the ledger had the same entries up to the signature: by the leaf of that, or by the tree that the first signature
    /// behind it records. `None` if neither is there.
    fn has_history_of(&self, reader: &Reader) -> Result<Option<bool>, SnapshotError> {
        let (snapshot, seqno) = (self.snapshot()?, self.name.seqno);
        if (reader.first()..=reader.last()).contains(&seqno) {
            let bytes = reader.read(seqno)?;
            let (entry, _) = Entry::parse(&bytes)?;
            let leaf = PublicDomain::parse(entry.public)?.leaf(&entry.write_set_digest());
            return Ok(Some(leaf == Some(snapshot.leaf)));
        }
        let Some(own) = snapshot.get(TREE, &SINGLE_KEY)? else { return Ok(None) };
        let mut own = Tree::decode(own.value)?;
        own.append(snapshot.leaf);
        let mut same = None;
        if seqno.saturating_add(1) == reader.first() {
            reader.scan(reader.first(), |_, bytes| {
                let (entry, _) = Entry::parse(bytes)?;
                for map in PublicDomain::parse(entry.public)?.maps() {
                    let map = map?;
                    if let Some(Some(tree)) = map.get(&SINGLE_KEY).filter(|_| map.name == TREE) {
                        same = Tree::decode(tree)?.root_at(own.size()).map(|root| root == own.root());
                        return Ok(false);
                    }
                }
                Ok::<_, SnapshotError>(true)
            })?;
        }
        Ok(same)
    }
}

fn service_of(snapshot: &Snapshot<'_>) -> Result<PublicKey, String> {
    let row = snapshot.get(SERVICE_INFO, &SINGLE_KEY).map_err(|error| error.to_string())?;
    let row = row.ok_or("it names no service")?;
    let info: ServiceInfo = governance::parse(SERVICE_INFO, row.value).map_err(|error| error.to_string())?;
    let certificate = Certificate::from_pem(info.cert.as_bytes()).map_err(|error| error.to_string())?;
    Ok(certificate.key().clone())
}

fn prove(receipt: &[u8], service: &PublicKey) -> Result<Proved, String> {
    let proved = match receipt.first() {
        None => return Err("it has no receipt".into()),
        Some(b'{') => Receipt::from_json(receipt).and_then(|receipt| receipt.verify(service)),
        Some(_) => CoseReceipt::parse(receipt).and_then(|receipt| receipt.verify(service)),
    };
    proved.map_err(|error| format!("its receipt does not hold: {error}"))
}

/// What a folder of snapshots holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshots {
    /// Committed snapshots, the newest first.
    pub committed: Vec<SnapshotName>,
    /// Files that a writer has begun and not finished.
    pub unfinished: Vec<String>,
}

/// Lists a folder of snapshots; a missing folder holds none.
///
/// # Errors
/// Those of the file system.
pub fn list(folder: &dyn Dir) -> io::Result<Snapshots> {
    let mut found = Snapshots::default();
    let entries = match folder.entries(Path::new("")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.name.to_string_lossy().into_owned();
        match SnapshotName::parse(&name).filter(|_| entry.kind == Kind::File) {
            Some(name) if name.committed => found.committed.push(name),
            Some(_) => found.unfinished.push(name),
            None if name.starts_with("snapshot_") && name.ends_with(".tmp") => found.unfinished.push(name),
            None => {}
        }
    }
    found.committed.sort_unstable_by(|left, right| right.cmp(left));
    Ok(found)
}

/// The newest snapshot that can be used, and what is wrong with the newer ones.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pub(crate) file: Option<SnapshotFile>,
    pub(crate) refused: Vec<(SnapshotName, SnapshotError)>,
}

/// Finds the newest committed snapshot of the ledger about an entry between `from` and `to`.
pub(crate) fn newest(folder: &dyn Dir, reader: &Reader, from: u64, to: u64) -> Result<Newest, SnapshotError> {
    let mut newest = Newest::default();
    for name in list(folder)?.committed {
        if !(from..=to).contains(&name.seqno) {
            continue;
        }
        match SnapshotFile::load(folder, name).and_then(|file| Ok((file.belongs_to(reader)?, file))) {
            Ok((false, _)) => {
                let reason = "the ledger has no entry that tells".to_owned();
                newest.refused.push((name, SnapshotError::Foreign { file: name.to_string(), reason }));
            }
            Ok((true, file)) => {
                newest.file = Some(file);
                break;
            }
            Err(error @ (SnapshotError::Damaged { .. } | SnapshotError::Foreign { .. })) => {
                newest.refused.push((name, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(newest)
}

/// Takes a damaged snapshot out of the way; its new name.
pub(crate) fn set_aside(folder: &dyn Dir, name: SnapshotName) -> io::Result<String> {
    let aside = format!("snapshot_{}_{}.ignored", name.seqno, name.evidence);
    folder.rename(Path::new(&name.to_string()), Path::new(&aside))?;
    folder.sync(Path::new(""))?;
    Ok(aside)
}

/// Takes the snapshots out of the way that are about entries behind `seqno`, which are not there any more; their new names.
pub(crate) fn set_aside_behind(folder: &dyn Dir, seqno: u64) -> io::Result<Vec<String>> {
    let newer = list(folder)?.committed.into_iter().filter(|name| name.seqno > seqno);
    newer.map(|name| set_aside(folder, name)).collect()
}

/// Where a ledger begins whose first chunks are not in its folder.
#[derive(Debug)]
pub(crate) struct Base {
    /// The state before its entries.
    pub(crate) file: SnapshotFile,
    /// The first entry that is there.
    pub(crate) first: u64,
}

/// The snapshot that stands for chunks that are missing at the beginning; `None` if the ledger begins at entry 1 or there is
/// nothing at all.
///
/// # Errors
/// [`SnapshotError::NoState`] or the reason why the newest one cannot be used, and those of the file system.
pub(crate) fn base_of(reader: &Reader, snapshots: &dyn Dir) -> Result<Option<Base>, SnapshotError> {
    let first = reader.first();
    if first == 1 && reader.last() > 0 {
        return Ok(None);
    }
    if reader.last() == 0 {
        // No chunk at all: a snapshot vouches for itself.
        let Some(name) = list(snapshots)?.committed.first().copied() else { return Ok(None) };
        let file = SnapshotFile::load(snapshots, name)?;
        let first = name.seqno.saturating_add(1);
        return Ok(Some(Base { file, first }));
    }
    let before = first.saturating_sub(1);
    let found = newest(snapshots, reader, before, reader.last())?;
    match (found.file, found.refused.into_iter().next()) {
        (Some(file), _) => Ok(Some(Base { file, first })),
        (None, Some((_, error))) => Err(error),
        (None, None) => Err(StoreError::Damaged {
            chunk: crate::format::ChunkName::open(first).to_string(),
            offset: 0,
            reason: SnapshotError::NoState { before }.to_string(),
        }
        .into()),
    }
}
