//! The process of the service: starting it, asking whether it is ready, ending it with all that it forked.

use std::collections::{BTreeMap, HashSet};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use rustix::process::Signal;

use super::{Event, Keeper, complain, ready};
use crate::ledger::Moment;
use crate::listener::listens;
use crate::process::{self, Identity};

/// Pause between the first two questions whether the service answers; it doubles.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);
/// Longest such pause.
const MAX_PROBE_INTERVAL: Duration = Duration::from_millis(50);
/// How long to wait after SIGKILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

impl Keeper {
    /// Starts the program; the error says why that cannot be done and what would help.
    pub(super) fn spawn(&mut self) -> Result<u32, String> {
        let context = &self.plan.context;
        let command = &context.executable;
        let mut program = Command::new(located(command, &self.plan.environment));
        program.arg0(command).args(&context.args).env_clear().envs(&self.plan.environment);
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
    pub(super) fn probe(&self, pid: u32, over: Arc<AtomicBool>) {
        let (host, port) = (self.plan.context.listen.host.clone(), self.plan.context.port);
        let (path, timeout) = (self.plan.ready_path.clone(), self.plan.ready_timeout);
        let sender = self.sender.clone();
        std::thread::spawn(move || {
            let since = Instant::now();
            let mut pause = PROBE_INTERVAL;
            while !over.load(Ordering::Relaxed) {
                let answer = ready::answers(&host, port, &path).unwrap_or(None);
                let event = match answer.filter(|(_, address)| listens(pid, *address)) {
                    Some((status, _)) => Event::Ready { pid, status },
                    None if since.elapsed() > timeout => Event::NeverReady(pid),
                    None => {
                        std::thread::sleep(pause);
                        pause = pause.saturating_mul(2).min(MAX_PROBE_INTERVAL);
                        continue;
                    }
                };
                // Without a receiver the keeper is ending.
                let _ = sender.send(event);
                return;
            }
        });
    }

    /// Ends the service and everything that it forked. The service itself is over when its exit code is known, not when
    /// it is a zombie.
    pub(super) fn end_all(&mut self, service: u32, mut is_reaped: bool) {
        for (signal, patience) in [(Signal::TERM, self.plan.stop_timeout), (Signal::KILL, KILL_PATIENCE)] {
            let since = Instant::now();
            let mut told = HashSet::new();
            loop {
                let left = process::descendants(std::process::id());
                if left.is_empty() && is_reaped {
                    return self.output.wait();
                }
                if since.elapsed() > patience {
                    break;
                }
                for one in left {
                    if told.insert(one.clone())
                        && let Err(error) = one.signal(signal)
                    {
                        complain(format_args!("cannot signal process {}: {error}", one.pid));
                    }
                }
                match self.events.recv_timeout(Duration::from_millis(10)) {
                    Ok(Event::Reaped(pid, status)) if pid == service => {
                        self.note_exit(status);
                        is_reaped = true;
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The program that is meant, looked up as execvp(3) does: where its path is known, the standard library starts it by
/// posix_spawn(3), without copying this process first. A relative folder in `PATH` is left to the process itself.
fn located(command: &str, environment: &BTreeMap<String, String>) -> PathBuf {
    let folders = environment
        .get("PATH")
        .filter(|_| !command.contains('/'))
        .into_iter()
        .flat_map(std::env::split_paths);
    let mut files = folders.take_while(|folder| folder.is_absolute()).map(|folder| folder.join(command));
    let is_program = |file: &PathBuf| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    files.find(is_program).unwrap_or_else(|| command.into())
}
