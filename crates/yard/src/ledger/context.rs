//! `NAME.context.json`: all that is known of one service, in one file.
//!
//! The file carries two shapes at once, so that readers of either work: the flat keys of the request ("Context Fields") and
//! the nested ones of the original program (specification §5.2). They collide nowhere at the top level. Four keys are ours:
//!
//! | key | meaning |
//! |---|---|
//! | `state` | `name` (`starting`, `ready`, `restarting`, `stopping`, `stopped`, `failed`), `since`, `reason`, `restarts`, and of the last end of the process `exitCode` or `signal`, and `exitedAt` |
//! | `file` | `device` and `inode` of the data file when the service was started |
//! | `process` | identity of the service: pid, start in clock ticks since boot, id of the boot |
//! | `keeper` | the same of its keeper |
//!
//! The keeper writes the file: before the service is started, and at every change of its state. It replaces it whole
//! (write beside, sync, rename), so nobody ever reads half a file. `pid` is `null` before the first start and stays
//! when the process has ended. Values from a `.env` file are masked, and the file has then mode 0600.

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use crate::process::Identity;

/// What stands in the place of a value that may be a secret.
pub const MASK: &str = "(masked)";

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// Unique name of the service: its file name, or its relative path if another has that file name.
    pub service_id: String,
    /// Name of the session folder.
    pub session_id: String,
    /// Absolute path of the data file, free of links.
    pub provenance: String,
    /// The same relative to the cargo root.
    pub relative_path: String,
    /// Name of the kind.
    pub kind: String,
    /// Port of the service.
    pub port: u16,
    /// Path under which a proxy offers it.
    pub proxy_prefix: String,
    /// Process id, once there was one.
    pub pid: Option<u32>,
    /// When the process was started last.
    pub spawned_at: Option<Moment>,
    /// Program.
    pub executable: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Same as `spawned_at`, in the original's words.
    pub started_at: Option<Moment>,
    /// The service, in the original's words.
    pub service: Service,
    /// The data file, in the original's words.
    pub supplier: Supplier,
    /// The run of the yard, in the original's words.
    pub session: Session,
    /// Where the service listens.
    pub listen: Listen,
    /// How it was started.
    pub spawned: Spawned,
    /// The files of the ledger that belong to it.
    pub paths: Paths,
    /// Which file it was when the service was started: another one under the same name has another inode.
    pub file: DataFile,
    /// How it is.
    pub state: State,
    /// The process, once there was one.
    pub process: Option<Identity>,
    /// Its keeper.
    pub keeper: Option<Identity>,
}

/// Which file a data file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
}

/// `service` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Path as walked.
    pub id: String,
    /// Name of the kind.
    pub kind: String,
    /// `KIND:ID`.
    pub label: String,
    /// Same as `proxyPrefix`.
    pub proxy_endpoint_prefix: String,
    /// Base URL and prefix.
    pub upstream_url: String,
}

/// `supplier` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Supplier {
    /// `embedded`.
    pub nature: String,
    /// Name of the kind.
    pub kind: String,
    /// The root.
    pub src_path: SrcPath,
    /// Path as walked.
    pub location: String,
    /// File name.
    pub label: String,
    /// Path as walked.
    pub db_path: String,
}

/// `supplier.srcPath` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrcPath {
    /// The root as spelled.
    pub path: String,
    /// What was looked for.
    #[serde(default)]
    pub globs: Vec<String>,
}

/// `session` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Session {
    /// UUID of the run.
    pub session_id: String,
    /// Who ran.
    pub host: Host,
    /// Since when.
    pub started_at: Moment,
}

/// `session.host` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// `spawn`.
    pub identity: String,
    /// Process id of the yard.
    pub pid: u32,
}

/// `listen` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listen {
    /// Address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `http://HOST:PORT`.
    pub base_url: String,
    /// What is asked to know whether the service is ready.
    pub probe_url: String,
}

/// `spawned` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spawned {
    /// Process id, once there was one.
    pub pid: Option<u32>,
    /// What is run.
    pub plan: SpawnPlan,
}

/// `spawned.plan` of the original.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpawnPlan {
    /// Program.
    pub command: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// Variables that the yard adds; values from `.env` are masked.
    pub env: std::collections::BTreeMap<String, String>,
    /// Label.
    pub tag: String,
    /// Working directory.
    pub cwd: String,
    /// Absolute.
    pub stdout_log_path: String,
    /// Absolute.
    pub stderr_log_path: String,
}

/// `paths` of the original: absolute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paths {
    /// This file.
    pub context: String,
    /// Log of standard output.
    pub stdout: String,
    /// Log of standard error.
    pub stderr: String,
}

/// How a service is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Which of the states.
    pub name: StateName,
    /// Since when.
    pub since: Moment,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often it was started again after it had ended by itself.
    #[serde(default)]
    pub restarts: u32,
    /// With which code the process ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Which signal ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// When it ended last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exited_at: Option<Moment>,
}

/// The states of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateName {
    /// Started, has not answered yet.
    Starting,
    /// Has answered.
    Ready,
    /// Ended by itself; will be started again.
    Restarting,
    /// Was told to end.
    Stopping,
    /// Has ended because it was told to.
    Stopped,
    /// Has ended by itself, or never got ready, and is not started again.
    Failed,
}

impl StateName {
    /// Whether a service in this state has a keeper that looks after it.
    pub fn is_kept(self) -> bool {
        !matches!(self, Self::Stopped | Self::Failed)
    }

    /// The name, as in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Restarting => "restarting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }
}

impl State {
    /// A service that is about to start.
    pub(crate) fn starting() -> Self {
        let since = Moment::now();
        Self {
            name: StateName::Starting,
            since,
            reason: None,
            restarts: 0,
            exit_code: None,
            signal: None,
            exited_at: None,
        }
    }

    /// Goes over to another state now; the facts of the last end stay.
    pub(crate) fn become_now(&mut self, name: StateName, reason: Option<String>) {
        self.name = name;
        self.since = Moment::now();
        self.reason = reason;
    }
}

impl Context {
    /// The file's content: two spaces of indentation, one newline at the end.
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// A point in time; in JSON ISO 8601 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Moment(pub Timestamp);

impl Moment {
    /// Now, to the millisecond.
    pub fn now() -> Self {
        let now = Timestamp::now();
        Self(Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now))
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:.3}", self.0)
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
