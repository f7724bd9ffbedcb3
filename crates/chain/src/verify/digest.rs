//! The part of the work that needs no order: parsing and hashing the entries of a batch.

use std::collections::HashSet;

use super::{Check, Problem, Secrets, read::Batch};
use crate::{
    format::{Digest, Entry, EntryType, Flags, FormatError, Maps, PublicDomain, TxId},
    governance::{
        COSE_SIGNATURES, IDENTITY_ENDORSEMENT, NODE_CERTIFICATES, NODES_INFO, PREVIOUS_IDENTITY,
        PREVIOUS_ROOT, SERVICE_INFO, SIGNATURES, TREE, is_reserved,
    },
    merkle::{Subtree, tile},
};

/// What is left of a batch.
#[derive(Debug)]
pub(crate) struct Digested {
    pub(crate) batch: Batch,
    pub(crate) entries: Vec<DigestedEntry>,
    /// The leaves of the entries as subtrees. None reaches across a watched entry, since the tree may be signed there.
    pub(crate) subtrees: Vec<Subtree>,
    /// The first entry that cannot be used; `entries` ends before it.
    pub(crate) problem: Option<Problem>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct DigestedEntry {
    pub(crate) txid: TxId,
    pub(crate) leaf: Digest,
    pub(crate) flags: Flags,
    pub(crate) deprecated: bool,
    pub(crate) private: bool,
    /// It writes to maps that the verification looks at.
    pub(crate) watched: bool,
    /// Its maps or keys are not in canonical order.
    pub(crate) unordered: bool,
}

pub(crate) fn digest(batch: Batch, secrets: &Secrets) -> Digested {
    let mut entries = Vec::with_capacity(batch.starts.len());
    let mut problem = None;
    for index in 0..batch.starts.len() {
        match digest_entry(batch.entry(index), batch.seqno(index), secrets) {
            Ok(entry) => entries.push(entry),
            Err((check, reason)) => {
                problem = Some(Problem {
                    check,
                    chunk: batch.chunk.file_name(),
                    seqno: Some(batch.seqno(index)),
                    offset: Some(batch.entry_offset(index)),
                    reason,
                });
                break;
            }
        }
    }
    let subtrees = subtrees(batch.first_seqno, &entries);
    Digested { batch, entries, subtrees, problem }
}

fn subtrees(first_seqno: u64, entries: &[DigestedEntry]) -> Vec<Subtree> {
    let mut subtrees = Vec::new();
    let mut first = first_seqno;
    // A run ends before the next watched entry.
    for run in entries.chunk_by(|_, next| !next.watched) {
        tile(first, run.iter().map(|entry| entry.leaf), &mut subtrees);
        first = first.saturating_add(run.len() as u64);
    }
    subtrees
}

fn digest_entry(bytes: &[u8], seqno: u64, secrets: &Secrets) -> Result<DigestedEntry, (Check, String)> {
    let unreadable = |error: FormatError| (Check::Entry, error.to_string());
    let (entry, _) = Entry::parse(bytes).map_err(unreadable)?;
    if entry.iv.snapshot {
        return Err((Check::Entry, "the IV is that of a snapshot".into()));
    }
    let txid = entry.txid();
    let domain = PublicDomain::parse(entry.public).map_err(unreadable)?;
    if txid.seqno != seqno || domain.seqno != seqno {
        let reason = format!(
            "the entry is number {seqno} by its place, {} by its IV and {} by its public domain",
            txid.seqno, domain.seqno
        );
        return Err((Check::Position, reason));
    }
    let (watched, unordered) = walk(domain.maps()).map_err(unreadable)?;
    let leaf = domain.leaf(&entry.write_set_digest());
    let leaf = leaf.ok_or((Check::Entry, "entries of type 2 have no leaf in the tree".to_owned()))?;
    if let Some(secret) = secrets.at(seqno) {
        let clear = secret.open(entry.iv, entry.public, entry.tag, entry.private);
        let clear = clear.map_err(|error| (Check::Tag, error.to_string()))?;
        walk(Maps::of_private(&clear)).map_err(unreadable)?;
    }
    Ok(DigestedEntry {
        txid,
        leaf,
        flags: entry.flags,
        deprecated: domain.entry_type != EntryType::WithCommitEvidenceAndClaims,
        private: !entry.private.is_empty(),
        watched,
        unordered,
    })
}

/// Reads all maps: whether one of them is watched, and whether their order is not the canonical one.
fn walk(maps: Maps<'_>) -> Result<(bool, bool), FormatError> {
    let (mut watched, mut unordered) = (false, false);
    let mut previous: Option<&str> = None;
    for map in maps.clone() {
        let map = map?;
        watched |= is_watched(map.name);
        unordered |= previous.is_some_and(|previous| previous >= map.name);
        previous = Some(map.name);
    }
    if unordered {
        let mut seen = HashSet::new();
        for map in maps {
            let name = map?.name;
            if !seen.insert(name) {
                return Err(FormatError::DuplicateMap { map: name.to_owned() });
            }
        }
    }
    Ok((watched, unordered))
}

fn is_watched(map: &str) -> bool {
    is_reserved(map)
        && [
            SIGNATURES,
            COSE_SIGNATURES,
            TREE,
            NODES_INFO,
            NODE_CERTIFICATES,
            SERVICE_INFO,
            PREVIOUS_IDENTITY,
            PREVIOUS_ROOT,
            IDENTITY_ENDORSEMENT,
        ]
        .contains(&map)
}
