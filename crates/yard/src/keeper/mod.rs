//! The keeper: a small process beside each service, so that its end is known and it survives the yard.
//!
//! ```text
//! yard ──plan──► keeper ──► service ──► its children
//!      ◄─answers─   │ ▲        │
//!                   │ └─ exit, output, readiness
//!                   └──► context.json, *.stdout.log, *.stderr.log
//! ```
//!
//! The keeper leaves the yard's session, holds the port's lock, starts the service, writes its logs, waits until it answers,
//! records every change of its state, and starts it again when it ends by itself, with growing pauses, up to a limit. It is
//! the "sub-reaper" (prctl(2)) of whatever the service forks, so nothing that forks away is lost: when the service
//! ends or is told to, all of it ends. SIGTERM or SIGINT to the keeper stops the service: SIGTERM to all, a while to end,
//! SIGKILL.
//!
//! A service that never got ready is not started again: whoever started it hears why.

mod output;
mod plan;
mod ready;

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Signal, WaitOptions, set_child_subreaper, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::ledger::{Home, HomeError, Moment, StateName};
use crate::ports::{PortError, Ports};
use crate::process::{self, Identity};

use output::Output;
use plan::MAX_PLAN_BYTES;
pub use plan::RestartPolicy;
pub(crate) use plan::{Answer, Plan};
pub(crate) use ready::request_path;

/// Pause between two questions whether the service answers.
const PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait for the lock of the port, which whoever looks for ports may test for a moment.
const PORT_PATIENCE: Duration = Duration::from_secs(2);

/// Why a keeper could not begin or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeeperError {
    /// Input or output failed.
    #[error("yard keeper: {0}")]
    Io(#[from] io::Error),
    /// The plan is not one; the yard that wrote it was killed, or it is another version.
    #[error(
        "yard keeper: this is started by `ledger yard start`, which sends a plan; what came is none: {0}"
    )]
    Plan(#[from] serde_json::Error),
    /// The ledger home cannot be written to.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The port cannot be held.
    #[error(transparent)]
    Port(#[from] PortError),
}

enum Event {
    Stop,
    Reaped(u32, ExitStatus),
    Ready(u32),
    NeverReady(u32),
}

/// How one life of the service ended.
enum End {
    Stopped,
    ByItself { reason: String, lasted: Duration, was_ready: bool },
}

struct Keeper {
    plan: Plan,
    home: Home,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Held while a process is being started: the standard library waits for a child itself if it cannot run the program.
    spawning: Arc<Mutex<()>>,
    output: Output,
    answered: bool,
}

/// Keeps one service: reads the plan from standard input, and comes back when the service has ended for good.
///
/// # Errors
/// See [`KeeperError`]. That the service fails is no error of the keeper: it is recorded and answered.
pub fn run() -> Result<(), KeeperError> {
    // Fails only for the leader of a process group, which then is on its own already.
    let _ = setsid();
    set_child_subreaper(process::raw(std::process::id())).map_err(io::Error::from)?;
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_PLAN_BYTES).read_to_end(&mut bytes)?;
    let plan: Plan = serde_json::from_slice(&bytes)?;
    drop(bytes);
    let home = Home::create(&plan.home)?;
    let (sender, events) = mpsc::channel();
    let spawning = Arc::new(Mutex::new(()));
    listen_to_signals(sender.clone(), Arc::clone(&spawning))?;
    let output = Output::open(&home, &plan)?;
    let mut keeper = Keeper { plan, home, events, sender, spawning, output, answered: false };
    let _held = match keeper.hold_port() {
        Ok(held) => held,
        Err(error) => {
            keeper.fail(&error.to_string());
            return Err(error.into());
        }
    };
    keeper.answer(&Answer::Held);
    keeper.keep();
    Ok(())
}

impl Keeper {
    /// Life after life.
    fn keep(&mut self) {
        let mut in_a_row = 0_u32;
        loop {
            let (reason, lasted, was_ready) = match self.live() {
                End::Stopped => return self.record(StateName::Stopped, None),
                End::ByItself { reason, lasted, was_ready } => (reason, lasted, was_ready),
            };
            let policy = self.plan.restart;
            if lasted >= Duration::from_secs(policy.reset_after_seconds) && was_ready {
                in_a_row = 0;
            }
            if !self.answered || in_a_row >= policy.limit {
                let times = if in_a_row > 0 {
                    format!(", started again {in_a_row} times in a row")
                } else {
                    String::new()
                };
                return self.fail(&format!("{reason}{times}"));
            }
            self.record(StateName::Restarting, Some(reason));
            if self.is_stopped_within(policy.pause(in_a_row)) {
                return self.record(StateName::Stopped, None);
            }
            in_a_row = in_a_row.saturating_add(1);
            self.plan.context.state.restarts = self.plan.context.state.restarts.saturating_add(1);
        }
    }

    /// From a start to the end of the process and all that it forked.
    fn live(&mut self) -> End {
        self.record(StateName::Starting, None);
        let since = Instant::now();
        let service = match self.spawn() {
            Ok(service) => service,
            Err(reason) => return End::ByItself { reason, lasted: Duration::ZERO, was_ready: false },
        };
        self.record(StateName::Starting, None);
        let over = Arc::new(AtomicBool::new(false));
        self.probe(service, Arc::clone(&over));
        let mut was_ready = false;
        let reason = loop {
            match self.events.recv() {
                Ok(Event::Stop) | Err(_) => {
                    over.store(true, Ordering::Relaxed);
                    self.record(StateName::Stopping, None);
                    self.end_all(service);
                    return End::Stopped;
                }
                Ok(Event::Reaped(pid, status)) if pid == service => {
                    self.note_exit(status);
                    break format!("{}{}", describe(status), self.output.last_lines());
                }
                Ok(Event::Ready(pid)) if pid == service => {
                    was_ready = true;
                    self.record(StateName::Ready, None);
                    self.answer(&Answer::Ready { pid });
                    self.answered = true;
                }
                Ok(Event::NeverReady(pid)) if pid == service => {
                    let seconds = self.plan.ready_timeout.as_secs();
                    let url = &self.plan.context.listen.probe_url;
                    let reason =
                        format!("did not answer within {seconds} s at {url}{}", self.output.last_lines());
                    self.end_all(service);
                    break reason;
                }
                Ok(_) => {}
            }
        };
        over.store(true, Ordering::Relaxed);
        self.end_all(service);
        End::ByItself { reason, lasted: since.elapsed(), was_ready }
    }

