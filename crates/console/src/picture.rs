//! What the ledger and the process table say at one moment.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ledger_yard::{Drift, DriftItem, Home, HomeError, MASK, Record, RecordProblem, Tagged, tagged};
use serde_json::{Value, json};

use crate::proxy::Table;

/// Variables with this prefix say which service it is; the values of all others may be secrets.
const MARK: &str = "TRUTH_YARD_";
/// Where a context holds the variables of its service.
const VARIABLES: &str = "/spawned/plan/env";

/// One look at everything. Cheap to share, never changed.
#[derive(Debug)]
pub(crate) struct Picture {
    /// When it was taken.
    pub(crate) taken: Instant,
    /// The ledger home, absolute and free of links; as it was named, if it is not there.
    pub(crate) home: PathBuf,
    /// Where a path leads.
    pub(crate) table: Table,
    /// The processes, in the shape of specification §7.3.
    pub(crate) processes: Vec<Value>,
    /// What does not agree.
    pub(crate) drift: Drift,
    /// What the page is told, as JSON without line breaks: equal for equal states.
    pub(crate) state: Bytes,
    /// The logs of each service.
    pub(crate) logs: HashMap<String, Logs>,
    /// Folders in which changes are to be heard of.
    pub(crate) folders: Vec<PathBuf>,
}

/// The log files of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logs {
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

/// The ledger and the processes as they were read.
struct Seen {
    records: Vec<Record>,
    problems: Vec<RecordProblem>,
    processes: Vec<Tagged>,
}

impl Picture {
    /// Reads the ledger and the process table. Blocking.
    pub(crate) fn take(ledger_home: &Path, proxy_is_on: bool) -> Arc<Self> {
        let taken = Instant::now();
        let (home, seen, failure) = match Seen::read(ledger_home) {
            Ok(Some((home, seen))) => (home, seen, None),
            Ok(None) => (ledger_home.to_owned(), Seen::nothing(), None),
            Err(error) => (ledger_home.to_owned(), Seen::nothing(), Some(error.to_string())),
        };
        let states: Vec<String> =
            seen.records.iter().map(|record| record.actual_state().to_owned()).collect();
        let table = Table::new(seen.records.iter().zip(states.iter().map(String::as_str)));
        let services: Vec<Value> =
            seen.records.iter().zip(&states).map(|(record, state)| service(record, state, &home)).collect();
        let processes = processes(&seen);
        let logs = seen.records.iter().map(|record| (record.service_id().to_owned(), Logs::of(record)));
        let (logs, folders) = (logs.collect(), folders(&seen.records, &home));
        let mut drift = Drift::between(&seen.records, &seen.problems, seen.processes);
        drift.problems.extend(failure);
        let state = json!({
            "ledgerDir": home.to_string_lossy(),
            "services": services,
            "reconcile": reconciled(&drift),
            "proxy": { "isOn": proxy_is_on, "table": proxy_table(&table), "conflicts": table.conflicts() },
        });
        let state = state.to_string().into();
        Arc::new(Self { taken, home, table, processes, drift, state, logs, folders })
    }
}

impl Seen {
    fn nothing() -> Self {
        Self { records: Vec::new(), problems: Vec::new(), processes: Vec::new() }
    }

    /// `None` if there is no such folder.
    fn read(ledger_home: &Path) -> Result<Option<(PathBuf, Self)>, HomeError> {
        let Some(home) = Home::existing(ledger_home)? else { return Ok(None) };
        let (records, problems) = home.present()?;
        let processes = tagged(home.path());
        Ok(Some((home.path().to_owned(), Self { records, problems, processes })))
    }
}

impl Logs {
    fn of(record: &Record) -> Self {
        Self { stdout: record.stdout().into(), stderr: record.stderr().into() }
    }
}

/// Summary and items of a comparison, in the shape of specification §10, and what to do about each.
pub(crate) fn reconciled(drift: &Drift) -> Value {
    let [processes, entries, unkept] = drift.counts();
    json!({
        "summary": {
            "processWithoutLedger": processes,
            "ledgerWithoutProcess": entries,
            "serviceWithoutKeeper": unkept,
        },
        "items": drift.items.iter().map(item).collect::<Vec<_>>(),
        "problems": drift.problems,
        "agreeing": drift.agreeing,
    })
}

fn item(item: &DriftItem) -> Value {
    let mut value = serde_json::to_value(item).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("advice".to_owned(), item.advice().into());
    }
    value
}

