//! Where a ledger goes on that is opened: its last signature and what follows.

use std::sync::Arc;

use super::home;
use crate::{
    crypto::{Certificate, CoseSign1},
    format::{Digest, Entry, FormatError, PublicDomain, SINGLE_KEY, TxId, WriteSet},
    governance::{
        self, COSE_SIGNATURES, RawSignature, SERVICE_INFO, SIGNATURES, ServiceInfo, ServiceStatus, TREE,
    },
    merkle::{Peaks, Tree},
    snapshot::{self, Base},
    store::{ChunkStore, Reader, Recovered, Start, Watermark},
    verify::Secrets,
    writer::{Home, Identity, LedgerError},
};

/// What the end of a ledger says.
pub(super) struct Resumed {
    pub(super) tree: Tree,
    pub(super) last: TxId,
    pub(super) signature: TxId,
    pub(super) signed_peaks: Peaks,
    raw: Option<RawSignature>,
    cose: Option<CoseSign1>,
    root: Digest,
}

/// The snapshot that stands for the first chunks, if they are not there.
pub(super) fn base(home: &Home) -> Result<Option<Base>, LedgerError> {
    let reader = Reader::open_tail(home.ledger())?;
    Ok(snapshot::base_of(&reader, &*home.folder(home::SNAPSHOTS))?)
}

/// Opens the chunk files with what is known of them beside their folder.
pub(super) fn open_store(
    home: &Home,
    secrets: &Secrets,
    base: Option<&Base>,
    salvage: bool,
) -> Result<(ChunkStore, Recovered), LedgerError> {
    let watermark = Arc::new(Watermark::open(&**home.dir(), home::SYNCED)?);
    let before = base.map_or(0, |base| base.first.saturating_sub(1));
    let start = Start { before, watermark: Some(watermark), salvage };
    Ok(ChunkStore::open_from(home.ledger(), secrets, start)?)
}

/// Goes back to the last signature, takes its tree and adds what follows; the snapshot `base` stands for what is before the first
/// entry. `None` if there is no entry.
pub(super) fn resume(store: &ChunkStore, base: Option<&Base>) -> Result<Option<Resumed>, LedgerError> {
    let mut leaves = Vec::new();
    let mut last = None;
    for seqno in (store.first()..=store.last()).rev() {
        let bytes = store.read(seqno)?;
        let (entry, _) = Entry::parse(&bytes)?;
        let domain = PublicDomain::parse(entry.public)?;
        let last = *last.get_or_insert(entry.txid());
        let leaf = domain.leaf(&entry.write_set_digest());
        leaves.push(leaf.ok_or(FormatError::EntryType { found: domain.entry_type.byte() })?);
        let mut writes = WriteSet::new();
        writes.extend(domain.maps())?;
        let value = |map: &str| writes.get(map, &SINGLE_KEY);
        if value(TREE).is_some() {
            return resume_at(entry.txid(), last, value, &leaves).map(Some);
        }
    }
    if let Some(base) = base.filter(|base| base.file.name().seqno.saturating_add(1) == store.first()) {
        let snapshot = base.file.snapshot()?;
        let signature = base.file.txid()?;
        leaves.push(snapshot.leaf);
        let value = |map: &str| Some(snapshot.get(map, &SINGLE_KEY).ok()??.value);
        return resume_at(signature, last.unwrap_or(signature), value, &leaves).map(Some);
    }
    match last {
        None => Ok(None),
        Some(last) => Err(LedgerError::BadSignature { txid: last }),
    }
}

/// Takes up the tree that the signature at `signature` recorded; `leaves` are its own and those behind it, the last first.
fn resume_at<'a>(
    signature: TxId,
    last: TxId,
    value: impl Fn(&str) -> Option<&'a [u8]>,
    leaves: &[Digest],
) -> Result<Resumed, LedgerError> {
    let record = value(TREE).ok_or(LedgerError::BadSignature { txid: signature })?;
    let mut tree = Tree::decode(record)?;
    let (signed_peaks, root) = (tree.peaks().clone(), tree.root());
    leaves.iter().rev().for_each(|leaf| tree.append(*leaf));
    let raw = value(SIGNATURES).map(|value| governance::parse(SIGNATURES, value)).transpose()?;
    let cose = value(COSE_SIGNATURES).map(governance::parse_cose).transpose()?;
    let cose = cose.map(|message| CoseSign1::parse(&message)).transpose()?;
    Ok(Resumed { tree, last, signature, signed_peaks, raw, cose, root })
}

/// The last signature holds, and was made by the service whose keys are there.
pub(super) fn check_identity(identity: &Identity, resumed: &Resumed) -> Result<(), LedgerError> {
    let bad = || LedgerError::BadSignature { txid: resumed.signature };
    if let Some(cose) = &resumed.cose {
        if cose.headers().kid.as_deref() != Some(&identity.service.public().id()) {
            return Err(LedgerError::WrongKeys { reason: "another service signed last".into() });
        }
        if !cose.verifies(identity.service.public(), &resumed.root) {
            return Err(bad());
        }
    }
    if let Some(raw) = &resumed.raw {
        let Some(pem) = &raw.cert else { return Ok(()) };
        let certificate = Certificate::from_pem(pem.as_bytes())?;
        if !certificate.is_signed_by(identity.service.public()) {
            return Err(LedgerError::WrongKeys { reason: "a node of another service signed last".into() });
        }
        if raw.root != resumed.root || !certificate.key().verifies_root(&raw.root, &raw.sig) {
            return Err(bad());
        }
    }
    Ok(())
}

/// A crash may have cut off a recovery behind its first signature; its service was never opened then, nor the old one endorsed.
pub(super) fn check_opened(store: &ChunkStore, signature: TxId) -> Result<(), LedgerError> {
    let before = signature.seqno.saturating_sub(1);
    if before < store.first() {
        return Ok(());
    }
    let bytes = store.read(before)?;
    let (entry, _) = Entry::parse(&bytes)?;
    for map in PublicDomain::parse(entry.public)?.maps() {
        let map = map?;
        let Some(Some(value)) = map.get(&SINGLE_KEY).filter(|_| map.name == SERVICE_INFO) else { continue };
        let info: ServiceInfo = governance::parse(SERVICE_INFO, value)?;
        if info.status != ServiceStatus::Open {
            return Err(LedgerError::Unfinished { txid: entry.txid() });
        }
    }
    Ok(())
}
