//! Starting a daemon in the background, and hearing why it did not start (W33).
//!
//! The starter runs the same program again with pipes as standard output and error. The child leaves the session,
//! starts, writes one line with its address to standard output and then turns both to the null device; its log goes
//! to a file from the beginning. If it fails it says why on standard error, like any program, and ends: the starter
//! reads both to their end and knows.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Most bytes of the child's error that are handed on.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// What became of a start.
#[derive(Debug)]
pub enum Started {
    /// It answers requests.
    Ready {
        /// Its process id.
        pid: u32,
        /// Where it listens.
        address: String,
    },
    /// It has ended.
    Failed {
        /// How.
        status: ExitStatus,
        /// What it said.
        error: String,
    },
    /// It was not ready in time. It is left running: recovery of a large database can take long.
    NotYet {
        /// Its process id.
        pid: u32,
    },
}

/// Runs this program with these arguments and further environment (for secrets: arguments can be seen by other
/// users of the machine) as a daemon and waits until it is ready. It has to call [`leave_session`]
/// first and [`report_ready`] when it is.
///
/// # Errors
/// If the program cannot be run at all.
pub fn start(
    arguments: &[OsString],
    environment: &[(&str, &str)],
    at_most: Duration,
) -> std::io::Result<Started> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let pid = child.id();
    let (sender, first_line) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        // The thread ends with the first line, or with the child.
        std::thread::Builder::new().name("ledger-start".to_owned()).spawn(move || {
            let mut line = String::new();
            let read = BufReader::new(stdout).read_line(&mut line);
            let _ = sender.send(read.map(|_| line));
        })?;
    }
    match first_line.recv_timeout(at_most) {
        Ok(Ok(line)) if line.ends_with('\n') => {
            Ok(Started::Ready { pid, address: line.trim_end().to_owned() })
        }
        Err(mpsc::RecvTimeoutError::Timeout) => Ok(Started::NotYet { pid }),
        _ => failed(child),
    }
}

/// Runs this program anew in the place of this process, with these arguments and further environment: its pid and
/// open files stay, its arguments go.
///
/// Comes back only if that fails.
pub fn replace_process(arguments: &[OsString], environment: &[(&str, &str)]) -> std::io::Error {
    match std::env::current_exe() {
        Ok(program) => Command::new(program).args(arguments).envs(environment.iter().copied()).exec(),
        Err(error) => error,
    }
}

fn failed(mut child: Child) -> std::io::Result<Started> {
    let mut error = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(MAX_ERROR_BYTES).read_to_end(&mut error)?;
    }
    let error = String::from_utf8_lossy(&error).trim().to_owned();
    Ok(Started::Failed { status: child.wait()?, error })
}

/// In the child: no longer of the session that it was started in, so that closing the terminal does not end it.
///
/// # Errors
/// If the operating system refuses, as it does to the leader of a process group.
pub fn leave_session() -> std::io::Result<()> {
    rustix::process::setsid().map(drop).map_err(Into::into)
}

/// In the child: tells the starter, then lets go of its pipes. If the starter has gone the daemon runs on.
pub fn report_ready(address: SocketAddr) {
    let mut stdout = std::io::stdout();
    let _ = writeln!(stdout, "{address}").and_then(|()| stdout.flush());
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let let_go = |null: File| {
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)
    };
    if let Err(error) = null.and_then(|null| let_go(null).map_err(Into::into)) {
        tracing::warn!(err = %error, "standard output and error stay open");
    }
}
