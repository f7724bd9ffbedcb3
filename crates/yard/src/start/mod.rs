//! One round: find what should run, start what does not run yet, say what became of each (specification §3.3).

mod launch;
mod names;
mod survey;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::cargo::{Cargo, Content, RootError, Stamp};
use crate::event::{EventKind, Events, Listener, Phase};
use crate::kind::Kind;
use crate::ledger::{Home, HomeError, Liveness, Moment, Record, run_folder};
use crate::plan::{Candidate, Run};
use crate::ports::{PortError, Ports};
use crate::settings::Settings;
use crate::stop::{Stopped, end_tagged, stop};
use crate::tagged::tagged;

use names::Names;

/// How much longer than its own time a service may take that another yard, which is gone, has begun to start.
const ADOPTION_PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks at such a service.
const ADOPTION_INTERVAL: Duration = Duration::from_millis(20);

/// Why a service is not started whose keeper lives, though no context says so.
const HIDDEN: &str =
    "its keeper lives, but its context is gone or cannot be read; `ledger yard kill` ends it";

/// Starts services over data files.
#[derive(Debug)]
pub struct Yard {
    settings: Settings,
    home: Home,
    ports: Ports,
    run: Run,
    /// What files held when they were looked at last.
    seen: HashMap<String, (Stamp, Content)>,
    keepers: Vec<Child>,
    events: Events,
}

/// What a round did.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Services that were started and answer, by id.
    pub spawned: Vec<String>,
    /// Services that were running already.
    pub skipped: Vec<String>,
    /// Services that could not be started.
    pub errored: Vec<String>,
    /// Why not.
    pub errors: Vec<ServiceError>,
    /// What else could not be looked at or was left out.
    pub remarks: Vec<String>,
}

/// Why a service could not be started.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceError {
    /// The service.
    pub id: String,
    /// What happened.
    pub error: String,
}

/// Why a yard could not begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A cargo home cannot be searched.
    #[error(transparent)]
    Root(#[from] RootError),
    /// The ledger home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Ports cannot be had.
    #[error(transparent)]
    Port(#[from] PortError),
}

/// A data file with what it holds.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The file.
    pub cargo: Cargo,
    /// What it holds.
    pub content: Content,
}

impl Yard {
    /// Opens the ledger home. The caller holds its [lock](Home::lock).
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn new(settings: Settings, home: Home, session: String) -> Result<Self, StartError> {
        let run = Run { session, id: Uuid::new_v4(), started_at: Moment(Timestamp::now()) };
        let events = Events::none(run.context());
        let (seen, keepers) = (HashMap::new(), Vec::new());
        Ok(Self { settings, home, ports: Ports::shared()?, run, seen, keepers, events })
    }

    /// Tells a listener of everything that happens, as it happens.
    pub fn listen(&mut self, listener: Listener) {
        self.events.listen(listener);
    }

    /// The ledger home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Name of the session folder.
    pub fn session(&self) -> &str {
        &self.run.session
    }

    /// UUID of this run.
    pub fn run_id(&self) -> String {
        self.run.id.to_string()
    }

    /// How services are started.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Starts everything that should run and does not, and waits for what a yard that was killed has begun to start.
    ///
    /// # Errors
    /// When a cargo home or the ledger home cannot be read. What concerns one service is in the summary.
    pub fn round(&mut self) -> Result<Summary, StartError> {
        let (classified, remarks) = self.survey()?;
        let mut summary = self.start(&classified, remarks, |_| true)?;
        self.await_adopted(&mut summary)?;
        Ok(summary)
    }

    /// The same for the files with these provenances alone.
    ///
    /// # Errors
    /// As [`Yard::round`].
    pub fn round_of(&mut self, is_wanted: impl Fn(&str) -> bool) -> Result<Summary, StartError> {
        let (classified, remarks) = self.survey()?;
        self.start(&classified, remarks, |cargo| is_wanted(&cargo.provenance))
    }

