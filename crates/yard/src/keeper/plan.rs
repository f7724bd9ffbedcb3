//! What a keeper is told, and what it answers: one JSON document on its standard input, lines of JSON on its standard output.
//!
//! The plan holds the variables of the service in the clear, so it goes through a pipe and nowhere else.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ledger::Context;

/// Largest plan, in bytes.
pub(super) const MAX_PLAN_BYTES: u64 = 4 << 20;

/// Everything a keeper needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    /// The ledger home.
    pub(crate) home: PathBuf,
    /// The context, relative to the ledger home.
    pub(crate) context_name: PathBuf,
    /// The context to begin with.
    pub(crate) context: Context,
    /// The whole environment of the service.
    pub(crate) environment: BTreeMap<String, String>,
    /// Whether context and logs are for the owner only.
    pub(crate) is_private: bool,
    /// Folder of the locks on ports.
    pub(crate) ports: PathBuf,
    /// Path of the request that tells whether the service is ready.
    pub(crate) ready_path: String,
    /// How long it may take to get ready.
    pub(crate) ready_timeout: Duration,
    /// What happens when it ends by itself.
    pub(crate) restart: RestartPolicy,
    /// How long it may take to end when told to.
    pub(crate) stop_timeout: Duration,
    /// Length of a log file.
    pub(crate) max_log_bytes: u64,
}

/// What happens when a service that was ready ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct RestartPolicy {
    /// How often in a row it is started again; 0 for never.
    pub limit: u32,
    /// Pause before the first new start in milliseconds; it doubles with each.
    pub backoff_ms: u64,
    /// Longest pause in milliseconds.
    pub max_backoff_ms: u64,
    /// A service that ran this long in seconds is well again: counting begins anew.
    pub reset_after_seconds: u64,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self { limit: 5, backoff_ms: 500, max_backoff_ms: 30_000, reset_after_seconds: 60 }
    }
}

impl RestartPolicy {
    /// Pause before the start after `restarts` earlier ones.
    pub(crate) fn pause(&self, restarts: u32) -> Duration {
        let factor = 1_u64.checked_shl(restarts.min(32)).unwrap_or(u64::MAX);
        Duration::from_millis(self.backoff_ms.saturating_mul(factor).min(self.max_backoff_ms))
    }
}

/// What a keeper answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It holds the port.
    Held,
    /// The process of the service is there, and is asked whether it is ready.
    Spawned {
        /// Its process id.
        pid: u32,
        /// What is asked for.
        url: String,
        /// How long it may take.
        timeout_ms: u64,
    },
    /// The service answers.
    Ready {
        /// What was asked for.
        url: String,
        /// Status of the answer.
        status: u16,
        /// How long it took.
        duration_ms: u64,
    },
    /// The service cannot be started, ended before it answered, or never answered.
    Failed {
        /// Why.
        reason: String,
        /// How long it had, in milliseconds, if it runs and did not answer.
        asked_for_ms: Option<u64>,
    },
}
