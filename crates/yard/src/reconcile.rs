//! The ledger compared with the processes that live (request "Reconciliation").
//!
//! It looks at one ledger home: at the latest context of every data file, not at history, and at the tagged processes
//! whose context lies in it (§15, 12, 20 and 26).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::ledger::{Home, HomeError, Liveness, Record, RecordProblem};
use crate::tagged::{Tagged, tagged};

/// What does not agree.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Drift {
    /// One line per disagreement.
    pub items: Vec<DriftItem>,
    /// Contexts that cannot be read.
    pub problems: Vec<String>,
    /// Services that are as the ledger says.
    pub agreeing: usize,
}

/// One disagreement.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum DriftItem {
    /// A process that carries the marks of a service of this ledger, which no context knows.
    ProcessWithoutLedger {
        /// The process.
        pid: u32,
        /// What it says it is.
        service_id: String,
        /// UUID of its run.
        session_id: String,
        /// The context that it names.
        context_path: PathBuf,
        /// Its command line.
        cmdline: String,
    },
    /// A context that says that the service runs, and it does not: it crashed together with its keeper, or the
    /// machine was restarted.
    LedgerWithoutProcess {
        /// The context.
        ledger_context_path: PathBuf,
        /// The process that is gone.
        pid: Option<u32>,
        /// The service.
        service_id: String,
        /// Name of its session.
        session_id: String,
    },
    /// A service that runs without a keeper: it will not be started again, and its end will not be known.
    ServiceWithoutKeeper {
        /// The context.
        ledger_context_path: PathBuf,
        /// The process.
        pid: Option<u32>,
        /// The service.
        service_id: String,
    },
}

impl Drift {
    /// Whether everything is as the ledger says.
    pub fn is_none(&self) -> bool {
        self.items.is_empty() && self.problems.is_empty()
    }

    /// Numbers of processes without a ledger, of ledger entries without a process, of services without a keeper.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0_usize; 3];
        for item in &self.items {
            let [process, ledger, keeper] = &mut counts;
            let count = match item {
                DriftItem::ProcessWithoutLedger { .. } => process,
                DriftItem::LedgerWithoutProcess { .. } => ledger,
                DriftItem::ServiceWithoutKeeper { .. } => keeper,
            };
            *count = count.saturating_add(1);
        }
        counts
    }
}

/// Compares a ledger home with the processes.
///
/// # Errors
/// When the ledger cannot be read at all.
pub fn reconcile(home: &Home) -> Result<Drift, HomeError> {
    let (records, problems) = home.present()?;
    Ok(Drift::between(&records, &problems, tagged(home.path())))
}

impl Drift {
    /// Compares what the ledger holds with the processes that carry its marks; both have just been read.
    pub fn between(records: &[Record], problems: &[RecordProblem], processes: Vec<Tagged>) -> Self {
        let mut processes: BTreeMap<u32, Tagged> =
            processes.into_iter().map(|process| (process.pid, process)).collect();
        let mut drift =
            Self { problems: problems.iter().map(ToString::to_string).collect(), ..Self::default() };
        for record in records {
            let is_alive = record.liveness() == Liveness::Alive;
            if is_alive && let Some(pid) = record.pid() {
                processes.remove(&pid);
            }
            match DriftItem::of(record, is_alive) {
                Some(item) => drift.items.push(item),
                None => drift.agreeing = drift.agreeing.saturating_add(1),
            }
        }
        let starting: Vec<&Record> = records.iter().filter(|record| record.is_kept()).collect();
        for (pid, process) in processes {
            // A keeper that starts its service again has not recorded the new process yet.
            if starting.iter().any(|record| record.path == process.context_path) {
                continue;
            }
            drift.items.push(DriftItem::ProcessWithoutLedger {
                pid,
                service_id: process.service_id,
                session_id: process.session_id,
                context_path: process.context_path,
                cmdline: process.cmdline,
            });
        }
        drift
    }
}

impl DriftItem {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::ProcessWithoutLedger { .. } => {
                "`ledger yard kill` ends it; `ledger yard start` then starts it anew"
            }
            Self::LedgerWithoutProcess { .. } => "`ledger yard start` starts it again",
            Self::ServiceWithoutKeeper { .. } => "`ledger yard start` starts it anew, with one",
        }
    }

    fn of(record: &Record, is_alive: bool) -> Option<Self> {
        let (path, pid, service_id) = (record.path.clone(), record.pid(), record.service_id().to_owned());
        let is_over = matches!(record.state(), "stopped" | "failed");
        match (is_alive, record.is_kept()) {
            (false, false) if !is_over => Some(Self::LedgerWithoutProcess {
                ledger_context_path: path,
                pid,
                service_id,
                session_id: record.session.clone(),
            }),
            (true, false) if record.keeper.is_some() => {
                Some(Self::ServiceWithoutKeeper { ledger_context_path: path, pid, service_id })
            }
            _ => None,
        }
    }
}
