//! `state reset`: removing the ledger and all that is derived from it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_fs::{Dir, Kind};
use serde::Serialize;

use super::args::Args;
use super::format::{counted, size};
use super::{Context, StateError};
use crate::home::{ARCHIVE, CONTENT, CONTENT_INDEX, CURSORS, HWM, ID_INDEX, LEDGER, if_found};
use crate::lock::Locks;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    home: PathBuf,
    forced: bool,
    reingest_requested: bool,
    reingested: Option<Reingested>,
    targets: Vec<Target>,
    totals: Totals,
    dry_run: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reingested {
    scanned_sessions: u64,
    ingested_sessions: u64,
    appended_turns: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    path: PathBuf,
    kind: &'static str,
    existed: bool,
    bytes: u64,
    files_removed: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Totals {
    files_removed: u64,
    bytes_freed: u64,
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    let (forced, reingest) = (args.switch("force"), args.switch("reingest"));
    if reingest && !forced {
        writeln!(
            context.err,
            "burn state reset: --reingest needs --force; nothing is removed or read again"
        )?;
    }
    let home = context.home.path().to_owned();
    let targets = match context.home.existing()? {
        Some(dir) if forced => remove(&dir)?,
        Some(dir) => targets(&*dir, &mut |_, _| Ok(()))?,
        None => absent(&home),
    };
    let reingested = (forced && reingest).then_some(Reingested {
        scanned_sessions: 0,
        ingested_sessions: 0,
        appended_turns: 0,
    });
    if reingested.is_some() {
        writeln!(
            context.err,
            "burn state reset: this program has no ingest; run the ingest of the full product"
        )?;
    }
    let totals = Totals {
        files_removed: targets.iter().map(|target| target.files_removed).sum(),
        bytes_freed: targets.iter().map(|target| target.bytes).sum(),
    };
    let report =
        Report { home, forced, reingest_requested: reingest, reingested, targets, totals, dry_run: !forced };
    if args.switch("json") {
        context.json(&report)?;
    } else {
        context.out.write_all(text(&report).as_bytes())?;
    }
    Ok(0)
}

/// Removes everything, under every lock whose files go: nobody builds, appends or saves meanwhile.
fn remove(dir: &Arc<dyn Dir>) -> Result<Vec<Target>, StateError> {
    let locks = Locks::new(Arc::clone(dir));
    let _archive = locks.acquire("archive")?;
    let _ledger = locks.acquire("ledger")?;
    let _index = locks.acquire("ledger-index")?;
    let _cursors = locks.acquire("cursors")?;
    let mut sessions = Vec::new();
    for name in names(&**dir, Path::new(CONTENT))? {
        if let Some(session) = name.file_stem().and_then(|stem| stem.to_str())
            && name.extension().is_some_and(|extension| extension == "jsonl")
        {
            sessions.push(locks.acquire(&format!("content.{session}"))?);
        }
    }
    Ok(targets(&**dir, &mut |name, kind| {
        if kind == Kind::Dir { dir.remove_dir(name) } else { dir.remove(name) }
    })?)
}

fn names(dir: &dyn Dir, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Some(entries) = if_found(dir.entries(folder))? else { return Ok(Vec::new()) };
    entries.map(|entry| Ok(folder.join(entry?.name))).collect()
}

fn files() -> Vec<String> {
    let mut names: Vec<String> =
        [LEDGER, ID_INDEX, CONTENT_INDEX, CURSORS, HWM, ARCHIVE].map(str::to_owned).to_vec();
    names.extend(["-wal", "-shm"].map(|suffix| format!("{ARCHIVE}{suffix}")));
    names
}

fn absent(home: &Path) -> Vec<Target> {
    let target =
        |name: &str, kind| Target { path: home.join(name), kind, existed: false, bytes: 0, files_removed: 0 };
    let mut targets: Vec<Target> = files().iter().map(|name| target(name, "file")).collect();
    targets.push(target(CONTENT, "dir"));
    targets
}

/// Counts the targets, and hands every file and folder to `each`, folders after what is in them. Links are not followed.
fn targets(dir: &dyn Dir, each: &mut dyn FnMut(&Path, Kind) -> io::Result<()>) -> io::Result<Vec<Target>> {
    let mut targets = absent(dir.path());
    for target in &mut targets {
        let name = target.path.strip_prefix(dir.path()).unwrap_or(Path::new("")).to_owned();
        let Some(found) = if_found(dir.metadata(&name))? else { continue };
        target.existed = true;
        if found.kind == Kind::Dir {
            tree(dir, &name, target, each)?;
        } else {
            each(&name, found.kind)?;
            target.bytes = found.len;
            target.files_removed = 1;
        }
    }
    Ok(targets)
}

fn tree(
    dir: &dyn Dir,
    folder: &Path,
    target: &mut Target,
    each: &mut dyn FnMut(&Path, Kind) -> io::Result<()>,
) -> io::Result<()> {
    for name in names(dir, folder)? {
        let Some(found) = if_found(dir.metadata(&name))? else { continue };
        if found.kind == Kind::Dir {
            tree(dir, &name, target, each)?;
        } else {
            each(&name, found.kind)?;
            target.bytes += found.len;
            target.files_removed += 1;
        }
    }
    each(folder, Kind::Dir)
}

fn text(report: &Report) -> String {
    let home = report.home.display();
    let mut text = if report.dry_run {
        format!("dry run: would reset derived state under {home}\n")
    } else {
        format!("reset derived state under {home}\n")
    };
    for target in &report.targets {
        let what = if target.existed {
            format!("{}, {}", counted(target.files_removed, "file"), size(target.bytes, "bytes"))
        } else {
            "already absent".to_owned()
        };
        text += &format!("  {:<4} {}: {what}\n", target.kind, target.path.display());
    }
    let files = counted(report.totals.files_removed, "file");
    let bytes = size(report.totals.bytes_freed, "bytes");
    text += &format!("total: {files}, {bytes} {}\n", if report.dry_run { "would be freed" } else { "freed" });
    if report.dry_run {
        text += "re-run with --force to apply.\n";
    }
    text
}
