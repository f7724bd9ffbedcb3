//! The table of keys: what each means, how it is read and how it is shown.

use std::path::PathBuf;

use ledger_streams::StoreName;
use serde_json::{Value, json};

use super::{Config, duration};

/// One key of the configuration.
pub struct Setting {
    /// Its name; a dot stands between a section and its keys.
    pub key: &'static str,
    /// What it does, for the commented file: one string per line. None if it does nothing in this version.
    pub help: &'static [&'static str],
    /// Whether the file of the first run sets it; the others stand there as comments.
    pub(super) is_live: bool,
    is_secret: bool,
    set: fn(&mut Config, &Value) -> Result<(), String>,
    get: fn(&Config) -> Value,
}

impl Setting {
    /// The variable of the environment that overrides it.
    pub fn variable(&self) -> String {
        format!("LEDGER_{}", self.key.replace('.', "_").to_ascii_uppercase())
    }

    /// Its value as JSON, which is also YAML; a secret is hidden.
    pub fn shown(&self, config: &Config) -> String {
        let value = (self.get)(config);
        if self.is_secret && value != "" { "\"***\"".to_owned() } else { value.to_string() }
    }

    pub(super) fn set(&self, config: &mut Config, value: &Value) -> Result<(), String> {
        (self.set)(config, value)
    }
}

const fn setting(
    key: &'static str,
    help: &'static [&'static str],
    set: fn(&mut Config, &Value) -> Result<(), String>,
    get: fn(&Config) -> Value,
) -> Setting {
    Setting { key, help, is_live: false, is_secret: false, set, get }
}

const fn live(setting: Setting) -> Setting {
    Setting { is_live: true, ..setting }
}

const fn secret(setting: Setting) -> Setting {
    Setting { is_secret: true, ..setting }
}

/// Every key, in the order of the file.
pub const SETTINGS: &[Setting] = &[
    live(setting(
        "listen",
        &[
            "Address of the gRPC service. Other machines can reach it only if it is not a loopback address; then a",
            "key or a client certificate is compulsory.",
        ],
        |config, value| {
            config.listen = address("listen", value)?;
            Ok(())
        },
        |config| json!(config.listen),
    )),
    setting(
        "http_listen",
        &[
            "Address of the HTTP gateway: the same calls as JSON, described at /openapi.json, and probes for",
            "orchestrators at /healthz and /readyz. The rule for `listen` holds here too. Empty means none.",
        ],
        |config, value| {
            let is_set = !text(value)?.is_empty();
            config.http_listen = is_set.then(|| address("http_listen", value)).transpose()?;
            Ok(())
        },
        |config| json!(config.http_listen.clone().unwrap_or_default()),
    ),
    setting(
        "log_file",
        &[
            "File for the log: JSON lines, readable by its owner only, set aside when it has grown to 16 MiB (three are",
            "kept). Empty means ledger.log beside this file, or standard error in the foreground.",
        ],
        |config, value| {
            config.log_file = path(value)?;
            Ok(())
        },
        |config| json!(config.log_file.clone().unwrap_or_default()),
    ),
    secret(setting(
        "api_key",
        &[
            "One key with all rights on allowed_stores. For several keys with names and rights of their own use",
            "`ledger key create`. LEDGER_API_KEY keeps it out of this file. Empty means none.",
        ],
        |config, value| {
            config.api_key = Some(text(value)?).filter(|key| !key.is_empty());
            Ok(())
        },
        |config| json!(config.api_key.clone().unwrap_or_default()),
    )),
    setting(
        "allowed_stores",
        &["Stores that requests with api_key, or without any key, may touch. Empty means all."],
        |config, value| {
            config.allowed_stores = list(value)?;
            for store in &config.allowed_stores {
                StoreName::new(store.as_str()).map_err(|error| error.to_string())?;
            }
            Ok(())
        },
        |config| json!(config.allowed_stores),
    ),
    setting(
        "allow_insecure",
        &["Listen on addresses that other machines can reach although nobody has to prove who they are."],
        |config, value| {
            config.allow_insecure = boolean(value)?;
            Ok(())
        },
        |config| json!(config.allow_insecure),
    ),
    setting(
        "start_timeout",
        &["How long `ledger start` waits for the daemon to be ready."],
        |config, value| {
            config.start_timeout = duration::parse(&text(value)?)?;
            Ok(())
        },
        |config| json!(duration::format(config.start_timeout)),
    ),
    setting(
        "shutdown_timeout",
        &["How long requests under way may take to end when the daemon is told to stop."],
        |config, value| {
            config.shutdown_timeout = duration::parse(&text(value)?)?;
            Ok(())
        },
        |config| json!(duration::format(config.shutdown_timeout)),
    ),
    setting(
        "max_message_bytes",
        &[
            "Largest message that is accepted. Pages are cut before they pass it. Clients of the original accept no more",
            "than 4 MiB.",
        ],
        |config, value| {
            config.max_message_bytes = bytes(value)?;
            Ok(())
        },
        |config| json!(config.max_message_bytes),
    ),
    setting(
        "max_connections",
        &["Most connections at the same time. One machine gets at most half of them, this one excepted."],
        |config, value| {
            config.max_connections = count(value)?;
            Ok(())
        },
        |config| json!(config.max_connections),
    ),
    setting(
        "max_requests_per_client",
        &[
            "Most requests of one client under way; more are refused. A client is a key, or a connection if there are no",
            "keys. Subscriptions and append sessions, which stay open, are counted for themselves.",
        ],
        |config, value| {
            config.max_requests_per_client = count(value)?;
            Ok(())
        },
        |config| json!(config.max_requests_per_client),
    ),
    setting(
        "tls.cert",
        &["Certificate chain (PEM); needs tls.key. The files may be replaced while the daemon runs."],
        |config, value| {
            config.tls_cert = path(value)?;
            Ok(())
        },
        |config| json!(config.tls_cert.clone().unwrap_or_default()),
    ),
    setting(
        "tls.key",
        &["Private key (PEM) of the certificate."],
        |config, value| {
            config.tls_key = path(value)?;
            Ok(())
        },
        |config| json!(config.tls_key.clone().unwrap_or_default()),
    ),
    setting(
        "tls.ca",
        &["Authority (PEM) that clients must show a certificate of."],
        |config, value| {
            config.tls_ca = path(value)?;
            Ok(())
        },
        |config| json!(config.tls_ca.clone().unwrap_or_default()),
    ),
    setting(
        "tls.http",
        &["Whether the HTTP gateway uses them too. Without TLS it speaks as that of the original does."],
        |config, value| {
            config.tls_http = boolean(value)?;
            Ok(())
        },
        |config| json!(config.tls_http),
    ),
    live(setting(
        "db.type",
        &["The database. This version serves sqlite."],
        |_, value| match text(value)?.as_str() {
            "sqlite" => Ok(()),
            other => Err(format!("unsupported database type {other:?} (registered: [sqlite])")),
        },
        |_| json!("sqlite"),
    )),
    live(setting(
        "db.sqlite.path",
        &["The database file."],
        |config, value| {
            config.sqlite_path = path(value)?.ok_or("the path is empty")?;
            Ok(())
        },
        |config| json!(config.sqlite_path),
    )),
    unused("db.postgres.dsn"),
    unused("db.mongodb.uri"),
    unused("db.mongodb.database"),
    unused("db.clickhouse.dsn"),
    setting(
        "hooks",
        &["Webhooks. This version has none: leave it empty."],
        |_, value| match value {
            Value::Array(hooks) if hooks.is_empty() => Ok(()),
            Value::String(hooks) if hooks.is_empty() => Ok(()),
            _ => Err("this version delivers no webhooks; remove hooks".to_owned()),
        },
        |_| json!([]),
    ),
];

