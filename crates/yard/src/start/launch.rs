//! From candidates to services that answer: some at a time, each with its port, its files and its keeper.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};

use super::{StartError, Summary, Yard};
use crate::event::{EventKind, Phase};
use crate::failpoint::reached;
use crate::keeper::{Answer, Plan};
use crate::ledger::HomeError;
use crate::plan::Candidate;
use crate::ports::{Claim, PortError};
use crate::tag;

/// Services that are started at the same time.
const MAX_STARTING: usize = 32;

impl Yard {
    /// Starts candidates, some at a time, and waits until each answers or has failed.
    pub(super) fn start_all(
        &self,
        candidates: &[Candidate<'_>],
        summary: &mut Summary,
    ) -> Result<Vec<Child>, StartError> {
        let reserved = self.reserved_ports()?;
        let (sender, answers) = mpsc::channel();
        let mut starting =
            Starting { answers, claims: BTreeMap::new(), keepers: Vec::new(), port: self.settings.port_base };
        for (index, candidate) in candidates.iter().enumerate() {
            while starting.claims.len() >= MAX_STARTING {
                self.wait_for_one(&mut starting, candidates, summary);
            }
            let begun = self
                .claim_port(candidate, &reserved, &mut starting.port)
                .and_then(|claim| self.begin(index, candidate, claim, &sender, summary));
            match begun {
                Ok((claim, keeper)) => {
                    starting.claims.insert(index, Some(claim));
                    starting.keepers.push(keeper);
                }
                Err(error) => self.fail(summary, candidate.id.clone(), Phase::Spawn, error),
            }
        }
        drop(sender);
        while !starting.claims.is_empty() {
            self.wait_for_one(&mut starting, candidates, summary);
        }
        Ok(starting.keepers)
    }

    /// The port that the service had last, if it is free; else the next free one, from where the last one was found on.
    fn claim_port(
        &self,
        candidate: &Candidate<'_>,
        reserved: &BTreeMap<u16, String>,
        next: &mut u16,
    ) -> Result<Claim, String> {
        let own = &candidate.cargo.relative;
        let preferred = reserved.iter().find(|(_, owner)| *owner == own).map(|(port, _)| *port);
        let is_reserved = |port| reserved.get(&port).is_some_and(|owner| owner != own);
        let claim = |first| self.ports.claim(&self.settings.listen_host, first, preferred, is_reserved);
        let claimed = match claim(*next) {
            // Some that were taken before may be free again.
            Err(PortError::Exhausted { .. }) if *next > self.settings.port_base => {
                claim(self.settings.port_base)
            }
            claimed => claimed,
        };
        let claimed = claimed.map_err(|error| error.to_string())?;
        if Some(claimed.port) != preferred {
            *next = claimed.port.saturating_add(1);
        }
        Ok(claimed)
    }

    /// Makes the folders, records what is going to be, starts the keeper and tells it the plan.
    ///
    /// A yard that is killed at any step leaves nothing behind that the next one does not understand: claims end with it,
    /// a context says `starting` with nobody behind it, a keeper without a plan ends, and one with a plan goes on by itself.
    fn begin(
        &self,
        index: usize,
        candidate: &Candidate<'_>,
        claim: Claim,
        sender: &Sender<(usize, Option<Answer>)>,
        summary: &mut Summary,
    ) -> Result<(Claim, Child), String> {
        let settings = &self.settings;
        reached("start/port");
        let io = |error: std::io::Error| format!("yard: {}: {error}", candidate.id);
        let (plan, remarks) =
            candidate.plan(settings, &self.home, &self.run, self.ports.folder(), claim.port).map_err(io)?;
        summary.remarks.extend(remarks);
        self.tell_of(candidate, &plan);
        self.make_folders(candidate, &plan).map_err(io)?;
        reached("start/folders");
        let log = self.home.claim_keeper(&candidate.run_folder()).map_err(io)?;
        let log = log.ok_or("another keeper looks after it; `ledger yard ps --reconcile` tells more")?;
        reached("start/claimed");
        self.record(candidate, &plan, claim.port)?;
        let mut keeper = self.spawn_keeper(log, &plan).map_err(io)?;
        reached("start/keeper");
        if let Err(error) = tell(&mut keeper, &plan) {
            // A keeper without a whole plan ends by itself.
            let _ = keeper.wait();
            return Err(io(error));
        }
        reached("start/told");
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
        Ok((claim, keeper))
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

    /// Writes down what is going to be started. It comes first: a yard that is killed now leaves a service that was going
    /// to start, not one that nobody knows.
    fn record(&self, candidate: &Candidate<'_>, plan: &Plan, port: u16) -> Result<(), String> {
        let io = |error: std::io::Error| format!("yard: {}: {error}", candidate.id);
        let run = candidate.run_folder();
        self.home.write(&run.join("port"), format!("{port}\n").as_bytes(), true).map_err(io)?;
        self.home
            .write_context(&plan.context_name, &plan.context, plan.is_private)
            .map_err(|error| error.to_string())?;
        reached("start/recorded");
        self.home.link(&run.join("current"), &plan.context_name).map_err(io)?;
        reached("start/linked");
        let path = || self.home.path().join(&plan.context_name);
        self.events.tell(|| EventKind::ContextWritten { service_id: candidate.id.clone(), path: path() });
        Ok(())
    }

    fn tell_of(&self, candidate: &Candidate<'_>, plan: &Plan) {
        let (id, context) = (&candidate.id, &plan.context);
        self.events.tell(|| EventKind::PortAllocated {
            service_id: id.clone(),
            listen_host: context.listen.host.clone(),
            port: context.port,
            base_url: context.listen.base_url.clone(),
        });
        self.events
            .tell(|| EventKind::PathsResolved { service_id: id.clone(), paths: context.paths.clone() });
        self.events.tell(|| EventKind::Spawning {
            service_id: id.clone(),
            proxy_endpoint_prefix: context.proxy_prefix.clone(),
        });
    }

    /// Starts a keeper. Its log is its lock: whoever wants to start another one sees that this one lives.
    fn spawn_keeper(&self, log: File, plan: &Plan) -> std::io::Result<Child> {
        let (program, arguments) = match self.settings.keeper.split_first() {
            Some((program, arguments)) => (program.clone(), arguments),
            None => (OsString::from("ledger"), [].as_slice()),
        };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        command.env(tag::KEEPER, &plan.context.paths.context);
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
}

/// Services that are on their way.
struct Starting {
    answers: Receiver<(usize, Option<Answer>)>,
    /// A claim is given back as soon as the keeper holds the port.
    claims: BTreeMap<usize, Option<Claim>>,
    keepers: Vec<Child>,
    /// From where on a free port is looked for.
    port: u16,
}

impl Yard {
    /// Takes one answer of one keeper.
    fn wait_for_one(&self, starting: &mut Starting, candidates: &[Candidate<'_>], summary: &mut Summary) {
        let Ok((index, answer)) = starting.answers.recv() else {
            starting.claims.clear();
            return;
        };
        let id = candidates.get(index).map(|candidate| candidate.id.clone()).unwrap_or_default();
        match answer {
            Some(Answer::Held) => {
                if let Some(claim) = starting.claims.get_mut(&index) {
                    *claim = None;
                }
                reached("start/held");
            }
            Some(Answer::Spawned { pid, url, timeout_ms }) => {
                self.events.tell(|| EventKind::Spawned { service_id: id.clone(), pid });
                self.events.tell(|| EventKind::ReachabilityProbeStarted { service_id: id, url, timeout_ms });
            }
            Some(Answer::Ready { url, status, duration_ms }) => {
                starting.claims.remove(&index);
                self.events.tell(|| EventKind::ServiceReachable {
                    service_id: id.clone(),
                    url,
                    status,
                    duration_ms,
                });
                summary.spawned.push(id);
                reached("start/ready");
            }
            Some(Answer::Failed { reason, asked_for_ms }) => {
                starting.claims.remove(&index);
                if let Some(duration_ms) = asked_for_ms {
                    let (service_id, error) = (id.clone(), reason.clone());
                    self.events.tell(|| EventKind::ServiceUnreachable { service_id, duration_ms, error });
                }
                let phase = if asked_for_ms.is_some() { Phase::Probe } else { Phase::Spawn };
                self.fail(summary, id, phase, reason);
            }
            None if starting.claims.remove(&index).is_some() => {
                let reason = "its keeper ended without an answer; see keeper.log in .run".to_owned();
                self.fail(summary, id, Phase::Spawn, reason);
            }
            None => {}
        }
    }
}

fn tell(keeper: &mut Child, plan: &Plan) -> std::io::Result<()> {
    let mut bytes = serde_json::to_vec(plan)?;
    bytes.push(b'\n');
    match keeper.stdin.take() {
        Some(mut stdin) => stdin.write_all(&bytes),
        None => Ok(()),
    }
}
