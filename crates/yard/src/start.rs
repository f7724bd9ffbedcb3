//! One round: find what should run, start what does not run yet, say what became of each (specification §3.3).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::cargo::{Cargo, Content, Root, RootError, Stamp, Trouble, Walk, WalkProblem, classify, walk};
use crate::keeper::{Answer, Plan};
use crate::kind::Kind;
use crate::ledger::{Home, HomeError, Liveness, Moment, Record};
use crate::plan::{Candidate, Run};
use crate::ports::{Claim, PortError, Ports};
use crate::settings::Settings;

/// Services that are started at the same time.
const MAX_STARTING: usize = 32;

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
        Ok(Self { settings, home, ports: Ports::shared()?, run, seen: HashMap::new(), keepers: Vec::new() })
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

    /// Starts everything that should run and does not.
    ///
    /// # Errors
    /// When a cargo home or the ledger home cannot be read. What concerns one service is in the summary.
    pub fn round(&mut self) -> Result<Summary, StartError> {
        let (classified, remarks) = self.survey()?;
        self.start(&classified, remarks, |_| true)
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
        let mut summary = Summary { remarks, ..Summary::default() };
        let (running, problems) = self.running()?;
        summary.remarks.extend(problems);
        let wanted: Vec<(&Cargo, &Kind)> =
            classified.iter().filter_map(|one| Some((&one.cargo, self.kind_of(one)?))).collect();
        let mut names = Names::of(&running, &wanted);
        let mut candidates = Vec::new();
        for (cargo, kind) in &wanted {
            if let Some(record) = running.get(&cargo.provenance) {
                summary.skipped.push(record.service_id().to_owned());
                self.link_into_session(record);
                continue;
            }
            if !is_wanted(cargo) {
                continue;
            }
            match names.give(cargo, kind, &self.settings) {
                Ok(candidate) => candidates.push(candidate),
                Err(error) => summary.fail(cargo.walked.clone(), error),
            }
        }
        let keepers = self.start_all(&candidates, &mut summary)?;
        self.keepers.extend(keepers);
        self.reap();
        Ok(summary)
    }

    /// All data files with what they hold; only files that have changed are looked into.
    ///
    /// # Errors
    /// When a cargo home cannot be searched.
    pub fn survey(&mut self) -> Result<(Vec<Classified>, Vec<String>), RootError> {
        let roots: Result<Vec<Root>, RootError> =
            self.settings.cargo_homes.iter().map(|home| Root::new(home)).collect();
        let Walk { cargo, problems } = walk(&roots?, &self.settings.ignore);
        let mut remarks: Vec<String> = problems.iter().map(WalkProblem::to_string).collect();
        let contents = contents(&cargo, &self.seen);
        let mut seen = HashMap::with_capacity(cargo.len());
        let mut classified = Vec::with_capacity(cargo.len());
        for (cargo, content) in cargo.into_iter().zip(contents) {
            if let Content::Trouble(trouble) = &content {
                remarks.push(format!("yard: {}: {trouble}", cargo.walked));
            }
            // A locked file is asked again: it will not change when the lock goes.
            if content != Content::Trouble(Trouble::Locked) {
                seen.insert(cargo.provenance.clone(), (cargo.stamp, content.clone()));
            }
            classified.push(Classified { cargo, content });
        }
        self.seen = seen;
        Ok((classified, remarks))
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

    /// Starts candidates, some at a time, and waits until each answers or has failed.
    fn start_all(
        &self,
        candidates: &[Candidate<'_>],
        summary: &mut Summary,
    ) -> Result<Vec<Child>, StartError> {
        let reserved = self.reserved_ports()?;
        let (sender, answers) = mpsc::channel();
        let mut starting = Starting { answers, claims: BTreeMap::new(), keepers: Vec::new() };
        for (index, candidate) in candidates.iter().enumerate() {
            while starting.claims.len() >= MAX_STARTING {
                starting.wait_for_one(candidates, summary);
            }
            match self.begin(index, candidate, &reserved, &sender, summary) {
                Ok((claim, keeper)) => {
                    starting.claims.insert(index, claim);
                    starting.keepers.push(keeper);
                }
                Err(error) => summary.fail(candidate.id.clone(), error),
            }
        }
        drop(sender);
        while !starting.claims.is_empty() {
            starting.wait_for_one(candidates, summary);
        }
        Ok(starting.keepers)
    }

    /// Claims a port, makes the folders, starts the keeper and tells it the plan.
    fn begin(
        &self,
        index: usize,
        candidate: &Candidate<'_>,
        reserved: &BTreeMap<u16, String>,
        sender: &Sender<(usize, Option<Answer>)>,
        summary: &mut Summary,
    ) -> Result<(Option<Claim>, Child), String> {
        let own = &candidate.cargo.relative;
        let preferred = reserved.iter().find(|(_, owner)| *owner == own).map(|(port, _)| *port);
        let is_reserved = |port| reserved.get(&port).is_some_and(|owner| owner != own);
        let settings = &self.settings;
        let claim = self.ports.claim(&settings.listen_host, settings.port_base, preferred, is_reserved);
        let claim = claim.map_err(|error| error.to_string())?;
        let io = |error: std::io::Error| format!("yard: {}: {error}", candidate.id);
        let (plan, remarks) =
            candidate.plan(settings, &self.home, &self.run, self.ports.folder(), claim.port).map_err(io)?;
        summary.remarks.extend(remarks);
        self.make_folders(candidate, &plan).map_err(io)?;
        self.home
            .write(&candidate.run_folder().join("port"), format!("{}\n", claim.port).as_bytes(), true)
            .map_err(io)?;
        // Recorded first: a yard that is killed now leaves a service that was going to start, not one that nobody knows.
        self.home
            .write_context(&plan.context_name, &plan.context, plan.is_private)
            .map_err(|error| error.to_string())?;
        self.home.link(&candidate.run_folder().join("current"), &plan.context_name).map_err(io)?;
        let mut keeper = self.spawn_keeper(candidate).map_err(io)?;
        tell(&mut keeper, &plan).map_err(io)?;
        if let Some(stdout) = keeper.stdout.take() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if let Ok(answer) = serde_json::from_str(&line) {
                        let _ = sender.send((index, Some(answer)));
                    }
                }
                let _ = sender.send((index, None));
            });
        }
        Ok((Some(claim), keeper))
    }

    fn make_folders(&self, candidate: &Candidate<'_>, plan: &Plan) -> std::io::Result<()> {
        if let Some(folder) = plan.context_name.parent() {
            self.home.dir().create_dir_all(folder)?;
        }
        let run = self.home.path().join(candidate.run_folder());
        for folder in [run.join("web"), run.join("config")] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        Ok(())
    }

    fn spawn_keeper(&self, candidate: &Candidate<'_>) -> std::io::Result<Child> {
        let log = self.home.path().join(candidate.run_folder()).join("keeper.log");
        let log = OpenOptions::new().create(true).write(true).truncate(true).open(log)?;
        let (program, arguments) = match self.settings.keeper.split_first() {
            Some((program, arguments)) => (program.clone(), arguments),
            None => (OsString::from("ledger"), [].as_slice()),
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        // Ctrl+C in the terminal is for the yard; what becomes of the services is the yard's decision.
        command.process_group(0).spawn()
    }

    /// The ports that services had last: each gets its own again, and nobody else does.
    fn reserved_ports(&self) -> Result<BTreeMap<u16, String>, HomeError> {
        let mut ports = BTreeMap::new();
        for (relative, text) in self.home.run_files("port")? {
            if let Ok(port) = text.trim().parse() {
                ports.insert(port, relative);
            }
        }
        Ok(ports)
    }

    /// Forgets keepers that have ended.
    pub(crate) fn reap(&mut self) {
        self.keepers.retain_mut(|keeper| matches!(keeper.try_wait(), Ok(None)));
    }
}

