//! `state rebuild …`: making derived files anew.

use serde::Serialize;

use super::args::Args;
use super::format::{counted, grouped, size};
use super::progress::with_progress;
use super::{Context, StateError, usage};
use crate::archive::{Archive, BuildReport};
use crate::ledger::Ledger;

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    match args.word(1) {
        None => context.usage("burn state rebuild: missing target", usage::REBUILD, 2),
        Some("index") => index(context),
        Some("archive") => archive(context, args),
        Some("all") => all(context),
        Some(target @ ("classify" | "content")) => {
            writeln!(
                context.err,
                "burn state rebuild {target}: needs the {} of the full product, which this program does not have",
                if target == "classify" { "activity classifier" } else { "ingest" }
            )?;
            Ok(1)
        }
        Some(other) => {
            context.usage(&format!("burn state rebuild: unknown target: {other}"), usage::REBUILD, 1)
        }
    }
}

fn index(context: &mut Context<'_>) -> Result<u8, StateError> {
    let rebuilt = Ledger::new(context.home.clone()).rebuild_index()?;
    writeln!(
        context.out,
        "rebuilt ledger index: {} id hashes, {} content fingerprints",
        grouped(rebuilt.ids as u64),
        grouped(rebuilt.content as u64)
    )?;
    if rebuilt.skipped > 0 {
        let lines = counted(rebuilt.skipped as u64, "line");
        writeln!(
            context.err,
            "burn: {lines} without record, usage or toolCalls left out or without fingerprint"
        )?;
    }
    Ok(0)
}

fn all(context: &mut Context<'_>) -> Result<u8, StateError> {
    writeln!(
        context.err,
        "burn state rebuild all: content and classify are left out, see `burn state rebuild help`"
    )?;
    index(context)?;
    build(context, false, false)
}

fn archive(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    let (full, vacuum) = (args.switch("full"), args.switch("vacuum"));
    match args.word(2) {
        None | Some("build") if full && vacuum => {
            writeln!(context.err, "burn state rebuild archive: --full and --vacuum cannot be combined")?;
            Ok(1)
        }
        None | Some("build") if vacuum => self::vacuum(context, args.switch("json")),
        Some("vacuum") => self::vacuum(context, args.switch("json")),
        None | Some("build") => build(context, full, args.switch("json")),
        Some(other) => {
            context.usage(&format!("burn state rebuild archive: unknown action: {other}"), usage::REBUILD, 1)
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildJson<'r> {
    scanned_bytes: u64,
    turns_applied: u64,
    sessions_touched: u64,
    stamps_applied: u64,
    compactions_applied: u64,
    tool_result_events_applied: u64,
    rebuilt_from_zero: bool,
    /// The members below are ours, and there only when they say something.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ledger_rewritten: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    skipped_lines: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    skipped: Vec<SkippedJson<'r>>,
}

#[derive(Serialize)]
struct SkippedJson<'r> {
    offset: u64,
    kind: &'r str,
    problem: String,
}

fn build(context: &mut Context<'_>, full: bool, json: bool) -> Result<u8, StateError> {
    let archive = Archive::new(context.home.clone())?;
    let report = with_progress("archive", context.err, |progress| {
        if full { archive.rebuild(progress) } else { archive.build(progress) }
    })?;
    if json {
        let skipped = report.skipped.iter().map(|line| SkippedJson {
            offset: line.offset,
            kind: line.kind.name(),
            problem: line.problem.to_string(),
        });
        context.json(&BuildJson {
            scanned_bytes: report.scanned_bytes,
            turns_applied: report.turns_applied,
            sessions_touched: report.sessions_touched,
            stamps_applied: report.stamps_applied,
            compactions_applied: report.compactions_applied,
            tool_result_events_applied: report.tool_result_events_applied,
            rebuilt_from_zero: report.rebuilt_from_zero,
            ledger_rewritten: report.ledger_rewritten,
            skipped_lines: (report.skipped_lines > 0).then_some(report.skipped_lines),
            skipped: skipped.collect(),
        })?;
    } else {
        text(context, &report)?;
    }
    remarks(context, &report)?;
    Ok(0)
}

fn text(context: &mut Context<'_>, report: &BuildReport) -> Result<(), StateError> {
    let head =
        if report.rebuilt_from_zero { "rebuilt archive from ledger" } else { "archive build complete" };
    writeln!(
        context.out,
        "{head}\n  {} applied, {} touched, {}, {}, {}\n  {} bytes scanned from ledger tail",
        counted(report.turns_applied, "turn"),
        counted(report.sessions_touched, "session"),
        counted(report.stamps_applied, "stamp"),
        counted(report.compactions_applied, "compaction"),
        counted(report.tool_result_events_applied, "tool-result event"),
        grouped(report.scanned_bytes)
    )?;
    Ok(())
}

fn remarks(context: &mut Context<'_>, report: &BuildReport) -> Result<(), StateError> {
    if report.ledger_rewritten {
        writeln!(
            context.err,
            "burn: the ledger was rewritten or replaced; the archive was made anew from all of it"
        )?;
    }
    if report.skipped_lines > 0 {
        let lines = counted(report.skipped_lines, "line");
        writeln!(context.err, "burn: {lines} cannot be archived and were left out:")?;
        for line in &report.skipped {
            writeln!(context.err, "  {line}")?;
        }
        if report.skipped_lines > report.skipped.len() as u64 {
            writeln!(context.err, "  …")?;
        }
    }
    Ok(())
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct VacuumJson<'r> {
    archive_path: &'r std::path::Path,
    existed: bool,
    before_bytes: u64,
    after_bytes: u64,
    reclaimed_bytes: i64,
}

fn vacuum(context: &mut Context<'_>, json: bool) -> Result<u8, StateError> {
    let report = Archive::new(context.home.clone())?.vacuum()?;
    let reclaimed = report.reclaimed_bytes();
    if json {
        context.json(&VacuumJson {
            archive_path: &report.archive_path,
            existed: report.existed,
            before_bytes: report.before_bytes,
            after_bytes: report.after_bytes,
            reclaimed_bytes: reclaimed,
        })?;
    } else if report.existed {
        let sign = if reclaimed < 0 { "-" } else { "" };
        writeln!(
            context.out,
            "archive: vacuumed {} -> {} (reclaimed {sign}{})",
            size(report.before_bytes, "B"),
            size(report.after_bytes, "B"),
            size(reclaimed.unsigned_abs(), "B")
        )?;
    } else {
        let path = report.archive_path.display();
        writeln!(context.out, "archive: no archive at {path} - run `burn state rebuild archive` first")?;
    }
    Ok(0)
}
