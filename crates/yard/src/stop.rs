//! Ending services: through their keepers, all at once, and never a process that is not ours (§15, 17–24).

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde::Serialize;

use crate::ledger::{Home, HomeError, Liveness, Record};
use crate::process::{self, Identity};
use crate::tagged::{Tagged, tagged};

/// How long to look for the end of processes after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How much longer than its service a keeper may take.
const KEEPER_PATIENCE: Duration = Duration::from_secs(8);
/// Pause between two looks.
const INTERVAL: Duration = Duration::from_millis(5);

/// What became of a service that was to end.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stopped {
    /// The service.
    pub service_id: String,
    /// Its process.
    pub pid: Option<u32>,
    /// Why it still runs, if it does.
    pub error: Option<String>,
}

/// A service and the processes that belong to it.
struct Target {
    service_id: String,
    pid: Option<u32>,
    keeper: Option<Identity>,
    processes: Vec<Identity>,
    error: Option<String>,
}

/// Ends these services: their keepers are told, and services without one are signalled themselves. `timeout` is what the
/// services have before they are killed.
pub fn stop(home: &Home, records: &[Record], timeout: Duration) -> Vec<Stopped> {
    let targets = records
        .iter()
        .filter(|record| record.is_kept() || record.liveness() == Liveness::Alive)
        .map(|record| Target {
            service_id: record.service_id().to_owned(),
            pid: record.pid(),
            keeper: record.keeper.clone().filter(Identity::is_alive),
            processes: tree(record.process.clone().or_else(|| Identity::of(record.pid()?))),
            error: None,
        })
        .collect();
    let stopped = end(targets, timeout);
    for record in records {
        // As it is now: a keeper has the last word on how its service ended.
        if let Ok(Some(left)) = home.record(&record.relative, false) {
            note_stopped(home, &left);
        }
    }
    stopped
}

/// Ends everything of a ledger home: the services that it knows, and tagged processes that it does not know.
///
/// # Errors
/// When the ledger cannot be read.
pub fn kill(home: &Home, timeout: Duration) -> Result<Vec<Stopped>, HomeError> {
    let (records, _) = home.present()?;
    let mut stopped = stop(home, &records, timeout);
    stopped.extend(end_tagged(tagged(home.path()), timeout));
    Ok(stopped)
}

/// Ends processes that carry the marks of services, what they forked, and their keepers.
pub(crate) fn end_tagged(processes: Vec<Tagged>, timeout: Duration) -> Vec<Stopped> {
    let targets = processes.into_iter().map(|process| Target {
        service_id: process.service_id,
        pid: Some(process.pid),
        keeper: process.keeper,
        processes: tree(Some(process.identity)),
        error: None,
    });
    end(targets.collect(), timeout)
}

fn tree(root: Option<Identity>) -> Vec<Identity> {
    let Some(root) = root else { return Vec::new() };
    let mut all = process::descendants(root.pid);
    all.push(root);
    all
}

/// Tells all, waits for all.
fn end(mut targets: Vec<Target>, timeout: Duration) -> Vec<Stopped> {
    for target in &mut targets {
        match target.keeper.clone() {
            Some(keeper) => target.signal(&[keeper], Signal::TERM),
            None => target.signal(&target.processes.clone(), Signal::TERM),
        }
    }
    let patience =
        |target: &Target| if target.keeper.is_some() { timeout + KEEPER_PATIENCE } else { timeout };
    wait(&targets, patience);
    for target in targets.iter_mut().filter(|target| target.is_alive()) {
        let mut all = target.keeper.iter().flat_map(|keeper| tree(Some(keeper.clone()))).collect::<Vec<_>>();
        all.extend(target.processes.clone());
        target.signal(&all, Signal::KILL);
        target.processes = all;
    }
    wait(&targets, |_| KILL_PATIENCE);
    targets.into_iter().map(Stopped::from).collect()
}

fn wait(targets: &[Target], patience: impl Fn(&Target) -> Duration) {
    let since = Instant::now();
    let is_awaited =
        |target: &Target| target.error.is_none() && since.elapsed() < patience(target) && target.is_alive();
    while targets.iter().any(is_awaited) {
        std::thread::sleep(INTERVAL);
    }
}

impl Target {
    fn signal(&mut self, processes: &[Identity], signal: Signal) {
        for process in processes {
            if let Err(error) = process.signal(signal) {
                self.error = Some(format!("process {} cannot be signalled: {error}", process.pid));
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.keeper.iter().chain(&self.processes).any(Identity::is_alive)
    }
}

impl From<Target> for Stopped {
    fn from(target: Target) -> Self {
        let is_alive = target.is_alive();
        let error = target.error.filter(|_| is_alive);
        let error = error.or_else(|| is_alive.then(|| "it does not end, not even after SIGKILL".to_owned()));
        Self { service_id: target.service_id, pid: target.pid, error }
    }
}

/// Records the end of a service whose keeper is not there to do so. That it cannot be recorded changes nothing.
fn note_stopped(home: &Home, record: &Record) {
    if record.state().is_empty() || record.actual_state() != "dead" {
        return;
    }
    let mut value = record.value.clone();
    let now = crate::ledger::Moment::now().to_string();
    if let Some(state) = value.get_mut("state").and_then(serde_json::Value::as_object_mut) {
        state.insert("name".to_owned(), "stopped".into());
        state.insert("since".to_owned(), now.into());
        state.insert("reason".to_owned(), "was found without a keeper".into());
    }
    if let Ok(mut bytes) = serde_json::to_vec_pretty(&value) {
        bytes.push(b'\n');
        let is_private = std::fs::metadata(&record.path)
            .is_ok_and(|metadata| std::os::unix::fs::MetadataExt::mode(&metadata) & 0o077 == 0);
        let _ = home.write(&record.relative, &bytes, is_private);
    }
}