    /// Starts of these files what should run, does not, and is wanted.
    pub(crate) fn start(
        &mut self,
        classified: &[Classified],
        remarks: Vec<String>,
        is_wanted: impl Fn(&Cargo) -> bool,
    ) -> Result<Summary, StartError> {
        self.run.started_at = Moment::now();
        self.events.begin(self.run.started_at);
        let mut summary = Summary { remarks, ..Summary::default() };
        let (mut running, problems) = self.running()?;
        summary.remarks.extend(problems);
        self.end_unkept(classified, &mut running, &is_wanted, &mut summary);
        let candidates = self.candidates(classified, &running, is_wanted, &mut summary);
        self.end_leftovers(&candidates, &mut summary);
        let keepers = self.start_all(&candidates, &mut summary)?;
        self.keepers.extend(keepers);
        self.reap();
        self.events.end(&summary);
        Ok(summary)
    }

    /// Ends services whose keeper was killed, so that they are started anew: nobody would notice their end, and what they
    /// print has nowhere to go.
    fn end_unkept(
        &self,
        classified: &[Classified],
        running: &mut BTreeMap<String, Record>,
        is_wanted: impl Fn(&Cargo) -> bool,
        summary: &mut Summary,
    ) {
        let unkept: Vec<Record> = classified
            .iter()
            .filter(|one| is_wanted(&one.cargo))
            .filter_map(|one| running.get(&one.cargo.provenance))
            .filter(|record| record.keeper.is_some() && !record.is_kept())
            .cloned()
            .collect();
        let stopped = stop(&self.home, &unkept, self.settings.stop_timeout);
        for record in unkept {
            let id = record.service_id();
            let ended = stopped.iter().find(|one| one.service_id == id);
            ended.into_iter().for_each(|one| self.tell_of_stopped(one));
            if let Some(error) = ended.and_then(|one| one.error.as_ref()) {
                summary.remarks.push(format!("{id}: its keeper was killed, and {error}"));
            } else {
                summary.remarks.push(format!("{id}: its keeper was killed; it is started anew"));
                running.remove(record.provenance());
            }
        }
    }

