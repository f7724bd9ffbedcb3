//! The binary `ledger`: one module per command group, no logic of its own. What an operation means is decided by
//! the store; what is here is how it is asked for and how the answer looks (specification §7).
//!
//! # Rooms
//!
//! | module | subject |
//! |---|---|
//! | `args` | the command tree and what its flags have in common |
//! | `usage` | errors of the command line, in the words of the program that the request describes |
//! | `errors` | [`Failure`](errors::Failure), exit codes |
//! | `anywhere` | flags in front of their command |
//! | `settings` | flags that choose a daemon and its configuration |
//! | `connect` | from an address to the stores of a daemon |
//! | `open` | from `--db` and `--store` to a store |
//! | `console` | where results and remarks go |
//! | `output` | entries as text and as JSON |
//! | `jsonl` | the format of `export` and `import` |
//! | `filter`, `time` | conditions on entries: flags to [`Filter`](ledger_streams::Filter) |
//! | `pages` | reading page after page |
//! | `load` | a file of lines: bytes to lines to batches to the store |
//! | `stream`, `store` | the command groups on entries |
//! | `chain` | the command group on chunk ledgers |
//! | `daemon`, `config`, `key` | the command groups around the daemon |
//! | `buffer` | the command group on an outbox on disk |
//! | `journal` | the commands of the journal, which are those of `burn state` |
//! | `yard` | services over data files |
//! | `quickstart` | the tour |
//!
//! Everything under `stream` is generic over [`Store`](ledger_streams::Store): it does not know what it talks to.
//!
//! # Exit codes
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; also when the reader of standard output went away, and when Ctrl+C ended `tail` |
//! | 1 | an error, which standard error names, or records were damaged (the others were printed) |
//! | 2 | `journal`: a missing target, or a value that cannot be read |
//! | 3 | `status`: no daemon is running |
//! | 130 | Ctrl+C ended an `append --input`, `import` or `export`; standard error says how to go on |
#![forbid(unsafe_code)]

mod anywhere;
mod args;
mod buffer;
mod chain;
mod config;
mod connect;
mod console;
mod daemon;
mod errors;
mod filter;
mod journal;
mod jsonl;
mod key;
mod load;
mod open;
mod output;
mod pages;
mod quickstart;
mod settings;
mod store;
mod stream;
mod time;
mod usage;
mod yard;

use std::process::ExitCode;

fn main() -> ExitCode {
    // Before anything else: there is one beside every service, and none of them needs the command tree.
    if yard::is_keeper(std::env::args_os()) {
        return errors::conclude(yard::keep(), 0);
    }
    match args::parse(std::env::args_os()) {
        Ok(cli) => console::with_terminal(|console| args::run(cli, console)),
        Err(error) => usage::report(&error),
    }
}
