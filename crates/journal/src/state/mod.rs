//! The commands `state …`, shared by the binary `burn` and by `ledger journal` (specification §7).
//!
//! Results go to standard output, everything else to standard error. With `--json` the result is one JSON object, indented by
//! two spaces. Options follow the original's rules: `--name=value`, or `--name value` when the next word does not begin with
//! `-`; a switch therefore stands last or before another option.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | a failure, an unknown command, or options that exclude each other |
//! | 2 | a missing target, or a value that cannot be read |

mod args;
mod format;
mod progress;
mod prune;
mod rebuild;
mod reset;
mod status;
mod usage;

use std::io::{self, Write};

use args::Args;

use crate::archive::ArchiveError;
use crate::content::ContentError;
use crate::home::Home;
use crate::ledger::LedgerError;
use crate::lock::LockError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger or its index.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The content sidecar.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// A lock.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file, or the output.
    #[error(transparent)]
    File(#[from] io::Error),
    /// A result that could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Where output goes, and what is worked on.
struct Context<'a> {
    home: Home,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl Context<'_> {
    /// Writes a result as indented JSON.
    fn json(&mut self, value: &impl serde::Serialize) -> Result<(), StateError> {
        let text = serde_json::to_string_pretty(value)?;
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    /// Says what is wrong with the command line, and how it is meant.
    fn usage(&mut self, message: &str, usage: &str, code: u8) -> Result<u8, StateError> {
        writeln!(self.err, "{message}\n{usage}")?;
        Ok(code)
    }
}

/// Runs `burn` with these arguments (without the program's name) and returns the exit code.
pub fn burn(arguments: &[String], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let code = match arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        None | Some(("help" | "--help" | "-h", _)) => out.write_all(usage::BURN.as_bytes()).map(|()| 0),
        Some(("--version" | "-v" | "version", _)) => {
            writeln!(out, "burn {}", env!("CARGO_PKG_VERSION")).map(|()| 0)
        }
        Some(("state", rest)) => return state(rest, out, err),
        Some((other, _)) => writeln!(err, "burn: unknown command: {other}\n\n{}", usage::BURN).map(|()| 1),
    };
    code.unwrap_or(1)
}

/// Runs `state` with these arguments, in the home that the environment names, and returns the exit code.
pub fn state(arguments: &[String], out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let mut context = Context { home: Home::from_env(), out, err };
    match dispatch(&mut context, &Args::parse(arguments)) {
        Ok(code) => code,
        // Who stopped reading wants to hear no more.
        Err(StateError::File(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            // If standard error is gone too, the exit code still tells.
            let _ = writeln!(context.err, "burn: {error}");
            1
        }
    }
}

fn dispatch(context: &mut Context<'_>, args: &Args) -> Result<u8, StateError> {
    let command = args.word(0);
    if command == Some("rebuild") && args.wants_help() {
        context.out.write_all(usage::REBUILD.as_bytes())?;
        return Ok(0);
    }
    if command == Some("reset") && args.wants_help() {
        context.out.write_all(usage::RESET.as_bytes())?;
        return Ok(0);
    }
    if args.wants_help() {
        context.out.write_all(usage::STATE.as_bytes())?;
        return Ok(0);
    }
    match command {
        None | Some("status") => status::run(context, args),
        Some("rebuild") => rebuild::run(context, args),
        Some("prune") => prune::run(context, args),
        Some("reset") => reset::run(context, args),
        Some(other) => context.usage(&format!("burn state: unknown subcommand: {other}"), usage::STATE, 1),
    }
}