    /// What is to be started, with the names that it gets.
    fn candidates<'a>(
        &'a self,
        classified: &'a [Classified],
        running: &BTreeMap<String, Record>,
        is_wanted: impl Fn(&Cargo) -> bool,
        summary: &mut Summary,
    ) -> Vec<Candidate<'a>> {
        let wanted: Vec<(&Cargo, &Kind)> =
            classified.iter().filter_map(|one| Some((&one.cargo, self.kind_of(one)?))).collect();
        let mut names = Names::of(running, &wanted);
        let mut candidates = Vec::new();
        for (cargo, kind) in wanted {
            if let Some(record) = running.get(&cargo.provenance) {
                let id = record.service_id().to_owned();
                self.tell_of_decision(cargo, &id, false);
                self.link_into_session(record);
                summary.skipped.push(id);
            } else if is_wanted(cargo) {
                let is_hidden = self.home.has_hidden_keeper(&run_folder(&cargo.relative));
                let given = names.give(cargo, kind, &self.settings);
                match if is_hidden { given.and(Err(HIDDEN.to_owned())) } else { given } {
                    Ok(candidate) => {
                        self.tell_of_decision(cargo, &candidate.id, true);
                        candidates.push(candidate);
                    }
                    Err(error) => self.fail(summary, cargo.walked.clone(), Phase::Expose, error),
                }
            }
        }
        candidates
    }

    fn tell_of_decision(&self, cargo: &Cargo, id: &str, should_spawn: bool) {
        let (service_id, provenance) = (id.to_owned(), cargo.provenance.clone());
        self.events.tell(|| EventKind::Discovered { service_id: service_id.clone(), provenance });
        self.events.tell(|| EventKind::ExposeDecision { service_id, should_spawn });
    }

    /// Ends processes that carry the marks of a service that is about to be started: its keeper was killed before it could
    /// write down their pid, or the context is gone. Started beside them, the service would be there twice.
    fn end_leftovers(&self, candidates: &[Candidate<'_>], summary: &mut Summary) {
        if candidates.is_empty() {
            return;
        }
        let provenances: BTreeSet<&str> =
            candidates.iter().map(|candidate| candidate.cargo.provenance.as_str()).collect();
        let mut left = tagged(self.home.path());
        left.retain(|process| process.keeper.is_none() && provenances.contains(process.provenance.as_str()));
        for stopped in end_tagged(left, self.settings.stop_timeout) {
            let pid = stopped.pid.unwrap_or_default();
            summary.remarks.push(match &stopped.error {
                None => format!("{}: ended process {pid}, which nobody looked after", stopped.service_id),
                Some(error) => format!("{}: process {pid} is left of it: {error}", stopped.service_id),
            });
            self.tell_of_stopped(&stopped);
        }
    }

    /// Waits until services that were being started when the yard before was killed are ready or have failed.
    fn await_adopted(&self, summary: &mut Summary) -> Result<(), StartError> {
        let patience = self.settings.kinds.iter().map(|kind| kind.ready.timeout()).max().unwrap_or_default();
        let since = Instant::now();
        while !summary.skipped.is_empty() && since.elapsed() < patience.saturating_add(ADOPTION_PATIENCE) {
            let (records, _) = self.home.latest()?;
            let is_skipped = |record: &&Record| summary.skipped.iter().any(|id| id == record.service_id());
            let adopted: Vec<&Record> = records.iter().filter(is_skipped).collect();
            let failed: Vec<&Record> =
                adopted.iter().copied().filter(|record| record.state() == "failed").collect();
            for record in &failed {
                let id = record.service_id().to_owned();
                summary.skipped.retain(|skipped| *skipped != id);
                self.fail(summary, id, Phase::Spawn, record.reason().to_owned());
            }
            if !adopted.iter().any(|record| record.state() == "starting" && record.is_kept()) {
                break;
            }
            std::thread::sleep(ADOPTION_INTERVAL);
        }
        Ok(())
    }

    pub(crate) fn tell_of_stopped(&self, stopped: &Stopped) {
        let Stopped { service_id, pid, error } = stopped.clone();
        self.events.tell(|| EventKind::Stopped { service_id, pid, error });
    }

    /// A service could not be started.
    fn fail(&self, summary: &mut Summary, id: String, phase: Phase, error: String) {
        self.events.tell(|| EventKind::Error { service_id: id.clone(), phase, error: error.clone() });
        summary.errored.push(id.clone());
        summary.errors.push(ServiceError { id, error });
    }

    /// The kind that serves a file.
    pub(crate) fn kind_of(&self, one: &Classified) -> Option<&Kind> {
        self.settings.kinds.of(one.cargo.file_name(), &one.content)
    }

    /// The services that run, by data file.
    fn running(&self) -> Result<(BTreeMap<String, Record>, Vec<String>), HomeError> {
        let (records, problems) = self.home.latest()?;
        let running = records
            .into_iter()
            .filter(|record| record.liveness() == Liveness::Alive || record.is_kept())
            .map(|record| (record.provenance().to_owned(), record));
        Ok((running.collect(), problems.iter().map(ToString::to_string).collect()))
    }

    /// The newest session shows services of earlier ones as links. That it could not be linked harms nothing.
    fn link_into_session(&self, record: &Record) {
        if record.session == self.run.session {
            return;
        }
        let Ok(below) = record.relative.strip_prefix(&record.session) else { return };
        let Some(stem) = below.to_str().and_then(|name| name.strip_suffix(".context.json")) else { return };
        for end in ["context.json", "stdout.log", "stderr.log"] {
            let name = format!("{stem}.{end}");
            let (link, target) =
                (Path::new(&self.run.session).join(&name), Path::new(&record.session).join(&name));
            let _ = self.home.link(&link, &target);
        }
    }

    /// Forgets keepers that have ended.
    pub(crate) fn reap(&mut self) {
        self.keepers.retain_mut(|keeper| matches!(keeper.try_wait(), Ok(None)));
    }
}
