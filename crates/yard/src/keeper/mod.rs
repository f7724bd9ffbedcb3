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
mod service;

use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{WaitOptions, set_child_subreaper, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failpoint::reached;
use crate::ledger::{Home, HomeError, Moment, StateName};
use crate::ports::{PortError, Ports};
use crate::process::{self, Identity};

use output::Output;
use plan::MAX_PLAN_BYTES;
pub use plan::RestartPolicy;
pub(crate) use plan::{Answer, Plan};
pub(crate) use ready::request_path;

/// Pause before a state that could not be written is written again.
const RECORD_INTERVAL: Duration = Duration::from_secs(1);
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
    Ready { pid: u32, status: u16 },
    NeverReady(u32),
}

/// How one life of the service ended.
enum End {
    Stopped,
    ByItself(Failure),
}

/// How a service ended that nobody told to.
#[derive(Default)]
struct Failure {
    reason: String,
    lasted: Duration,
    was_ready: bool,
    /// How long it was asked whether it is ready, if that is why it was ended.
    asked_for: Option<Duration>,
}

struct Keeper {
    plan: Plan,
    home: Home,
    own: Option<Identity>,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Held while a process is being started: the standard library waits for a child itself if it cannot run the program.
    spawning: Arc<Mutex<()>>,
    output: Output,
    answered: bool,
    /// Whether the context does not say yet what it should, because it could not be written.
    is_unrecorded: bool,
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
    reached("keeper/told");
    let home = Home::create(&plan.home)?;
    let (sender, events) = mpsc::channel();
    let spawning = Arc::new(Mutex::new(()));
    listen_to_signals(sender.clone(), Arc::clone(&spawning))?;
    let output = Output::open(&home, &plan)?;
    let own = Identity::own();
    let (answered, is_unrecorded) = (false, false);
    let mut keeper = Keeper { plan, home, own, events, sender, spawning, output, answered, is_unrecorded };
    let _held = match keeper.hold_port() {
        Ok(held) => held,
        Err(error) => {
            keeper.fail(Failure { reason: error.to_string(), ..Failure::default() });
            return Err(error.into());
        }
    };
    reached("keeper/held");
    keeper.answer(&Answer::Held);
    keeper.keep();
    Ok(())
}

impl Keeper {
    /// Life after life.
    fn keep(&mut self) {
        let mut in_a_row = 0_u32;
        loop {
            let mut failure = match self.live() {
                End::Stopped => return self.record(StateName::Stopped, None),
                End::ByItself(failure) => failure,
            };
            let policy = self.plan.restart;
            if failure.lasted >= Duration::from_secs(policy.reset_after_seconds) && failure.was_ready {
                in_a_row = 0;
            }
            if !self.answered || in_a_row >= policy.limit {
                if in_a_row > 0 {
                    failure.reason.push_str(&format!(", started again {in_a_row} times in a row"));
                }
                return self.fail(failure);
            }
            self.record(StateName::Restarting, Some(failure.reason));
            if self.is_stopped_within(policy.pause(in_a_row)) {
                return self.record(StateName::Stopped, None);
            }
            in_a_row = in_a_row.saturating_add(1);
            self.plan.context.state.restarts = self.plan.context.state.restarts.saturating_add(1);
        }
    }

    /// From a start to the end of the process and all that it forked.
    fn live(&mut self) -> End {
        // The first time the yard has written that it is starting; who keeps it is told by the lock until it has a pid.
        if self.plan.context.keeper.is_some() {
            self.record(StateName::Starting, None);
        }
        let since = Instant::now();
        let service = match self.spawn() {
            Ok(service) => service,
            Err(reason) => return End::ByItself(Failure { reason, ..Failure::default() }),
        };
        reached("keeper/spawned");
        self.record(StateName::Starting, None);
        self.answer(&Answer::Spawned {
            pid: service,
            url: self.plan.context.listen.probe_url.clone(),
            timeout_ms: millis(self.plan.ready_timeout),
        });
        let over = Arc::new(AtomicBool::new(false));
        self.probe(service, Arc::clone(&over));
        let (mut was_ready, mut asked_for) = (false, None);
        let reason = loop {
            match self.next_event() {
                Some(Event::Stop) => {
                    over.store(true, Ordering::Relaxed);
                    self.record(StateName::Stopping, None);
                    self.end_all(service, false);
                    return End::Stopped;
                }
                Some(Event::Reaped(pid, status)) if pid == service => {
                    self.note_exit(status);
                    break format!("{}{}", describe(status), self.output.last_lines());
                }
                Some(Event::Ready { pid, status }) if pid == service => {
                    was_ready = true;
                    self.record(StateName::Ready, None);
                    reached("keeper/ready");
                    let url = self.plan.context.listen.probe_url.clone();
                    self.answer(&Answer::Ready { url, status, duration_ms: millis(since.elapsed()) });
                    self.answered = true;
                }
                Some(Event::NeverReady(pid)) if pid == service => {
                    asked_for = Some(self.plan.ready_timeout);
                    break self.unreachable();
                }
                _ => {}
            }
        };
        over.store(true, Ordering::Relaxed);
        self.end_all(service, asked_for.is_none());
        End::ByItself(Failure { reason, lasted: since.elapsed(), was_ready, asked_for })
    }

    fn unreachable(&mut self) -> String {
        let (seconds, url) = (self.plan.ready_timeout.as_secs(), self.plan.context.listen.probe_url.clone());
        format!("did not answer within {seconds} s at {url}{}", self.output.last_lines())
    }

    /// The next event. A state that could not be written is written while waiting for it.
    fn next_event(&mut self) -> Option<Event> {
        loop {
            if !self.is_unrecorded {
                return Some(self.events.recv().unwrap_or(Event::Stop));
            }
            match self.events.recv_timeout(RECORD_INTERVAL) {
                Ok(event) => return Some(event),
                Err(RecvTimeoutError::Disconnected) => return Some(Event::Stop),
                Err(RecvTimeoutError::Timeout) => self.write(),
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

    fn fail(&mut self, failure: Failure) {
        self.record(StateName::Failed, Some(failure.reason.clone()));
        let asked_for_ms = failure.asked_for.map(millis);
        self.answer(&Answer::Failed { reason: failure.reason, asked_for_ms });
    }

    /// Records a change of the state.
    fn record(&mut self, name: StateName, reason: Option<String>) {
        self.plan.context.state.become_now(name, reason);
        self.plan.context.keeper.clone_from(&self.own);
        self.write();
        reached("keeper/recorded");
    }

    /// Writes the context. The service goes on if that fails, and it is tried again: the disk may be full for a while.
    fn write(&mut self) {
        let written =
            self.home.write_context(&self.plan.context_name, &self.plan.context, self.plan.is_private);
        if let Err(error) = &written
            && !self.is_unrecorded
        {
            complain(format_args!("state {}: {error}", self.plan.context.state.name.as_str()));
        }
        self.is_unrecorded = written.is_err();
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

/// Writes to the keeper's log; that it cannot, because the disk is full, must not end anything.
fn complain(text: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "yard keeper: {text}");
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("ended by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
