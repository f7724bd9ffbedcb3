//! Beginning an index with a snapshot instead of the history before it.

use std::{collections::HashMap, sync::Arc};

use ledger_fs::Dir;

use super::{
    MapsError, Version,
    collect::Collector,
    run::{Run, composite},
    write::{RunHead, write_parts},
};
use crate::{
    format::{Entry, PublicDomain, TxId},
    snapshot::{self, SnapshotFile, SnapshotMaps},
    store::Reader,
    verify::Secrets,
};

/// Makes the run of the newest snapshot that can be used; `None` if there is none, and none is needed.
pub(super) fn build(
    reader: &Reader,
    index: &Arc<dyn Dir>,
    snapshots: &dyn Dir,
    secrets: &Secrets,
) -> Result<Option<Run>, MapsError> {
    let file = if reader.first() == 1 && reader.last() > 0 {
        snapshot::newest(snapshots, reader, 1, reader.last())?.file
    } else {
        snapshot::base_of(reader, snapshots)?.map(|base| base.file)
    };
    let Some(file) = file else { return Ok(None) };
    let mut collector = Collector::new(&**index);
    each_row(&file, secrets, |map, key, seqno, _| {
        collector.add(map, key, seqno);
        Ok(collector.relieve()?)
    })?;
    let last = file.name().seqno;
    let head = RunHead { name: Run::base_name(last), first: 1, last, digest: *file.digest() };
    write_parts(&**index, &head, &collector.finish()?).map(Some)
}

/// Whether a run was made of a snapshot that is there, and that the ledger records.
pub(super) fn fits(run: &Run, reader: &Reader, snapshots: Option<&dyn Dir>) -> Result<bool, MapsError> {
    let Some(snapshots) = snapshots else { return Ok(false) };
    if run.last().saturating_add(1) < reader.first() {
        return Ok(false);
    }
    let found = snapshot::list(snapshots)?.committed.into_iter().find(|name| name.seqno == run.last());
    let Some(name) = found else { return Ok(false) };
    if name.evidence <= reader.last() {
        let bytes = reader.read(name.evidence)?;
        let (entry, _) = Entry::parse(&bytes)?;
        if PublicDomain::parse(entry.public)?.claims_digest == Some(run.digest()) {
            return Ok(true);
        }
    }
    // Its evidence is not there, or was taken back: the snapshot itself tells.
    let file = SnapshotFile::load(snapshots, name);
    Ok(file.is_ok_and(|file| file.digest() == run.digest() && file.belongs_to(reader).is_ok()))
}

/// The values of a snapshot, by the keys of the index.
pub(super) fn values(
    run: &Run,
    snapshots: &dyn Dir,
    secrets: &Secrets,
) -> Result<HashMap<Vec<u8>, Version>, MapsError> {
    let mut values = HashMap::new();
    let found = snapshot::list(snapshots)?.committed.into_iter().find(|name| name.seqno == run.last());
    let name = found.ok_or(MapsError::Index { seqno: run.last() })?;
    let file = SnapshotFile::load(snapshots, name)?;
    let snapshot = file.snapshot()?;
    each_row(&file, secrets, |map, key, seqno, value| {
        let txid = TxId { view: snapshot.view_of(seqno), seqno };
        values.insert(composite(map, key), Version { txid, value: Some(value.to_vec()) });
        Ok(())
    })?;
    Ok(values)
}

/// Rows of public maps, and of private ones if the secret is there.
fn each_row(
    file: &SnapshotFile,
    secrets: &Secrets,
    mut row: impl FnMut(&str, &[u8], u64, &[u8]) -> Result<(), MapsError>,
) -> Result<(), MapsError> {
    let snapshot = file.snapshot()?;
    let private = secrets.at(snapshot.seqno).map(|secret| snapshot.open_private(secret)).transpose()?;
    let private = private.as_deref().map(Vec::as_slice).unwrap_or_default();
    for map in snapshot.public_maps().chain(SnapshotMaps::of_private(private)) {
        let map = map?;
        for found in map.rows() {
            let found = found?;
            row(map.name, found.key, found.version, found.value)?;
        }
    }
    Ok(())
}
