//! Watch mode: what lies in the cargo homes decides what runs (request "Watch Mode"; specification §8).
//!
//! File notifications are a hint, a rescan is the truth: it comes soon after a hint, and at an interval anyway, so nothing
//! is missed when notifications are, when a root is a link, or when it goes and comes back. A rescan looks only into files
//! that have changed. Hints are gathered until they pause, for [`WatchOptions::debounce`] at most.
//!
//! | seen | done |
//! |---|---|
//! | a new file that can be served, or an old one that has become so | started |
//! | a file gone, or one that can no longer be served | stopped |
//! | another file under the same name | stopped and started |
//! | a service whose keeper was killed | stopped and started, as every start does |
//! | a service that has ended and has no keeper, or failed | started, with growing pauses |
//! | a service that somebody stopped with `yard stop` | left alone |

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use notify::{RecursiveMode, Watcher};

use crate::cargo::{Cargo, Root};
use crate::ledger::Record;
use crate::start::{Classified, StartError, Summary, Yard};
use crate::stop::{Stopped, stop};

/// Hints are gathered until none came for this long.
const PAUSE: Duration = Duration::from_millis(100);
/// How often the wish to end is looked at.
const TICK: Duration = Duration::from_millis(100);
/// Pause before a failed service is tried again; it doubles.
const RETRY: Duration = Duration::from_secs(2);
/// Longest such pause.
const MAX_RETRY: Duration = Duration::from_secs(300);

/// How to watch.
#[derive(Clone, Copy, Debug)]
pub struct WatchOptions {
    /// Longest time for which hints are gathered.
    pub debounce: Duration,
    /// Time between two rescans without a hint.
    pub rescan: Duration,
    /// Whether only services of this very run are stopped when their file goes.
    pub strict_kills_only: bool,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            debounce: Duration::from_millis(750),
            rescan: Duration::from_secs(2),
            strict_kills_only: false,
        }
    }
}

/// What a round of the watch did.
#[derive(Clone, Debug, Default)]
pub struct Round {
    /// What was started, or could not be.
    pub summary: Summary,
    /// What was stopped.
    pub stopped: Vec<Stopped>,
}

impl Round {
    /// Whether anything changed that a person would want to hear of.
    pub fn is_quiet(&self) -> bool {
        self.stopped.is_empty() && self.summary.spawned.is_empty() && self.summary.errors.is_empty()
    }
}

/// Watches until `ending` is set; `report` hears of every round, the first included.
///
/// # Errors
/// When the first round fails. Later failures are reported as remarks of a round, and tried again.
pub fn watch(
    yard: &mut Yard,
    options: WatchOptions,
    ending: &Arc<AtomicBool>,
    mut report: impl FnMut(&Yard, &Round),
) -> Result<(), StartError> {
    let mut hints = Hints::new();
    let mut retries = Retries::default();
    hints.listen(yard);
    let (classified, remarks) = yard.survey()?;
    let mut round = Round { summary: yard.start(&classified, remarks, |_| true)?, stopped: Vec::new() };
    retries.learn(&classified, &round.summary);
    report(yard, &round);
    let mut shown = news(&round.summary);
    while hints.wait(options, ending) {
        hints.listen(yard);
        yard.reap();
        round = match look(yard, options, &mut retries) {
            Ok(round) => round,
            Err(error) => Round {
                summary: Summary { remarks: vec![error.to_string()], ..Summary::default() },
                ..Round::default()
            },
        };
        // What was said of the last round is no news.
        let all = news(&round.summary);
        round.summary.remarks.retain(|remark| !shown.contains(remark));
        round.summary.errors.retain(|failure| !shown.contains(&failure.error));
        shown = all;
        if !round.is_quiet() || !round.summary.remarks.is_empty() {
            report(yard, &round);
        }
    }
    Ok(())
}

/// Everything that a summary says of trouble.
fn news(summary: &Summary) -> Vec<String> {
    summary
        .remarks
        .iter()
        .cloned()
        .chain(summary.errors.iter().map(|failure| failure.error.clone()))
        .collect()
}