/// A key of a database that `db.type` does not choose: files of the original may hold it.
const fn unused(key: &'static str) -> Setting {
    setting(key, &[], |_, value| text(value).map(drop), |_| json!(""))
}

/// The known key that is most like this one.
pub(super) fn nearest(key: &str) -> &'static str {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let distance = |known: &str| {
        let whole = strsim::osa_distance(&key.to_ascii_lowercase(), known);
        whole.min(strsim::osa_distance(&last(key), &last(known)).saturating_add(1))
    };
    SETTINGS.iter().map(|setting| setting.key).min_by_key(|known| distance(known)).unwrap_or_default()
}

/// Splits an address into host and port.
pub(super) fn host_and_port(listen: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = listen.rsplit_once(':').ok_or("missing port in address")?;
    let port = port.parse().map_err(|_| "the port is not a number below 65536")?;
    let host = match host.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').ok_or("missing ']' in address")?,
        None if host.contains(':') => return Err("too many colons in address; write [address]:port"),
        None => host,
    };
    Ok((host, port))
}

fn address(key: &str, value: &Value) -> Result<String, String> {
    let listen = text(value)?;
    host_and_port(&listen).map_err(|cause| format!("invalid {key} address {listen:?}: {cause}"))?;
    Ok(listen)
}

fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(format!("expected a text, found {other}")),
    }
}

fn path(value: &Value) -> Result<Option<PathBuf>, String> {
    let path = text(value)?;
    if path.is_empty() {
        return Ok(None);
    }
    // The daemon leaves the folder that it was started in.
    std::path::absolute(&path).map(Some).map_err(|error| format!("{path:?}: {error}"))
}

fn boolean(value: &Value) -> Result<bool, String> {
    match value {
        Value::Bool(value) => Ok(*value),
        Value::String(text) => text.parse().map_err(|_| format!("expected true or false, found {text:?}")),
        other => Err(format!("expected true or false, found {other}")),
    }
}

fn bytes(value: &Value) -> Result<usize, String> {
    within(value, 65_536..=268_435_456, "bytes")
}

fn count(value: &Value) -> Result<usize, String> {
    within(value, 1..=1_000_000, "requests or connections")
}

fn within(value: &Value, range: std::ops::RangeInclusive<usize>, unit: &str) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    number.and_then(|number| usize::try_from(number).ok()).filter(|number| range.contains(number)).ok_or_else(
        || format!("expected a number of {unit} from {} to {}, found {value}", range.start(), range.end()),
    )
}

/// A list; in the environment, with commas.
fn list(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Array(items) => items.iter().map(text).collect(),
        Value::String(text) => {
            Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
        }
        other => Err(format!("expected a list, found {other}")),
    }
}
