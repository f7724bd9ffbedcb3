//! Comparing a snapshot with what the entries add up to.

use super::{SnapshotError, SnapshotFile, state::MapState, take::replay};
use crate::{store::Reader, verify::Secrets};

/// Every row of a snapshot is what the entries behind the snapshot `before`, which was checked, or from the first on make of it.
/// Private maps are compared if the secret is there. Nothing is compared if entries are missing in between.
pub(crate) fn check_rows(
    file: &SnapshotFile,
    before: Option<&SnapshotFile>,
    reader: &Reader,
    secrets: &Secrets,
) -> Result<(), SnapshotError> {
    let begin = match before {
        Some(before) => MapState::of_snapshot(&before.snapshot()?, secrets.at(before.name().seqno))?,
        None => MapState::new(secrets.at(1).is_some()),
    };
    let seqno = file.name().seqno;
    if begin.seqno().saturating_add(1) < reader.first() || reader.last() < seqno {
        return Ok(());
    }
    let found = MapState::of_snapshot(&file.snapshot()?, secrets.at(seqno))?;
    match replay(begin, reader, secrets, seqno)?.difference(&found) {
        None => Ok(()),
        Some(what) => Err(SnapshotError::Damaged {
            file: file.name().to_string(),
            reason: format!("{what} is not what the entries up to {seqno} add up to"),
        }),
    }
}