/// One rescan and what follows from it.
fn look(yard: &mut Yard, options: WatchOptions, retries: &mut Retries) -> Result<Round, StartError> {
    let (classified, remarks) = match yard.survey() {
        Ok(survey) => survey,
        // A root that is gone holds no files; it may come back.
        Err(error) => (Vec::new(), vec![error.to_string()]),
    };
    // What cannot be read is told by the start below.
    let (records, _) = yard.home().latest()?;
    let served: HashMap<&str, &Cargo> = classified
        .iter()
        .filter(|one| yard.kind_of(one).is_some() || is_unsettled(one))
        .map(|one| (one.cargo.provenance.as_str(), &one.cargo))
        .collect();
    let is_gone = |record: &Record| match served.get(record.provenance()) {
        None => true,
        Some(cargo) => record.inode().is_some_and(|inode| inode != cargo.stamp.inode()),
    };
    let run = yard.run_id();
    let gone: Vec<Record> = records
        .iter()
        .filter(|record| is_gone(record) && (!options.strict_kills_only || record.run_id() == run))
        .cloned()
        .collect();
    let stopped = stop(yard.home(), &gone, yard.settings().stop_timeout);
    stopped.iter().for_each(|one| yard.tell_of_stopped(one));
    for record in &gone {
        yard.home().forget(record).map_err(crate::ledger::HomeError::from)?;
    }
    let left_alone: Vec<&str> = records
        .iter()
        .filter(|record| record.state() == "stopped" && !is_gone(record))
        .map(Record::provenance)
        .collect();
    let summary = yard.start(&classified, remarks, |cargo| {
        !left_alone.contains(&cargo.provenance.as_str()) && retries.is_due(cargo)
    })?;
    retries.learn(&classified, &summary);
    Ok(Round { summary, stopped })
}

/// A file that is locked or being written right now says nothing about whether it should be served.
fn is_unsettled(one: &Classified) -> bool {
    use crate::cargo::{Content, Trouble};
    matches!(one.content, Content::Trouble(Trouble::Locked | Trouble::Unreadable(_)))
}

/// When services that failed are tried again: at once if the file has changed, else after a while.
#[derive(Default)]
struct Retries(HashMap<String, Retry>);

struct Retry {
    file: Cargo,
    failures: u32,
    not_before: Instant,
}

impl Retries {
    fn is_due(&self, cargo: &Cargo) -> bool {
        self.0
            .get(&cargo.walked)
            .is_none_or(|retry| retry.file != *cargo || Instant::now() >= retry.not_before)
    }

    fn learn(&mut self, classified: &[Classified], summary: &Summary) {
        for one in classified {
            let cargo = &one.cargo;
            let names = [cargo.file_name(), cargo.relative.as_str(), cargo.walked.as_str()];
            let is_in = |ids: &[String]| ids.iter().any(|id| names.contains(&id.as_str()));
            if is_in(&summary.spawned) {
                self.0.remove(&cargo.walked);
            } else if is_in(&summary.errored) {
                let failures = self.0.get(&cargo.walked).map_or(0, |retry| retry.failures);
                let pause = RETRY.saturating_mul(1 << failures.min(16)).min(MAX_RETRY);
                let retry = Retry {
                    file: cargo.clone(),
                    failures: failures.saturating_add(1),
                    not_before: Instant::now() + pause,
                };
                self.0.insert(cargo.walked.clone(), retry);
            }
        }
    }
}

/// Notifications of the file system, where there are any.
struct Hints {
    events: Receiver<()>,
    watcher: Option<notify::RecommendedWatcher>,
    watched: Vec<PathBuf>,
}

impl Hints {
    fn new() -> Self {
        let (sender, events) = mpsc::channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                let _ = sender.send(());
            }
        });
        Self { events, watcher: watcher.ok(), watched: Vec::new() }
    }

    /// Listens to the roots as they are now; without notifications the rescan has to do.
    fn listen(&mut self, yard: &Yard) {
        let Some(watcher) = &mut self.watcher else { return };
        for home in &yard.settings().cargo_homes {
            match Root::new(home) {
                Ok(root) if !self.watched.contains(&root.real) => {
                    if watcher.watch(&root.real, RecursiveMode::Recursive).is_ok() {
                        self.watched.push(root.real);
                    }
                }
                Ok(_) => {}
                // Gone: when it comes back it must be listened to anew.
                Err(_) => self.watched.clear(),
            }
        }
    }

    /// Waits for a reason to look: `false` when the end is wanted.
    fn wait(&self, options: WatchOptions, ending: &AtomicBool) -> bool {
        let until = Instant::now() + options.rescan;
        let mut hinted: Option<Instant> = None;
        loop {
            if ending.load(Ordering::Relaxed) {
                return false;
            }
            let now = Instant::now();
            let patience = match hinted {
                Some(first) if now.duration_since(first) >= options.debounce => return true,
                Some(_) => PAUSE,
                None if now >= until => return true,
                None => until.duration_since(now).min(TICK),
            };
            match self.events.recv_timeout(patience) {
                Ok(()) => hinted = hinted.or(Some(Instant::now())),
                Err(RecvTimeoutError::Timeout) if hinted.is_some() => return true,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(patience),
            }
        }
    }
}
