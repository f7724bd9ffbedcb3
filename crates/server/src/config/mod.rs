//! The daemon's configuration: defaults, file, environment and flags, in rising priority (specification §6.1).
//!
//! `settings` is the one table of keys; the loader, the commented file of the first run and `ledger config show`
//! all go by it. A key of the file `tls.cert` is the variable `LEDGER_TLS_CERT` in the environment.

mod duration;
mod file;
mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

pub use settings::{SETTINGS, Setting};

/// Everything that can be set, with its default.
#[derive(Clone, PartialEq)]
pub struct Config {
    /// Address of the gRPC service, host and port.
    pub listen: String,
    /// Address of the HTTP gateway, host and port; `None` if there is none.
    pub http_listen: Option<String>,
    /// Log file; standard error if `None`.
    pub log_file: Option<PathBuf>,
    /// The one key of the simple form; `None` if there is none. Kept out of [`Debug`].
    pub api_key: Option<String>,
    /// Stores that requests with `api_key`, or without any key, may touch; empty means all.
    pub allowed_stores: Vec<String>,
    /// How long `ledger start` waits for the daemon to be ready.
    pub start_timeout: Duration,
    /// How long requests under way may take to end when the daemon stops.
    pub shutdown_timeout: Duration,
    /// Largest message that the daemon accepts, and size at which it cuts pages, in bytes.
    pub max_message_bytes: usize,
    /// Most connections at the same time.
    pub max_connections: usize,
    /// Most requests of one client under way: of one key, or of one connection without a key.
    pub max_requests_per_client: usize,
    /// Listen on other addresses than loopback although nobody has to prove who they are.
    pub allow_insecure: bool,
    /// Certificate chain of the gRPC service (PEM).
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM).
    pub tls_key: Option<PathBuf>,
    /// Authority that client certificates must come from (PEM); makes them compulsory.
    pub tls_ca: Option<PathBuf>,
    /// Whether the HTTP gateway uses them too.
    pub tls_http: bool,
    /// The database file.
    pub sqlite_path: PathBuf,
}

impl Config {
    /// The defaults for a configuration folder.
    pub fn defaults(folder: &Path) -> Self {
        Self {
            listen: "localhost:50051".to_owned(),
            http_listen: None,
            log_file: None,
            api_key: None,
            allowed_stores: Vec::new(),
            start_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(10),
            max_message_bytes: 4 << 20,
            max_connections: 4096,
            max_requests_per_client: 1024,
            allow_insecure: false,
            tls_cert: None,
            tls_key: None,
            tls_ca: None,
            tls_http: true,
            sqlite_path: folder.join("ledger.db"),
        }
    }

    /// The addresses that it listens on, and the keys that set them.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let http = self.http_listen.as_deref().map(|address| ("http_listen", address));
        std::iter::once(("listen", self.listen.as_str())).chain(http)
    }
}

impl Config {
    /// Whether the listener of this key of the configuration speaks TLS.
    pub(crate) fn encrypts(&self, key: &str) -> bool {
        self.tls_cert.is_some() && (key != "http_listen" || self.tls_http)
    }
}

/// Whether an address is for this machine only, as far as can be told without asking the network.
pub(crate) fn is_loopback(address: &str) -> bool {
    settings::host_and_port(address).is_ok_and(|(host, _)| {
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    })
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_map();
        for setting in SETTINGS {
            shown.entry(&setting.key, &setting.shown(self));
        }
        shown.finish()
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The configuration file.
    File(PathBuf),
    /// This variable of the environment.
    Environment(String),
    /// This flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Environment(variable) => write!(formatter, "environment variable {variable}"),
            Self::Flag(flag) => write!(formatter, "flag {flag}"),
        }
    }
}

/// Why a configuration cannot be used. Every text names the file (or variable, or flag) and the key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no home folder to look in.
    #[error("ledger: config: HOME is not set; name a file with --config")]
    NoHome,
    /// The file cannot be read.
    #[error("ledger: read config {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The file cannot be written.
    #[error("ledger: write config {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Everybody may write to the file, so it cannot be believed.
    #[error(
        "ledger: config {} can be written by every user of this machine; take that right away: chmod o-w {0}",
        path.display()
    )]
    WritableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// The file holds a key that others may read or replace.
    #[error(
        "ledger: config {} holds api_key, and other users of this machine can read or replace it; keep it to yourself: \
         chmod 600 {0}",
        path.display()
    )]
    KeyInReach {
        /// The file.
        path: PathBuf,
    },
    /// The file is no YAML.
    #[error("ledger: parse config {}: {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong, and in which line.
        reason: String,
    },
    /// There is no such key.
    #[error("ledger: config: unknown key {key:?} in {origin}; did you mean {nearest:?}?")]
    UnknownKey {
        /// The key.
        key: String,
        /// Where it stands.
        origin: Origin,
        /// The known key that is most like it.
        nearest: String,
    },
    /// The value cannot be used.
    #[error("ledger: config: {reason} (key {key} in {origin})")]
    Invalid {
        /// The key.
        key: &'static str,
        /// Where it was set.
        origin: Origin,
        /// What is wrong.
        reason: String,
    },
}

/// What is known beside the file: environment and flags.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// The configuration file, if one was named.
    pub config: Option<PathBuf>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
    /// Flags that were given: name of the flag, key, value.
    pub flags: Vec<(&'static str, &'static str, String)>,
}

