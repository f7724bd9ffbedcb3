//! What can go wrong, how it is said, and the exit code it leads to.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ledger_streams::{InvalidCursor, NotSupported, StoreError, StreamError};

use crate::args;
use crate::buffer::BufferError;
use crate::load::LoadError;

/// Exit code of a command that Ctrl+C ended before it was done.
const INTERRUPTED: u8 = 130;

/// Exit code of `status` when no daemon is running, as init scripts know it.
const NOT_RUNNING: u8 = 3;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A required option is missing; the usage of the command follows.
    #[error("{option} is required")]
    OptionRequired {
        /// The option, with its dashes.
        option: &'static str,
        /// Names of the command group and the command.
        command: [&'static str; 2],
    },
    /// Too few or too many arguments.
    #[error("accepts {accepts} arg(s), received {received}")]
    WrongArgumentCount {
        /// How many there should be.
        accepts: usize,
        /// How many there are.
        received: usize,
    },
    /// Arguments that make no sense.
    #[error("{0}")]
    Arguments(String),
    /// Neither `--db` nor `LEDGER_DB`, for a command that works on local files only.
    #[error(
        "no database file is named: give --db FILE or set LEDGER_DB=FILE (this command works on local files only)"
    )]
    NoDatabase,
    /// The daemon cannot be reached.
    #[error(transparent)]
    Connect(#[from] ledger_api::ClientError),
    /// A daemon refused or failed, or there is none.
    #[error("rpc error: code = {code} desc = {text}")]
    Rpc {
        /// Name of the code.
        code: String,
        /// What it said.
        text: String,
    },
    /// The database or the store cannot be opened.
    #[error(transparent)]
    Open(#[from] ledger_sqlite::OpenError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry of a typed stream could not be encoded or decoded, or its store failed.
    #[error(transparent)]
    Stream(#[from] StreamError<i64>),
    /// What only some stores can do, and this one cannot, in the words of the original.
    #[error(
        "{operation:?} is not supported by the configured backend\n(mutation operations are unavailable on \
         append-only stores such as ClickHouse)"
    )]
    AppendOnly {
        /// The operation, by its name on the wire.
        operation: &'static str,
    },
    /// A file could not be stored to its end.
    #[error(transparent)]
    Load(Box<LoadError>),
    /// A buffer failed.
    #[error(transparent)]
    Buffer(Box<BufferError>),
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}", path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(io::Error),
    /// Standard output cannot be written to.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// A command on services failed.
    #[error(transparent)]
    Yard(#[from] crate::yard::YardFailure),
    /// The configuration of the daemon cannot be used.
    #[error(transparent)]
    Config(#[from] ledger_server::ConfigError),
    /// The keys of the daemon cannot be used.
    #[error(transparent)]
    Keys(#[from] ledger_server::KeyError),
    /// The process of the daemon cannot be found or signalled.
    #[error(transparent)]
    Pid(#[from] ledger_server::PidError),
    /// The daemon of this process ended with an error.
    #[error(transparent)]
    Daemon(#[from] ledger_server::DaemonError),
    /// The daemon was started and ended.
    #[error("daemon failed to start: {0}")]
    DaemonDidNotStart(String),
    /// The daemon takes longer than `start_timeout`.
    #[error("daemon did not report ready within {at_most} (check {}); it is still starting (pid {pid})", log.display())]
    DaemonNotReady {
        /// How long was waited.
        at_most: String,
        /// Where it says what it is doing.
        log: PathBuf,
        /// Its process.
        pid: u32,
    },
    /// The daemon did not end in time.
    #[error(
        "ledger daemon (pid {pid}) has not ended within {at_most}; stop it again to cut off what it waits for"
    )]
    DaemonDidNotStop {
        /// How long was waited.
        at_most: String,
        /// Its process.
        pid: u32,
    },
    /// No daemon is running: said on standard output, and by the exit code.
    #[error("ledger daemon is not running")]
    NotRunning,
    /// A command of the journal failed: said on standard error, and by the exit code.
    #[error("exit code {0}")]
    Journal(u8),
    /// Something went wrong with a chunk ledger.
    #[error(transparent)]
    Chain(Box<dyn Error + Send + Sync>),
    /// A chunk ledger does not verify; the report says why.
    #[error("{0}")]
    NotVerified(&'static str),
    /// Two chunk ledgers differ.
    #[error("{0}")]
    Differs(String),
    /// Ctrl+C.
    #[error("interrupted")]
    Interrupted,
    /// The runtime could not be started.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

impl Failure {
    fn is_interruption(&self) -> bool {
        match self {
            Self::Interrupted => true,
            Self::Load(error) => matches!(**error, LoadError::Interrupted { .. }),
            _ => false,
        }
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        Self::Load(Box::new(error))
    }
}

impl From<BufferError> for Failure {
    fn from(error: BufferError) -> Self {
        Self::Buffer(Box::new(error))
    }
}

impl From<InvalidCursor> for Failure {
    fn from(error: InvalidCursor) -> Self {
        Self::Store(error.into())
    }
}

impl From<NotSupported> for Failure {
    fn from(error: NotSupported) -> Self {
        Self::Store(error.into())
    }
}

/// Says what went wrong, if anything did, and answers the exit code.
pub(crate) fn conclude(result: Result<(), Failure>, damaged_records: u64) -> ExitCode {
    match result {
        Ok(()) if damaged_records == 0 => ExitCode::SUCCESS,
        Ok(()) => ExitCode::FAILURE,
        // Whoever read the results has seen enough.
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(Failure::NotRunning) => ExitCode::from(NOT_RUNNING),
        Err(Failure::Journal(code)) => ExitCode::from(code),
        Err(failure) => {
            say(&failure);
            if failure.is_interruption() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

fn say(failure: &Failure) {
    let mut text = format!("Error: {failure}\n");
    if let Failure::OptionRequired { command, .. } = failure {
        text.push_str(&format!("\n{}\n", args::usage_of(command)));
    }
    let mut said = failure.to_string();
    let mut cause = failure.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !said.contains(&reason) {
            text.push_str(&format!("  caused by: {reason}\n"));
            said = reason;
        }
        cause = error.source();
    }
    // If standard error is gone there is nobody left to tell.
    let _ = io::stderr().write_all(text.as_bytes());
}
