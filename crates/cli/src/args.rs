//! The command tree, and what its flags have in common.
//!
//! Flags behave as in the program that the request describes (specification §7): they may stand anywhere, a flag
//! takes whatever follows it as its value, the last of several values counts, a switch can be written `--json=false`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::builder::{BoolishValueParser, OsStringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use ledger_streams::limits::MAX_PAGE_ENTRIES;

use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;
use crate::{anywhere, buffer, chain, config, daemon, journal, key, quickstart, store, stream, yard};

/// Version of this build. Whoever builds a release sets commit and date in the environment of the compiler.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The command line.
#[derive(Parser, Debug)]
#[command(
    name = "ledger",
    about = "An append-only log: streams of entries in a local database file, or served by a daemon",
    disable_version_flag = true
)]
pub(crate) struct Cli {
    /// Database file to work on; without one `stream` talks to the daemon
    #[arg(long, global = true, env = "LEDGER_DB", value_name = "FILE", hide_env_values = true, value_parser = any_path())]
    db: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Tour a fresh store: append a file of JSON Lines, read, filter, tag, search and follow it
    Quickstart(quickstart::QuickstartArgs),
    /// Append, read, search and follow the entries of streams
    Stream(Box<stream::StreamArgs>),
    /// List and create stores, that is the tables that streams live in
    Store(store::StoreArgs),
    /// Keep and check tamper-evident ledgers in chunk files
    Chain(Box<chain::ChainArgs>),
    /// Append to, look at and send the outbox that a program keeps in a folder
    Buffer(buffer::BufferArgs),
    /// Start the daemon in the background, and wait until it answers
    Start(daemon::StartArgs),
    /// Stop the daemon, and wait until it has ended
    Stop(ExtraArgs),
    /// Say whether the daemon is running, and where it listens
    Status(ExtraArgs),
    /// Stop the daemon if it is running, then start it
    Restart(ExtraArgs),
    /// Check and show the configuration of the daemon
    Config(config::ConfigArgs),
    /// Create, list and revoke the keys that clients of the daemon need
    Key(key::KeyArgs),
    /// Inspect and maintain a journal of JSON Lines and its archive: status, rebuild, prune, reset
    #[command(disable_help_flag = true)]
    Journal(journal::JournalArgs),
    /// Run services over data files, recorded in a folder of files
    Yard(yard::YardArgs),
    /// Print a completion script for a shell
    #[command(visible_alias = "completion")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version(ExtraArgs),
}

/// Arguments beyond those that a command takes.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ExtraArgs {
    #[arg(hide = true, value_name = "EXTRA")]
    extra: Vec<String>,
}

impl ExtraArgs {
    /// Says which arguments have no effect. Commands that take none ignore them, as scripts may rely on, but not
    /// without a word.
    pub(crate) fn warn(&self, console: &mut Console<'_>) {
        for argument in &self.extra {
            console.note(format_args!("Warning: argument {argument:?} has no effect"));
        }
    }

    /// The only argument of a command that takes one.
    ///
    /// # Errors
    /// [`Failure::WrongArgumentCount`] if there is none, or more than one.
    pub(crate) fn only<'a, T>(&self, argument: &'a Option<T>) -> Result<&'a T, Failure> {
        match argument {
            Some(argument) if self.extra.is_empty() => Ok(argument),
            _ => {
                let received = usize::from(argument.is_some()).saturating_add(self.extra.len());
                Err(Failure::WrongArgumentCount { accepts: 1, received })
            }
        }
    }
}

/// Accepts an empty path too: an empty variable in the environment names no database.
fn any_path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// The database file that a command works on.
#[derive(Debug)]
pub(crate) struct DatabaseFile(Option<PathBuf>);

impl DatabaseFile {
    /// The path, if one was named.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.0.as_deref().filter(|path| !path.as_os_str().is_empty())
    }

    /// The path.
    ///
    /// # Errors
    /// [`Failure::NoDatabase`] if none was named.
    pub(crate) fn path(&self) -> Result<&Path, Failure> {
        self.named().ok_or(Failure::NoDatabase)
    }
}

/// Parses a command line.
///
/// # Errors
/// Those of [`clap`], help included; [`usage::report`](crate::usage::report) says them.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let tree = tree();
    let arguments = anywhere::flags_behind_commands(&tree, arguments.collect());
    Cli::from_arg_matches(&tree.try_get_matches_from(arguments)?)
}