    /// Starts the program; the error says why that cannot be done and what would help.
    fn spawn(&mut self) -> Result<u32, String> {
        let context = &self.plan.context;
        let command = &context.executable;
        let mut program = Command::new(command);
        program.args(&context.args).env_clear().envs(&self.plan.environment);
        program.current_dir(&context.spawned.plan.cwd);
        program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawned = {
            let _guard = self.spawning.lock().unwrap_or_else(PoisonError::into_inner);
            program.spawn()
        };
        let mut child: Child = spawned.map_err(|error| {
            format!("cannot run {command:?}: {error}; install it, or name the program in yard.yaml")
        })?;
        let pid = child.id();
        self.output.follow(child.stdout.take(), child.stderr.take());
        let context = &mut self.plan.context;
        let now = Some(Moment::now());
        (context.pid, context.spawned.pid) = (Some(pid), Some(pid));
        (context.spawned_at, context.started_at) = (now, now);
        context.process = Identity::of(pid);
        Ok(pid)
    }

    /// Asks from a thread whether the service answers.
    fn probe(&self, pid: u32, over: Arc<AtomicBool>) {
        let (host, port) = (self.plan.context.listen.host.clone(), self.plan.context.port);
        let (path, timeout) = (self.plan.ready_path.clone(), self.plan.ready_timeout);
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let since = Instant::now();
            while !over.load(Ordering::Relaxed) {
                let is_ready =
                    ready::answers(&host, port, &path).unwrap_or(false) && process::listens(pid, port);
                let event = match (is_ready, since.elapsed() > timeout) {
                    (true, _) => Event::Ready(pid),
                    (false, true) => Event::NeverReady(pid),
                    (false, false) => {
                        std::thread::sleep(PROBE_INTERVAL);
                        continue;
                    }
                };
                // Without a receiver the keeper is ending.
                let _ = sender.send(event);
                return;
            }
        });
    }

    /// Ends the service and everything that it forked.
    fn end_all(&mut self, service: u32) {
        for (signal, patience) in [(Signal::TERM, self.plan.stop_timeout), (Signal::KILL, KILL_PATIENCE)] {
            let since = Instant::now();
            let mut told = std::collections::HashSet::new();
            loop {
                let left = process::descendants(std::process::id());
                if left.is_empty() {
                    return self.output.wait();
                }
                if since.elapsed() > patience {
                    break;
                }
                for one in left {
                    if told.insert(one.clone())
                        && let Err(error) = one.signal(signal)
                    {
                        eprintln!("yard keeper: cannot signal process {}: {error}", one.pid);
                    }
                }
                match self.events.recv_timeout(Duration::from_millis(10)) {
                    Ok(Event::Reaped(pid, status)) if pid == service => self.note_exit(status),
                    _ => {}
                }
            }
        }
    }

    fn is_stopped_within(&self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(Event::Stop) | Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
                Ok(_) => {}
            }
        }
    }

    fn hold_port(&self) -> Result<std::fs::File, PortError> {
        let ports = Ports::at(self.plan.ports.clone())?;
        let port = self.plan.context.port;
        let since = Instant::now();
        loop {
            if let Some(held) = ports.hold(port)? {
                return Ok(held);
            }
            if since.elapsed() > PORT_PATIENCE {
                return Err(PortError::Taken { port });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn note_exit(&mut self, status: ExitStatus) {
        let state = &mut self.plan.context.state;
        (state.exit_code, state.signal) = (status.code(), status.signal());
        state.exited_at = Some(Moment::now());
    }

    fn fail(&mut self, reason: &str) {
        self.record(StateName::Failed, Some(reason.to_owned()));
        self.answer(&Answer::Failed { reason: reason.to_owned() });
    }

    /// Records a change of the state. The service goes on if that fails: the disk may be full.
    fn record(&mut self, name: StateName, reason: Option<String>) {
        self.plan.context.state.become_now(name, reason);
        self.plan.context.keeper = Identity::own();
        let written =
            self.home.write_context(&self.plan.context_name, &self.plan.context, self.plan.is_private);
        if let Err(error) = written {
            eprintln!("yard keeper: state {}: {error}", name.as_str());
        }
    }

    /// Answers the yard, if it is still there.
    fn answer(&mut self, answer: &Answer) {
        if self.answered {
            return;
        }
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}

fn listen_to_signals(sender: Sender<Event>, spawning: Arc<Mutex<()>>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGCHLD])?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            if signal != SIGCHLD {
                let _ = sender.send(Event::Stop);
                continue;
            }
            let _guard = spawning.lock().unwrap_or_else(PoisonError::into_inner);
            while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
                let pid = u32::try_from(pid.as_raw_pid()).unwrap_or_default();
                let _ = sender.send(Event::Reaped(pid, ExitStatus::from_raw(status.as_raw())));
            }
        }
    });
    Ok(())
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
