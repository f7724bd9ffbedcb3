//! Rewriting the labels of turns in place (specification §2.7).
//!
//! What a turn is about is decided by a classifier that the caller brings; this module finds the turns, writes the answers and
//! leaves every other byte of the ledger as it is. The archive notices the rewrite by itself: its next build starts anew.

use std::collections::BTreeMap;
use std::path::Path;

use ledger_fs::{Open, Replacement, append_all, temporary_name};

use crate::home::{LEDGER, if_found};
use crate::json::{Object, Value, number_text, ordered_members, quote, stringify};
use crate::jsonl::{ChunkReader, lines};
use crate::ledger::{Ledger, LedgerError};
use crate::line::{Kind, Line};

/// The labels of a turn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels {
    /// What it was about.
    pub activity: String,
    /// Failed attempts.
    pub retries: f64,
    /// Whether files were edited.
    pub has_edits: bool,
}

/// What a pass over the ledger did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reclassified {
    /// Turn lines.
    pub scanned: u64,
    /// Of them, those that were labelled.
    pub processed: u64,
    /// Of them, those whose activity is another one now.
    pub changed: u64,
    /// Turn lines that had labels already.
    pub skipped: u64,
    /// New activity to number of turns.
    pub changed_by_category: BTreeMap<String, u64>,
}

impl Ledger {
    /// Labels the turns that have no activity yet, with `force` all turns. `classify` gets the record; turns for which it
    /// has no answer stay as they are and count as skipped.
    ///
    /// Nobody can append meanwhile. When no turn is labelled the file is not touched.
    pub fn reclassify(
        &self,
        force: bool,
        classify: &mut dyn FnMut(Object<'_>) -> Option<Labels>,
    ) -> Result<Reclassified, LedgerError> {
        let mut report = Reclassified::default();
        let Some(dir) = self.home().existing()? else { return Ok(report) };
        if if_found(dir.metadata(Path::new(LEDGER)))?.is_none() {
            return Ok(report);
        }
        let guard = self.locks()?.acquire("ledger")?;
        let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? else { return Ok(report) };
        let len = file.metadata()?.len;
        let target = Replacement::begin(&*dir, temporary_name(Path::new(LEDGER)), Open::APPEND)?;
        let mut reader = ChunkReader::new(file, 0, len);
        let (mut chunk, mut out, mut written) = (Vec::new(), Vec::new(), 0);
        while let Some(offset) = reader.next(&mut chunk)? {
            out.clear();
            for (_, line) in lines(&chunk, offset) {
                rewrite(line, force, classify, &mut report, &mut out);
                out.push(b'\n');
            }
            append_all(target.file(), &out, written).map_err(std::io::Error::from)?;
            written += out.len() as u64;
        }
        out.clear();
        rewrite(reader.unterminated(), force, classify, &mut report, &mut out);
        append_all(target.file(), &out, written).map_err(std::io::Error::from)?;
        if report.processed > 0 {
            guard.check()?;
            target.commit(Path::new(LEDGER))?;
        }
        Ok(report)
    }
}

/// Copies a line, with new labels if it is a turn that gets some.
fn rewrite(
    line: &[u8],
    force: bool,
    classify: &mut dyn FnMut(Object<'_>) -> Option<Labels>,
    report: &mut Reclassified,
    out: &mut Vec<u8>,
) {
    // Bytes that are no UTF-8 would not survive being written again.
    let text = std::str::from_utf8(line).unwrap_or_default();
    let turn = match Line::parse(text) {
        Ok(Some(Line::Known(Kind::Turn, object))) => {
            object.get("record").and_then(Value::as_object).map(|record| (object, record))
        }
        _ => None,
    };
    let Some((object, record)) = turn else {
        out.extend_from_slice(line);
        return;
    };
    report.scanned += 1;
    let old = record.get("activity");
    let labels = if force || old.is_none() { classify(record) } else { None };
    let Some(labels) = labels else {
        report.skipped += 1;
        out.extend_from_slice(line);
        return;
    };
    report.processed += 1;
    if !old.and_then(Value::as_str).is_some_and(|old| old.is(&labels.activity)) {
        report.changed += 1;
        *report.changed_by_category.entry(labels.activity.clone()).or_default() += 1;
    }
    let record = labelled(record, &labels);
    let members: Vec<String> = ordered_members(object)
        .into_iter()
        .map(|(name, value)| {
            let value = if name.is("record") { record.clone() } else { stringify(value) };
            format!("\"{}\":{value}", name.canonical())
        })
        .collect();
    out.extend_from_slice(format!("{{{}}}", members.join(",")).as_bytes());
}

/// The record with the labels: in their places if they are there, else at the end.
fn labelled(record: Object<'_>, labels: &Labels) -> String {
    let new = [
        ("activity", quote(&labels.activity)),
        ("retries", number_text(labels.retries)),
        ("hasEdits", labels.has_edits.to_string()),
    ];
    let mut members: Vec<(String, String)> = ordered_members(record)
        .into_iter()
        .map(|(name, value)| (name.canonical(), stringify(value)))
        .collect();
    for (name, value) in new {
        match members.iter_mut().find(|(known, _)| known == name) {
            Some(member) => member.1 = value,
            None => members.push((name.to_owned(), value)),
        }
    }
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}