/// Runs a parsed command line.
pub(crate) fn run(cli: Cli, console: &mut Console<'_>) -> Result<(), Failure> {
    let (database, settings) = (DatabaseFile(cli.db), &cli.settings);
    match cli.command {
        None => print_help(&[], console),
        Some(Command::Quickstart(args)) => block_on(quickstart::run(&args, database.named(), console)),
        Some(Command::Yard(args)) => match args.command {
            None => print_help(&["yard"], console),
            Some(command) => yard::run(command, console),
        },
        Some(Command::Stream(args)) => match args.command {
            None => print_help(&["stream"], console),
            Some(command) if database.named().is_some() => {
                block_on(stream::dispatch(command, &database, console))
            }
            Some(command) => block_on(stream::dispatch(command, settings, console)),
        },
        Some(Command::Store(args)) => match args.command {
            None => print_help(&["store"], console),
            Some(command) => block_on(store::dispatch(command, &database, console)),
        },
        Some(Command::Buffer(args)) => match args.command {
            None => print_help(&["buffer"], console),
            Some(command) => buffer::dispatch(command, settings, console),
        },
        Some(Command::Chain(args)) => match args.command {
            None => print_help(&["chain"], console),
            Some(command) => chain::dispatch(command, console),
        },
        Some(Command::Start(args)) => daemon::start(&args, settings, console),
        Some(Command::Stop(extra)) => daemon::stop(&extra, settings, console),
        Some(Command::Status(extra)) => daemon::status(&extra, settings, console),
        Some(Command::Restart(extra)) => daemon::restart(&extra, settings, console),
        Some(Command::Config(args)) => match args.command {
            None => print_help(&["config"], console),
            Some(command) => config::dispatch(&command, settings, console),
        },
        Some(Command::Key(args)) => match args.command {
            None => print_help(&["key"], console),
            Some(command) => key::dispatch(&command, settings, console),
        },
        Some(Command::Journal(args)) => journal::run(&args, console),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "ledger", &mut script);
            Ok(console.out.write_all(&script)?)
        }
        Some(Command::Version(extra)) => {
            extra.warn(console);
            let commit = option_env!("LEDGER_BUILD_COMMIT").unwrap_or("unknown");
            let date = option_env!("LEDGER_BUILD_DATE").unwrap_or("unknown");
            Ok(writeln!(console.out, "ledger {VERSION} (commit {commit}, built {date})")?)
        }
    }
}

fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(Failure::Runtime)?.block_on(command)
}

fn print_help(path: &[&str], console: &mut Console<'_>) -> Result<(), Failure> {
    Ok(write!(console.out, "{}", find(path).render_help())?)
}

/// How a command is used: its help without what it is about.
pub(crate) fn usage_of(path: &[&str]) -> String {
    let mut command = find(path).help_template("{usage-heading} {usage}\n\n{all-args}");
    command.render_help().to_string().trim_end().to_owned()
}

fn find(path: &[&str]) -> clap::Command {
    let mut tree = tree();
    tree.build();
    path.iter().fold(tree, |command, name| command.find_subcommand(name).cloned().unwrap_or(command))
}

/// The command tree, with flags that behave as in the original.
fn tree() -> clap::Command {
    with_flags_of_the_original(Cli::command())
}

fn with_flags_of_the_original(command: clap::Command) -> clap::Command {
    command
        .args_override_self(true)
        .mut_args(flag_of_the_original)
        .mut_subcommands(with_flags_of_the_original)
}

fn flag_of_the_original(flag: Arg) -> Arg {
    match flag.get_action() {
        ArgAction::SetTrue => flag
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .value_name("BOOL")
            .value_parser(BoolishValueParser::new())
            .default_value("false")
            .default_missing_value("true")
            .hide_default_value(true)
            .hide_possible_values(true),
        ArgAction::Set | ArgAction::Append if !flag.is_positional() => flag.allow_hyphen_values(true),
        _ => flag,
    }
}

/// Refuses an empty text.
///
/// # Errors
/// [`Failure::Arguments`].
pub(crate) fn not_empty<'t>(what: &str, text: &'t str) -> Result<&'t str, Failure> {
    if text.is_empty() { Err(Failure::Arguments(format!("{what} must not be empty"))) } else { Ok(text) }
}

/// A number of entries or lines.
///
/// # Errors
/// A text that says what is wrong.
pub(crate) fn number(text: &str) -> Result<usize, String> {
    let number: i128 = text.parse().map_err(|_| "it is not a whole number".to_owned())?;
    if number < 0 {
        return Err("it is negative".to_owned());
    }
    usize::try_from(number).map_err(|_| format!("it is over the limit of {}", usize::MAX))
}

/// The number of entries of a page; 0 stands for the default.
///
/// # Errors
/// A text that says what is wrong.
pub(crate) fn page_limit(text: &str) -> Result<usize, String> {
    match number(text)? {
        limit if limit <= MAX_PAGE_ENTRIES => Ok(limit),
        _ => Err(format!("it is over the limit of {MAX_PAGE_ENTRIES}; --all prints everything")),
    }
}