/// Services that are on their way.
struct Starting {
    answers: Receiver<(usize, Option<Answer>)>,
    /// A claim is given back as soon as the keeper holds the port.
    claims: BTreeMap<usize, Option<Claim>>,
    keepers: Vec<Child>,
}

impl Starting {
    fn wait_for_one(&mut self, candidates: &[Candidate<'_>], summary: &mut Summary) {
        let Ok((index, answer)) = self.answers.recv() else {
            self.claims.clear();
            return;
        };
        let id = candidates.get(index).map(|candidate| candidate.id.clone()).unwrap_or_default();
        match answer {
            Some(Answer::Held) => {
                if let Some(claim) = self.claims.get_mut(&index) {
                    *claim = None;
                }
            }
            Some(Answer::Ready { .. }) => {
                self.claims.remove(&index);
                summary.spawned.push(id);
            }
            Some(Answer::Failed { reason }) => {
                self.claims.remove(&index);
                summary.fail(id, reason);
            }
            None if self.claims.remove(&index).is_some() => {
                summary.fail(id, "its keeper ended without an answer; see keeper.log in .run".to_owned());
            }
            None => {}
        }
    }
}

impl Summary {
    fn fail(&mut self, id: String, error: String) {
        self.errored.push(id.clone());
        self.errors.push(ServiceError { id, error });
    }
}

/// Names that are given: each once. Running services keep theirs.
struct Names {
    ids: BTreeSet<String>,
    prefixes: BTreeMap<String, String>,
    files: BTreeMap<String, String>,
}

impl Names {
    fn of(running: &BTreeMap<String, Record>, wanted: &[(&Cargo, &Kind)]) -> Self {
        let ids = running.values().map(|record| record.service_id().to_owned()).collect();
        let prefixes = running
            .values()
            .map(|record| (record.prefix().to_owned(), record.provenance().to_owned()))
            .collect();
        let files = wanted
            .iter()
            .filter(|(cargo, _)| running.contains_key(&cargo.provenance))
            .map(|(cargo, _)| (cargo.relative.clone(), cargo.provenance.clone()))
            .collect();
        Self { ids, prefixes, files }
    }