/// The routing table in the shape of specification §10.
pub(crate) fn proxy_table(table: &Table) -> Value {
    let entry = |entry: &&crate::proxy::Entry| json!({ "basePath": entry.base_path(), "upstreamUrl": entry.url, "service": entry.service });
    table.entries().iter().map(entry).collect()
}

/// A service as the page shows it. Paths are relative to the ledger home.
fn service(record: &Record, state: &str, home: &Path) -> Value {
    let below_home =
        |path: &Path| path.strip_prefix(home).ok().map(|path| path.to_string_lossy().into_owned());
    let fact = |name: &str| record.value.pointer(&format!("/state/{name}")).cloned();
    json!({
        "id": record.service_id(),
        "kind": record.kind(),
        "state": state,
        "reason": fact("reason"),
        "since": fact("since"),
        "restarts": fact("restarts"),
        "exitCode": fact("exitCode"),
        "signal": fact("signal"),
        "pid": record.pid(),
        "port": record.port(),
        "path": record.relative_path(),
        "provenance": record.provenance(),
        "session": record.session,
        "prefix": record.prefix(),
        "upstreamUrl": record.url(),
        "context": below_home(&record.path),
        "stdout": below_home(Path::new(record.stdout())),
        "stderr": below_home(Path::new(record.stderr())),
    })
}

/// Tagged processes, each with its context; absent facts are left out.
fn processes(seen: &Seen) -> Vec<Value> {
    let records: HashMap<&Path, &Record> =
        seen.records.iter().map(|record| (record.path.as_path(), record)).collect();
    seen.processes
        .iter()
        .map(|process| described(process, records.get(process.context_path.as_path())))
        .collect()
}

fn described(process: &Tagged, record: Option<&&Record>) -> Value {
    let mark = |name: &str| process.env.get(&format!("{MARK}{name}")).map(String::as_str);
    let fact = |of: fn(&Record) -> &str, name: &str| {
        record.map(|record| of(record)).filter(|text| !text.is_empty()).or_else(|| mark(name))
    };
    let issue = match record {
        None => Some("its context is not among the latest of the ledger".to_owned()),
        Some(record) => record
            .pid()
            .filter(|pid| *pid != process.pid)
            .map(|pid| format!("PID mismatch: the context says {pid}, the process is {}", process.pid)),
    };
    let mut value = serde_json::to_value(process).unwrap_or_default();
    let Some(fields) = value.as_object_mut() else { return value };
    for (name, fact) in [
        ("context", record.map(|record| masked(&record.value))),
        ("issue", issue.map(Value::from)),
        ("kind", fact(Record::kind, "KIND").map(Value::from)),
        ("label", mark("LABEL").map(Value::from)),
        ("proxyEndpointPrefix", fact(Record::prefix, "PROXY_ENDPOINT_PREFIX").map(Value::from)),
        ("upstreamUrl", fact(Record::url, "UPSTREAM_URL").map(Value::from)),
    ] {
        if let Some(fact) = fact {
            fields.insert(name.to_owned(), fact);
        }
    }
    value
}

/// A context without the values of variables that may be secrets: contexts of the original hold those of `.env` files in
/// clear (specification §15, 13 and 43).
fn masked(context: &Value) -> Value {
    let mut context = context.clone();
    let variables = context.pointer_mut(VARIABLES).and_then(Value::as_object_mut);
    for (name, value) in variables.into_iter().flatten() {
        if !name.starts_with(MARK) {
            *value = MASK.into();
        }
    }
    context
}

/// The folders in which contexts and logs are replaced and written.
fn folders(records: &[Record], home: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        records.iter().filter_map(|record| Some(record.path.parent()?.to_owned())).collect();
    folders.push(home.to_owned());
    folders.sort();
    folders.dedup();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_variables_are_masked_but_for_the_marks() {
        let context = json!({ "spawned": { "plan": { "env": {
            "DATABASE_PASSWORD": "hunter2", "TRUTH_YARD_KIND": "sqlpage" } } }, "port": 3000 });
        let masked = masked(&context);
        assert!(!masked.to_string().contains("hunter2"));
        assert_eq!(masked["spawned"]["plan"]["env"]["TRUTH_YARD_KIND"], "sqlpage");
        assert_eq!(masked["port"], 3000);
    }

    #[test]
    fn a_ledger_that_is_not_there_is_an_empty_one() {
        let picture = Picture::take(Path::new("/nowhere/ledger.d"), true);
        assert!(picture.processes.is_empty() && picture.drift.is_none());
        let state: Value = serde_json::from_slice(&picture.state).unwrap();
        assert_eq!(state["services"], json!([]));
    }
}
