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

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use ledger_fs::RealDir;

    use super::*;
    use crate::snapshot::SnapshotName;

    #[test]
    fn a_row_that_the_entries_do_not_add_up_to_is_named_with_its_map() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/valid");
        let snapshots = RealDir::open(fixtures.join("snapshots")).unwrap();
        let name = SnapshotName::parse("snapshot_14_18.committed").unwrap();
        let file = SnapshotFile::load(&snapshots, name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixtures.join("ledger")).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let check = || {
            let reader = Reader::open(Arc::new(RealDir::open(folder.path()).unwrap())).unwrap();
            check_rows(&file, None, &reader, &Secrets::none())
        };
        check().unwrap();
        // A ledger in which that value is another one.
        let path = folder.path().join("ledger_3-14.committed");
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(7).position(|part| part == b"value 3").unwrap();
        bytes[at] = b'V';
        fs::write(&path, bytes).unwrap();
        let error = check().unwrap_err().to_string();
        assert!(error.contains("public:records"), "{error}");
    }
}
