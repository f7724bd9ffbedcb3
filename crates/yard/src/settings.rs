//! What can be set: by flags, and in the file `yard.yaml`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::cargo::{PrefixError, PrefixTemplate};
use crate::keeper::RestartPolicy;
use crate::kind::{KindError, KindSetting, Kinds};
use crate::ledger::MAX_LOG_BYTES;

/// Name of the configuration in the working directory.
pub const CONFIG_FILE: &str = "yard.yaml";
/// Largest configuration that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// How services are started.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folders that are searched.
    pub cargo_homes: Vec<PathBuf>,
    /// Where the ledger is.
    pub ledger_home: PathBuf,
    /// Address on which services listen.
    pub listen_host: String,
    /// First port.
    pub port_base: u16,
    /// How prefixes are made.
    pub prefix: PrefixTemplate,
    /// Files and folders that are not looked at, relative to a root.
    pub ignore: GlobSet,
    /// Kinds of services.
    pub kinds: Kinds,
    /// What happens when a service ends by itself.
    pub restart: RestartPolicy,
    /// How long a service may take to end when told to.
    pub stop_timeout: Duration,
    /// Length of a log file in bytes after which it is rotated.
    pub max_log_bytes: u64,
    /// The program, and its first arguments, that runs [`keeper::run`](crate::keeper::run).
    pub keeper: Vec<OsString>,
}

/// The file `yard.yaml`. All keys may be left out.
///
/// ```yaml
/// prefix: /apps/{kind}/{path}      # or /{path}, as the original program did
/// ignore: ["**/node_modules"]
/// stop_timeout_seconds: 5
/// max_log_bytes: 10485760
/// restart: {limit: 5, backoff_ms: 500, max_backoff_ms: 30000, reset_after_seconds: 60}
/// kinds:
///   datasette: {enabled: true}
///   duck:
///     match: {extensions: [.duckdb]}
///     command: duck-server
///     args: ["--port", "{port}", "{path}"]
///     env: {BASE: "{prefix}"}
///     ready: {path: "{prefix}/", timeout_seconds: 30}
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    prefix: Option<String>,
    ignore: Vec<String>,
    stop_timeout_seconds: Option<u64>,
    max_log_bytes: Option<u64>,
    restart: RestartPolicy,
    kinds: BTreeMap<String, KindSetting>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("yard: {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The file is no configuration.
    #[error("yard: {}: {reason}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// A pattern is none.
    #[error("yard: ignore: {0}")]
    Pattern(#[from] globset::Error),
    /// The prefix cannot be used.
    #[error(transparent)]
    Prefix(#[from] PrefixError),
    /// A kind cannot be used.
    #[error(transparent)]
    Kind(#[from] KindError),
}

impl ConfigFile {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else; an unknown key is an error that names the known ones.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::File { path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        io::Read::read_to_string(&mut io::Read::take(file, MAX_CONFIG_BYTES), &mut text).map_err(failed)?;
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(&text)
            .map_err(|error| SettingsError::Yaml { path: path.to_owned(), reason: error.to_string() })
    }

    /// Reads `yard.yaml` of the working directory, if there is one.
    ///
    /// # Errors
    /// As [`ConfigFile::read`].
    pub fn of_working_directory() -> Result<Self, SettingsError> {
        let path = Path::new(CONFIG_FILE);
        if path.exists() { Self::read(path) } else { Ok(Self::default()) }
    }
}

impl ConfigFile {
    /// Flags win over the file; patterns are added to those of the file.
    pub fn override_with(&mut self, prefix: Option<String>, ignore: Vec<String>) {
        self.prefix = prefix.or(self.prefix.take());
        self.ignore.extend(ignore);
    }
}

impl Settings {
    /// Defaults, and what the configuration says. `keeper` is the command that runs a keeper.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn new(config: ConfigFile, keeper: Vec<OsString>) -> Result<Self, SettingsError> {
        let mut ignore = GlobSetBuilder::new();
        for pattern in &config.ignore {
            ignore.add(Glob::new(pattern)?);
        }
        Ok(Self {
            cargo_homes: vec![PathBuf::from("./cargo.d")],
            ledger_home: PathBuf::from("./ledger.d"),
            listen_host: "127.0.0.1".to_owned(),
            port_base: 3000,
            prefix: config.prefix.map(|prefix| prefix.parse()).transpose()?.unwrap_or_default(),
            ignore: ignore.build()?,
            kinds: Kinds::with(config.kinds)?,
            restart: config.restart,
            stop_timeout: Duration::from_secs(config.stop_timeout_seconds.unwrap_or(5)),
            max_log_bytes: config.max_log_bytes.unwrap_or(MAX_LOG_BYTES).max(4096),
            keeper,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_an_error_that_names_the_known_ones() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("yard.yaml");
        std::fs::write(&path, "restarts: {limit: 1}\n").unwrap();
        let error = ConfigFile::read(&path).unwrap_err().to_string();
        assert!(error.contains("restarts") && error.contains("restart"), "{error}");
    }

    #[test]
    fn the_example_of_the_documentation_is_a_configuration() {
        let source = include_str!("settings.rs");
        let example: String = source
            .lines()
            .skip_while(|line| *line != "/// ```yaml")
            .skip(1)
            .take_while(|line| *line != "/// ```")
            .map(|line| format!("{}\n", line.trim_start_matches("///").strip_prefix(' ').unwrap_or("")))
            .collect();
        let config: ConfigFile = serde_saphyr::from_str(&example).unwrap();
        let settings = Settings::new(config, Vec::new()).unwrap();
        assert!(settings.kinds.iter().any(|kind| kind.name == "duck" && kind.ready.timeout_seconds == 30));
    }
}
