//! What can go wrong, how it is said, and the exit code it leads to.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use ledger_streams::{InvalidCursor, NotSupported, StoreError, StreamError};

use crate::args;
use crate::load::LoadError;

/// Exit code of a command that Ctrl+C ended before it was done.
const INTERRUPTED: u8 = 130;

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
    /// Neither `--db` nor `LEDGER_DB`.
    #[error(
        "no database is named: give --db FILE or set LEDGER_DB=FILE (this build works on local files only; it \
         cannot talk to a daemon)"
    )]
    NoDatabase,
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
