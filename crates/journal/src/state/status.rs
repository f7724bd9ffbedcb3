//! `state status`: what is derived from the ledger, and whether it is up to date.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use ledger_fs::{Dir, Kind, Open};
use serde::Serialize;

use super::args::Args;
use super::format::grouped;
use super::{Context, StateError};
use crate::archive::{Archive, Status};
use crate::content::is_valid_session;
use crate::home::{CONTENT, CONTENT_INDEX, Home, ID_INDEX, if_found};
use crate::jsonl::{ChunkReader, lines};

#[derive(Serialize)]
struct All {
    index: Indexes,
    content: ContentFiles,
    classifier: Classifier,
    archive: ArchiveStatus,
}

#[derive(Serialize)]
struct Indexes {
    ids: IndexFile,
    content: IndexFile,
}

#[derive(Serialize)]
struct IndexFile {
    path: PathBuf,
    exists: bool,
    bytes: u64,
    entries: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentFiles {
    path: PathBuf,
    exists: bool,
    files: u64,
    sessions: u64,
    bytes: u64,
    user_turns: u64,
}

#[derive(Serialize)]
struct Classifier {
    turns: u64,
    classified: u64,
    missing: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ArchiveStatus {
    archive_path: PathBuf,
    exists: bool,
    archive_version: i64,
    ledger_offset_bytes: u64,
    ledger_mtime_ms: i64,
    ledger_size_bytes: u64,
    ledger_mtime_ms_current: i64,
    up_to_date: bool,
    last_built_at: Option<String>,
    last_rebuild_at: Option<String>,
    row_counts: RowCounts,
    fidelity_histogram: BTreeMap<String, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RowCounts {
    sessions: u64,
    turns: u64,
    tool_calls: u64,
    tool_result_events: u64,
    compactions: u64,
}

impl From<Status> for ArchiveStatus {
    fn from(status: Status) -> Self {
        let rows = status.rows;
        Self {
            archive_path: status.archive_path,
            exists: status.exists,
            archive_version: status.archive_version,
            ledger_offset_bytes: status.ledger_offset_bytes,
            ledger_mtime_ms: status.ledger_mtime_ms,
            ledger_size_bytes: status.ledger_size_bytes,
            ledger_mtime_ms_current: status.ledger_mtime_ms_current,
            up_to_date: status.up_to_date,
            last_built_at: status.last_built_at,
            last_rebuild_at: status.last_rebuild_at,
            row_counts: RowCounts {
                sessions: rows.sessions,
                turns: rows.turns,
                tool_calls: rows.tool_calls,
                tool_result_events: rows.tool_result_events,
                compactions: rows.compactions,
            },
            fidelity_histogram: status.fidelity.into_iter().collect(),
        }
    }
}

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    let all = gather(&context.home)?;
    if args.switch("json") {
        context.json(&all)?;
    } else {
        context.out.write_all(text(&all).as_bytes())?;
    }
    Ok(0)
}

fn gather(home: &Home) -> Result<All, StateError> {
    let archive = Archive::new(home.clone())?;
    let counts = archive.line_counts()?;
    let dir = home.existing()?;
    let dir = dir.as_deref();
    let mut content = content_files(dir, home)?;
    content.user_turns = counts.user_turns;
    Ok(All {
        index: Indexes {
            ids: index_file(dir, home, ID_INDEX)?,
            content: index_file(dir, home, CONTENT_INDEX)?,
        },
        content,
        classifier: Classifier {
            turns: counts.turns,
            classified: counts.classified,
            missing: counts.turns - counts.classified,
        },
        archive: archive.status()?.into(),
    })
}

fn index_file(dir: Option<&dyn Dir>, home: &Home, name: &str) -> io::Result<IndexFile> {
    let mut index = IndexFile { path: home.join(name), exists: false, bytes: 0, entries: 0 };
    let Some(file) =
        dir.and_then(|dir| if_found(dir.open(Path::new(name), Open::READ)).transpose()).transpose()?
    else {
        return Ok(index);
    };
    index.exists = true;
    index.bytes = file.metadata()?.len;
    let mut reader = ChunkReader::new(file, 0, index.bytes);
    let mut chunk = Vec::new();
    let filled = |line: &[u8]| u64::from(!line.trim_ascii().is_empty());
    while reader.next(&mut chunk)?.is_some() {
        // Only whole entries, as a program that appends writes them: a division instead of a count.
        let regular = chunk.len().is_multiple_of(17)
            && chunk.chunks_exact(17).all(|line| line.last() == Some(&b'\n') && line.first() != Some(&b'\n'));
        index.entries += if regular {
            (chunk.len() / 17) as u64
        } else {
            lines(&chunk, 0).map(|(_, line)| filled(line)).sum()
        };
    }
    index.entries += filled(reader.unterminated());
    Ok(index)
}

fn content_files(dir: Option<&dyn Dir>, home: &Home) -> io::Result<ContentFiles> {
    let path = home.join(CONTENT);
    let mut content = ContentFiles { path, exists: false, files: 0, sessions: 0, bytes: 0, user_turns: 0 };
    let Some(dir) = dir else { return Ok(content) };
    let Some(entries) = if_found(dir.entries(Path::new(CONTENT)))? else { return Ok(content) };
    content.exists = true;
    for entry in entries {
        let name = entry?.name;
        let session = name.to_str().and_then(|name| name.strip_suffix(".jsonl"));
        if !session.is_some_and(is_valid_session) {
            continue;
        }
        let Some(file) = if_found(dir.metadata(&Path::new(CONTENT).join(&name)))? else { continue };
        if file.kind == Kind::File {
            content.files += 1;
            content.sessions += u64::from(file.len > 0);
            content.bytes += file.len;
        }
    }
    Ok(content)
}

fn text(all: &All) -> String {
    let mut lines = vec!["derived state:".to_owned(), "index:".to_owned()];
    let index = |name: &str, what: &str, file: &IndexFile| {
        let path = file.path.display();
        if file.exists {
            format!("  {name}: {} {what}, {} bytes at {path}", grouped(file.entries), grouped(file.bytes))
        } else {
            format!("  {name}: missing at {path}")
        }
    };
    lines.push(index("id index", "hashes", &all.index.ids));
    lines.push(index("content index", "fingerprints", &all.index.content));
    lines.push("content:".to_owned());
    let content = &all.content;
    let path = content.path.display();
    lines.push(if content.exists {
        format!("  path: {path}")
    } else {
        format!("  status: not built yet at {path}")
    });
    lines.push(format!(
        "  sidecars: {} files, {} non-empty sessions, {} bytes",
        grouped(content.files),
        grouped(content.sessions),
        grouped(content.bytes)
    ));
    lines.push(format!("  user turns: {} ledger rows", grouped(content.user_turns)));
    lines.push("classifier:".to_owned());
    let classifier = &all.classifier;
    let rest = match classifier.missing {
        0 => "complete".to_owned(),
        missing => format!("{} missing", grouped(missing)),
    };
    lines.push(format!(
        "  turns: {} classified / {} total ({rest})",
        grouped(classifier.classified),
        grouped(classifier.turns)
    ));
    archive_text(&all.archive, &mut lines);
    lines.join("\n") + "\n"
}

fn archive_text(archive: &ArchiveStatus, lines: &mut Vec<String>) {
    lines.push(format!("archive: {}", archive.archive_path.display()));
    if !archive.exists {
        lines.push("  status: not built yet - run `burn state rebuild archive`".to_owned());
        return;
    }
    lines.push(format!("  schema version: {}", archive.archive_version));
    lines.push(format!(
        "  ledger cursor: {} / {} bytes ({})",
        grouped(archive.ledger_offset_bytes),
        grouped(archive.ledger_size_bytes),
        if archive.up_to_date { "up to date" } else { "tail pending" }
    ));
    lines.extend(archive.last_built_at.as_ref().map(|time| format!("  last build: {time}")));
    lines.extend(archive.last_rebuild_at.as_ref().map(|time| format!("  last full rebuild: {time}")));
    lines.push("  rows:".to_owned());
    let rows = &archive.row_counts;
    let counts = [
        ("sessions:", rows.sessions),
        ("turns:", rows.turns),
        ("tool_calls:", rows.tool_calls),
        ("tool_result_events:", rows.tool_result_events),
        ("compactions:", rows.compactions),
    ];
    lines.extend(counts.map(|(name, count)| format!("    {name:<20}{}", grouped(count))));
}
