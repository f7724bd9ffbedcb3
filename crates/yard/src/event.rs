//! What happens in a round, told as it happens (specification §11.1).
//!
//! The names of the types and their fields are those of the original program. What it has twice (`complete` beside
//! `session_end`) or never reaches (`reachability_probe_skipped`) is left out; what it has no event for, the end of a
//! service, is [`EventKind::Stopped`].

use std::fmt;
use std::path::PathBuf;
use std::time::Instant;

use serde::Serialize;

use crate::ledger::{Moment, Paths, SessionContext};
use crate::start::Summary;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// When.
    pub ts: Moment,
    /// Milliseconds since the round began.
    pub t_ms: u64,
    /// The run in which it happened.
    pub session: SessionContext,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum EventKind {
    /// A round begins.
    SessionStart {},
    /// A file that can be served was found.
    Discovered {
        /// The service.
        service_id: String,
        /// The file.
        provenance: String,
    },
    /// Whether its service is to be started: not if it runs.
    ExposeDecision {
        /// The service.
        service_id: String,
        /// Whether it is.
        should_spawn: bool,
    },
    /// It has a port.
    PortAllocated {
        /// The service.
        service_id: String,
        /// Address.
        listen_host: String,
        /// Port.
        port: u16,
        /// `http://HOST:PORT`.
        base_url: String,
    },
    /// It has its files in the ledger.
    PathsResolved {
        /// The service.
        service_id: String,
        /// The files.
        paths: Paths,
    },
    /// Its context is written.
    ContextWritten {
        /// The service.
        service_id: String,
        /// The context.
        path: PathBuf,
    },
    /// Its keeper is started.
    Spawning {
        /// The service.
        service_id: String,
        /// Path under which a proxy offers it.
        proxy_endpoint_prefix: String,
    },
    /// Its process is there.
    Spawned {
        /// The service.
        service_id: String,
        /// The process.
        pid: u32,
    },
    /// It is asked whether it is ready.
    ReachabilityProbeStarted {
        /// The service.
        service_id: String,
        /// What is asked for.
        url: String,
        /// How long it may take.
        timeout_ms: u64,
    },
    /// It answers.
    ServiceReachable {
        /// The service.
        service_id: String,
        /// What was asked for.
        url: String,
        /// Status of the answer.
        status: u16,
        /// How long it took to get ready.
        duration_ms: u64,
    },
    /// It never answered.
    ServiceUnreachable {
        /// The service.
        service_id: String,
        /// How long it had.
        duration_ms: u64,
        /// Why not.
        error: String,
    },
    /// A service was ended, because its file is gone or another one, or because nobody kept it.
    Stopped {
        /// The service.
        service_id: String,
        /// Its process.
        pid: Option<u32>,
        /// Why it still runs, if it does.
        error: Option<String>,
    },
    /// A service could not be started.
    Error {
        /// The service.
        service_id: String,
        /// Where it went wrong.
        phase: Phase,
        /// Why.
        error: String,
    },
    /// The round is over.
    SessionEnd {
        /// What became of everything.
        summary: Summary,
        /// How long it took, in milliseconds.
        total_ms: u64,
    },
}

/// Where a start goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It could not be given a name, because another file has it.
    Expose,
    /// Its keeper or its process could not be started, or ended before it answered.
    Spawn,
    /// It did not answer.
    Probe,
}

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// What an operator wants to know.
    Essential,
    /// Every step.
    Comprehensive,
}

impl EventKind {
    /// Whether it is told at this verbosity.
    pub fn is_told(&self, verbosity: Verbosity) -> bool {
        let is_detail = matches!(
            self,
            Self::Discovered { .. }
                | Self::ExposeDecision { .. }
                | Self::PathsResolved { .. }
                | Self::ContextWritten { .. }
                | Self::ReachabilityProbeStarted { .. }
        );
        verbosity == Verbosity::Comprehensive || !is_detail
    }
}

/// One line without the time.
impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = |pid: &Option<u32>| pid.map_or_else(String::new, |pid| format!(" [{pid}]"));
        match self {
            Self::SessionStart {} => write!(formatter, "session begins"),
            Self::Discovered { service_id, provenance } => {
                write!(formatter, "found {service_id} ({provenance})")
            }
            Self::ExposeDecision { service_id, should_spawn: true } => {
                write!(formatter, "{service_id} is to be started")
            }
            Self::ExposeDecision { service_id, .. } => write!(formatter, "{service_id} runs already"),
            Self::PortAllocated { service_id, base_url, .. } => {
                write!(formatter, "{service_id} gets {base_url}")
            }
            Self::PathsResolved { service_id, paths } => {
                write!(formatter, "{service_id} logs to {} and {}", paths.stdout, paths.stderr)
            }
            Self::ContextWritten { service_id, path } => {
                write!(formatter, "{service_id} is recorded in {}", path.display())
            }
            Self::Spawning { service_id, proxy_endpoint_prefix } => {
                write!(formatter, "starting {service_id} for {proxy_endpoint_prefix}")
            }
            Self::Spawned { service_id, pid } => write!(formatter, "{service_id} has process {pid}"),
            Self::ReachabilityProbeStarted { service_id, url, timeout_ms } => {
                write!(formatter, "asking {service_id} at {url} for up to {timeout_ms} ms")
            }
            Self::ServiceReachable { service_id, status, duration_ms, .. } => {
                write!(formatter, "{service_id} answers {status} after {duration_ms} ms")
            }
            Self::ServiceUnreachable { service_id, duration_ms, .. } => {
                write!(formatter, "{service_id} did not answer within {duration_ms} ms")
            }
            Self::Stopped { service_id, pid: process, error: None } => {
                write!(formatter, "{service_id}{} has ended", pid(process))
            }
            Self::Stopped { service_id, pid: process, error: Some(error) } => {
                write!(formatter, "{service_id}{} has not ended: {error}", pid(process))
            }
            Self::Error { service_id, error, .. } => {
                write!(formatter, "{service_id} could not be started: {error}")
            }
            Self::SessionEnd { summary, total_ms } => write!(
                formatter,
                "session ends after {total_ms} ms: {} started, {} ran already, {} failed",
                summary.spawned.len(),
                summary.skipped.len(),
                summary.errored.len()
            ),
        }
    }
}

/// Who listens, and since when there is something to hear.
pub(crate) struct Events {
    listener: Option<Listener>,
    session: SessionContext,
    since: Instant,
}

/// Hears of events.
pub type Listener = Box<dyn Fn(&Event) + Send + Sync>;

impl Events {
    pub(crate) fn none(session: SessionContext) -> Self {
        Self { listener: None, session, since: Instant::now() }
    }

    pub(crate) fn listen(&mut self, listener: Listener) {
        self.listener = Some(listener);
    }

    /// A round begins.
    pub(crate) fn begin(&mut self, started_at: Moment) {
        self.session.started_at = started_at;
        self.since = Instant::now();
        self.tell(|| EventKind::SessionStart {});
    }

    /// The round is over.
    pub(crate) fn end(&self, summary: &Summary) {
        self.tell(|| EventKind::SessionEnd { summary: summary.clone(), total_ms: self.elapsed_ms() });
    }

    /// Tells the listener, if there is one; otherwise nothing is made.
    pub(crate) fn tell(&self, kind: impl FnOnce() -> EventKind) {
        if let Some(listener) = &self.listener {
            let (ts, t_ms) = (Moment::now(), self.elapsed_ms());
            listener(&Event { ts, t_ms, session: self.session.clone(), kind: kind() });
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Events").field("is_heard", &self.listener.is_some()).finish()
    }
}