    fn give<'a>(
        &mut self,
        cargo: &'a Cargo,
        kind: &'a Kind,
        settings: &Settings,
    ) -> Result<Candidate<'a>, String> {
        let prefix = settings.prefix.of(&kind.name, &cargo.relative);
        let clash = |what: &str, name: &str, other: &str| {
            format!(
                "yard: {} and {other} would share the {what} {name:?}; rename one of them, or move it",
                cargo.provenance
            )
        };
        if let Some(other) = self.files.get(&cargo.relative) {
            return Err(clash("place in the ledger", &cargo.relative, other));
        }
        if let Some(other) = self.prefixes.get(&prefix) {
            return Err(clash("prefix", &prefix, other));
        }
        let short = cargo.file_name().to_owned();
        let id = if self.ids.contains(&short) { cargo.relative.clone() } else { short };
        self.ids.insert(id.clone());
        self.files.insert(cargo.relative.clone(), cargo.provenance.clone());
        self.prefixes.insert(prefix.clone(), cargo.provenance.clone());
        Ok(Candidate { cargo, kind, id, prefix })
    }
}

/// What each file holds, from memory where the file has not changed, else by looking, with all cores.
fn contents(cargo: &[Cargo], seen: &HashMap<String, (Stamp, Content)>) -> Vec<Content> {
    let look = |cargo: &Cargo| match seen.get(&cargo.provenance) {
        Some((stamp, content)) if *stamp == cargo.stamp => content.clone(),
        _ => classify(&PathBuf::from(&cargo.provenance)),
    };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let share = cargo.len().div_ceil(threads).max(64);
    std::thread::scope(|scope| {
        let workers: Vec<_> = cargo
            .chunks(share)
            .map(|chunk| scope.spawn(move || chunk.iter().map(look).collect::<Vec<Content>>()))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join().unwrap_or_default());
        joined.flatten().collect()
    })
}

fn tell(keeper: &mut Child, plan: &Plan) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(plan)?;
    bytes.push(b'\n');
    match keeper.stdin.take() {
        Some(mut stdin) => stdin.write_all(&bytes),
        None => Ok(()),
    }
}
