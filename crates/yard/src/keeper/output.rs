//! What the service prints, on its way to the logs.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Plan, complain};
use crate::ledger::{Home, Log};

/// How much of the end of the output is kept for error messages.
const TAIL_BYTES: usize = 2048;
/// How many lines of it are shown.
const TAIL_LINES: usize = 5;
/// How long to wait for the last output of a service whose processes are gone.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// The two logs of a service, and the end of what it printed.
pub(super) struct Output {
    stdout: Arc<Mutex<Log>>,
    stderr: Arc<Mutex<Log>>,
    tail: Arc<Mutex<VecDeque<u8>>>,
    pumps: Vec<JoinHandle<()>>,
}

impl Output {
    /// Opens both logs, or goes on with them.
    pub(super) fn open(home: &Home, plan: &Plan) -> io::Result<Self> {
        let log = |path: &str| {
            let name: PathBuf =
                Path::new(path).strip_prefix(home.path()).map_err(io::Error::other)?.to_owned();
            Log::open(Arc::clone(home.dir()), &name, plan.is_private, plan.max_log_bytes)
                .map(|log| Arc::new(Mutex::new(log)))
        };
        let paths = &plan.context.paths;
        Ok(Self {
            stdout: log(&paths.stdout)?,
            stderr: log(&paths.stderr)?,
            tail: Arc::default(),
            pumps: Vec::new(),
        })
    }

    /// Writes what comes from these pipes, as it comes.
    pub(super) fn follow(
        &mut self,
        stdout: Option<impl Read + Send + 'static>,
        stderr: Option<impl Read + Send + 'static>,
    ) {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.pumps.clear();
        if let Some(pipe) = stdout {
            self.pumps.push(pump(pipe, Arc::clone(&self.stdout), Arc::clone(&self.tail)));
        }
        if let Some(pipe) = stderr {
            self.pumps.push(pump(pipe, Arc::clone(&self.stderr), Arc::clone(&self.tail)));
        }
    }

    /// Waits until all output is written. A pipe that somebody else holds open is left behind after a while.
    pub(super) fn wait(&mut self) {
        let since = Instant::now();
        while self.pumps.iter().any(|pump| !pump.is_finished()) && since.elapsed() < DRAIN_PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// `; last output: …`, or nothing if it printed nothing.
    pub(super) fn last_lines(&mut self) -> String {
        self.wait();
        let tail: Vec<u8> =
            self.tail.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect();
        let text = String::from_utf8_lossy(&tail);
        let mut lines: Vec<&str> =
            text.lines().rev().filter(|line| !line.trim().is_empty()).take(TAIL_LINES).collect();
        lines.reverse();
        if lines.is_empty() { String::new() } else { format!("; last output:\n{}", lines.join("\n")) }
    }
}

fn pump(
    mut pipe: impl Read + Send + 'static,
    log: Arc<Mutex<Log>>,
    tail: Arc<Mutex<VecDeque<u8>>>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        loop {
            let length = match pipe.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            let bytes = buffer.get(..length).unwrap_or_default();
            let mut end = tail.lock().unwrap_or_else(PoisonError::into_inner);
            end.extend(bytes);
            let surplus = end.len().saturating_sub(TAIL_BYTES);
            end.drain(..surplus);
            drop(end);
            // A full disk must not stop the service: it goes on, and what it prints meanwhile is lost.
            if let Err(error) = log.lock().unwrap_or_else(PoisonError::into_inner).write(bytes) {
                complain(format_args!("{error}"));
            }
        }
    })
}
