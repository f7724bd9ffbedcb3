//! A home: its ledger, and its snapshots against it.

use std::{io, sync::Arc};

use super::{Check, Checkpoint, Problem, Report, Verdict, Verifier, resume::Resume};
use crate::{
    snapshot::{self, SnapshotError, SnapshotFile, SnapshotName},
    store::Reader,
    writer::Home,
};

impl Verifier {
    /// Verifies the ledger of a home and its committed snapshots: each is what its receipt and its evidence in the ledger claim,
    /// and belongs to this ledger. One that is newer than the ledger proves that entries are missing at its end. If chunks are missing at the beginning, verification begins with the snapshot that
    /// stands for them.
    ///
    /// With `rows` the ledger is read a second time, and every row of every snapshot compared with what the entries add up to;
    /// that takes as much memory as the state.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_home(&self, home: &Home, rows: bool) -> io::Result<(Report, Option<Checkpoint>)> {
        let (ledger, folder) = (home.ledger(), home.snapshots());
        let (mut resume, mut problem) = (None, None);
        if self.checkpoint.is_none() {
            let base = Reader::open_tail(Arc::clone(&ledger)).map_err(SnapshotError::from);
            match base.and_then(|reader| snapshot::base_of(&reader, &*folder)) {
                Ok(base) => match base.map(|base| Resume::of_snapshot(&base.file)).transpose() {
                    Ok(found) => resume = found,
                    Err(found) => problem = Some(found),
                },
                // What is damaged is named below: chunks by the verification, snapshots one by one.
                Err(
                    SnapshotError::Store(_) | SnapshotError::Damaged { .. } | SnapshotError::Foreign { .. },
                ) => {}
                Err(error) => problem = Some(of_snapshots("snapshots", None, &error)),
            }
        }
        let (mut report, checkpoint) = self.run(&ledger, resume)?;
        report.problems.extend(problem);
        self.check_snapshots(home, rows, &mut report)?;
        if !report.problems.is_empty() {
            report.verdict = Verdict::Damaged;
        }
        let checkpoint = checkpoint.filter(|_| report.verdict == Verdict::Verified);
        Ok((report, checkpoint))
    }

    fn check_snapshots(&self, home: &Home, rows: bool, report: &mut Report) -> io::Result<()> {
        let folder = home.snapshots();
        let names = snapshot::list(&*folder)?.committed;
        let Ok(reader) = Reader::open_tail(home.ledger()) else { return Ok(()) };
        let mut before: Option<SnapshotFile> = None;
        for name in names.into_iter().rev() {
            let checked = SnapshotFile::load(&*folder, name).and_then(|file| {
                if file.is_ahead_of(&reader)? {
                    report.problems.push(ahead(name, reader.last()));
                } else if !file.belongs_to(&reader)? {
                    report.notes.push(format!("{name} is older than the entries that are here"));
                }
                if rows {
                    snapshot::check_rows(&file, before.as_ref(), &reader, &self.secrets)?;
                }
                Ok(file)
            });
            match checked {
                Ok(file) => {
                    report.snapshots = report.snapshots.saturating_add(1);
                    before = Some(file);
                }
                Err(error) => report.problems.push(of_snapshots(&name.to_string(), Some(name), &error)),
            }
        }
        Ok(())
    }
}

fn ahead(name: SnapshotName, last: u64) -> Problem {
    let SnapshotName { evidence, .. } = name;
    let reason = format!(
        "the ledger had an entry {evidence}, which was signed, and ends at {last}: entries are missing at the end, or the snapshot is another ledger's"
    );
    Problem { check: Check::Expected, chunk: name.to_string(), seqno: Some(evidence), offset: None, reason }
}

fn of_snapshots(chunk: &str, name: Option<SnapshotName>, error: &SnapshotError) -> Problem {
    let reason = error.to_string();
    Problem {
        check: Check::Snapshot,
        chunk: chunk.to_owned(),
        seqno: name.map(|name| name.seqno),
        offset: None,
        reason,
    }
}