impl Overrides {
    /// The variables of this process's environment that belong to Ledger.
    pub fn of_process() -> Self {
        let is_ours = |(name, _): &(String, String)| name.starts_with("LEDGER_") || name == "HOME";
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(is_ours)
            .collect();
        Self { environment, ..Self::default() }
    }

    /// The configuration file: the one that was named, or `$HOME/.ledger/config.yaml`.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`].
    pub fn path(&self) -> Result<PathBuf, ConfigError> {
        match (&self.config, self.environment.get("HOME")) {
            (Some(path), _) => {
                std::path::absolute(path).map_err(|source| ConfigError::Read { path: path.clone(), source })
            }
            (None, Some(home)) if !home.is_empty() => Ok(Path::new(home).join(".ledger/config.yaml")),
            (None, _) => Err(ConfigError::NoHome),
        }
    }
}

/// A configuration and where it comes from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// The configuration file, whether or not it exists.
    pub path: PathBuf,
    origins: BTreeMap<&'static str, Origin>,
}

impl Loaded {
    /// Reads the file if there is one, then applies environment and flags, then checks the whole.
    ///
    /// A file that was named with `--config` and is missing is an error, unless `may_be_missing`.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(overrides: &Overrides, may_be_missing: bool) -> Result<Self, ConfigError> {
        let path = overrides.path()?;
        let mut loaded =
            Self { config: Config::defaults(folder_of(&path)), path: path.clone(), origins: BTreeMap::new() };
        let may_be_missing = may_be_missing || overrides.config.is_none();
        if let Some(values) = file::read(&path, may_be_missing)? {
            loaded.apply_section("", &values, &Origin::File(path))?;
        }
        for setting in SETTINGS {
            let variable = setting.variable();
            if let Some(value) = overrides.environment.get(&variable) {
                loaded.apply(setting, &Value::String(value.clone()), Origin::Environment(variable))?;
            }
        }
        for (flag, key, value) in &overrides.flags {
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == *key) {
                loaded.apply(setting, &Value::String(value.clone()), Origin::Flag(flag))?;
            }
        }
        loaded.check()?;
        Ok(loaded)
    }

    /// Folder of the configuration file: the daemon keeps its PID file, keys and, by default, database there.
    pub fn folder(&self) -> &Path {
        folder_of(&self.path)
    }

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Writes the commented file of the first run, readable by its owner only; answers whether it was missing.
    ///
    /// # Errors
    /// [`ConfigError::Write`].
    pub fn write_first_file(&self) -> Result<bool, ConfigError> {
        file::write_first(&self.path, &self.config)
    }

    fn apply_section(&mut self, prefix: &str, values: &Value, origin: &Origin) -> Result<(), ConfigError> {
        let Value::Object(values) = values else {
            let Origin::File(path) = origin else { return Ok(()) };
            let reason = if prefix.is_empty() {
                "the file must hold keys and values".to_owned()
            } else {
                format!("{} must hold keys and values", prefix.trim_end_matches('.'))
            };
            return Err(ConfigError::Parse { path: path.clone(), reason });
        };
        for (name, value) in values {
            let key = format!("{prefix}{name}");
            let section = format!("{key}.");
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
                self.apply(setting, value, origin.clone())?;
            } else if SETTINGS.iter().any(|setting| setting.key.starts_with(&section)) {
                if !value.is_null() {
                    self.apply_section(&section, value, origin)?;
                }
            } else {
                let nearest = settings::nearest(&key).to_owned();
                return Err(ConfigError::UnknownKey { key, origin: origin.clone(), nearest });
            }
        }
        Ok(())
    }

    fn apply(&mut self, setting: &Setting, value: &Value, origin: Origin) -> Result<(), ConfigError> {
        if value.is_null() {
            return Ok(());
        }
        if let Err(reason) = setting.set(&mut self.config, value) {
            return Err(ConfigError::Invalid { key: setting.key, origin, reason });
        }
        self.origins.insert(setting.key, origin);
        Ok(())
    }

    /// What must hold between keys.
    fn check(&self) -> Result<(), ConfigError> {
        let config = &self.config;
        let invalid = |key: &'static str, reason: &str| {
            Err(ConfigError::Invalid { key, origin: self.origin(key), reason: reason.to_owned() })
        };
        match (&config.tls_cert, &config.tls_key, &config.tls_ca) {
            (Some(_), None, _) => invalid("tls.cert", "tls.cert requires tls.key"),
            (None, Some(_), _) => invalid("tls.key", "tls.key requires tls.cert"),
            (None, None, Some(_)) => invalid("tls.ca", "tls.ca requires tls.cert and tls.key"),
            _ => Ok(()),
        }
    }

    /// Refuses an address that others can reach while nobody has to prove who they are.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`], which names the ways out.
    pub fn check_exposure(&self, has_named_keys: bool) -> Result<(), ConfigError> {
        let config = &self.config;
        for (key, address) in config.addresses() {
            let asks_for_certificates = config.tls_ca.is_some() && config.encrypts(key);
            let is_guarded = config.api_key.is_some() || has_named_keys || asks_for_certificates;
            if is_guarded || config.allow_insecure || is_loopback(address) {
                continue;
            }
            let reason = format!(
                "{key} address {address:?} can be reached from other machines, and nobody would have to prove who they \
                 are: make a key with `ledger key create`, or ask for client certificates with tls.ca, or listen on \
                 localhost; allow_insecure: true forces it"
            );
            return Err(ConfigError::Invalid { key, origin: self.origin(key), reason });
        }
        Ok(())
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests;
