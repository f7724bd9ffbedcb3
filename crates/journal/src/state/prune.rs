//! `state prune`: removing content that is older than its retention.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::Args;
use super::format::{counted, size};
use super::{Context, StateError, usage};
use crate::config::{Config, Retention};
use crate::content::Content;
use crate::json::quote;

pub(super) fn run(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    let retention = match args.option("days") {
        Some(value) => match Retention::parse(value.unwrap_or_default()) {
            Some(retention) => retention,
            None => {
                let message = format!(
                    "burn state prune: invalid --days value: {} (expected a number or \"forever\")",
                    value.map_or_else(|| "true".to_owned(), quote)
                );
                return context.usage(&message, usage::STATE, 2);
            }
        },
        None => {
            let mut warnings = Vec::new();
            let config = Config::load(&context.home, &mut |line| warnings.push(line));
            for line in warnings {
                writeln!(context.err, "{line}")?;
            }
            config.retention
        }
    };
    let Some(millis) = retention.millis() else {
        writeln!(context.out, "content retention=forever - nothing to prune")?;
        return Ok(0);
    };
    let age = Duration::try_from_secs_f64(millis / 1000.0).unwrap_or(Duration::MAX);
    let recoverable = if is_forced(args) { None } else { Some(recoverable_sessions()) };
    let is_recoverable = |session: &str| recoverable.as_ref().is_some_and(|known| known.contains(session));
    let pruned = Content::new(context.home.clone())
        .prune(age, recoverable.as_ref().map(|_| &is_recoverable as &dyn Fn(&str) -> bool))?;
    writeln!(
        context.out,
        "pruned {} ({})",
        counted(pruned.files_deleted, "content file"),
        size(pruned.bytes_freed, "bytes")
    )?;
    if pruned.skipped_recoverable > 0 {
        let kept = counted(pruned.skipped_recoverable, "recoverable sidecar");
        writeln!(context.out, "kept {kept} whose source files still exist")?;
        writeln!(context.out, "use --force to remove them as well")?;
    }
    Ok(0)
}

fn is_forced(args: &Args) -> bool {
    let wish = std::env::var("RELAYBURN_PRUNE_FORCE").unwrap_or_default().trim().to_lowercase();
    args.switch("force") || matches!(wish.as_str(), "1" | "true" | "yes" | "on")
}

/// The sessions whose logs are still where the tools keep them.
fn recoverable_sessions() -> HashSet<String> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let mut sessions = HashSet::new();
    collect(&home.join(".claude/projects"), 1, &mut |name| {
        sessions.extend(name.strip_suffix(".jsonl").map(ToOwned::to_owned));
    });
    collect(&home.join(".codex/sessions"), 8, &mut |name| {
        // …-<uuid>.jsonl
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        let uuid = stem.len().checked_sub(36).and_then(|start| stem.get(start..));
        sessions.extend(uuid.filter(|uuid| is_uuid(uuid)).map(ToOwned::to_owned));
    });
    collect(&home.join(".local/share/opencode/storage/session"), 8, &mut |name| {
        sessions.extend(name.strip_suffix(".json").map(ToOwned::to_owned));
    });
    sessions
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(index, byte)| match index {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// Names of the files down to some depth. What cannot be read holds nothing that could be recovered.
fn collect(folder: &Path, depth: u32, each: &mut dyn FnMut(&str)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && depth > 0 {
            collect(&entry.path(), depth - 1, each);
        } else if kind.is_file()
            && let Some(name) = entry.file_name().to_str()
        {
            each(name);
        }
    }
}
