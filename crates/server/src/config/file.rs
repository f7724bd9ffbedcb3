//! The configuration file: reading it, and the commented one that the first run writes.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use serde_json::Value;

use super::{Config, ConfigError, SETTINGS, Setting};

/// Longest file that is read.
const MAX_BYTES: u64 = 1 << 20;

/// The values of the file; `None` if it is missing and may be, or has only comments.
pub(super) fn read(path: &Path, may_be_missing: bool) -> Result<Option<Value>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && may_be_missing => return Ok(None),
        file => file.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.mode();
    if mode & 0o002 != 0 {
        return Err(ConfigError::WritableByOthers { path: path.to_owned() });
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
    let parsed: Option<Value> = serde_saphyr::from_str(&text)
        .map_err(|error| ConfigError::Parse { path: path.to_owned(), reason: error.to_string() })?;
    let holds_key = |values: &Value| values.get("api_key").is_some_and(|key| !key.is_null() && key != "");
    if mode & 0o077 != 0 && parsed.as_ref().is_some_and(holds_key) {
        return Err(ConfigError::KeyInReach { path: path.to_owned() });
    }
    Ok(parsed.filter(|values| !values.is_null()))
}

/// Writes the commented file unless there is one.
pub(super) fn write_first(path: &Path, config: &Config) -> Result<bool, ConfigError> {
    let failed = |source| ConfigError::Write { path: path.to_owned(), source };
    let folder = super::folder_of(path);
    DirBuilder::new().recursive(true).mode(0o750).create(folder).map_err(failed)?;
    // A file of another name and a rename, so that nobody meets half of it.
    let draft = folder.join(format!(".config.{}.new", std::process::id()));
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(failed)?;
    let written = file.write_all(commented(config).as_bytes()).and_then(|()| file.sync_all());
    // A link does not replace what is there, a rename would.
    let linked = written.and_then(|()| std::fs::hard_link(&draft, path));
    std::fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

/// Every key with its meaning; those that are not live are comments.
fn commented(config: &Config) -> String {
    let mut text = String::from(
        "# Configuration of the Ledger daemon: read by `ledger start`, checked by `ledger config check`.\n\
         # A commented key shows its default. The environment (LEDGER_LISTEN, LEDGER_TLS_CERT, ...) and flags win over\n\
         # this file.\n",
    );
    let mut sections: Vec<&str> = Vec::new();
    for setting in SETTINGS.iter().filter(|setting| !setting.help.is_empty()) {
        let mut path: Vec<&str> = setting.key.split('.').collect();
        let name = path.pop().unwrap_or_default();
        let shared = path.iter().zip(&sections).take_while(|(new, old)| new == old).count();
        text.push('\n');
        for (depth, section) in path.iter().enumerate().skip(shared) {
            let prefix = path.iter().take(depth.saturating_add(1)).copied().collect::<Vec<_>>().join(".");
            let is_live = |other: &Setting| other.is_live && other.key.starts_with(&format!("{prefix}."));
            push_line(&mut text, depth, SETTINGS.iter().any(is_live), &format!("{section}:"));
        }
        for line in setting.help {
            push_line(&mut text, path.len(), true, &format!("# {line}"));
        }
        push_line(&mut text, path.len(), setting.is_live, &format!("{name}: {}", setting.shown(config)));
        sections = path;
    }
    text
}

fn push_line(text: &mut String, depth: usize, is_live: bool, line: &str) {
    let indent = "  ".repeat(depth);
    // A comment keeps the place that the line has without it.
    let mark = if is_live { "" } else { "# " };
    text.push_str(&format!("{mark}{indent}{line}\n"));
}
