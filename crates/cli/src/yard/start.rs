//! `ledger yard start`, with and without `--watch`.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use ledger_yard::{
    Event, Home, Listener, Round, Session, Settings, Summary, Verbosity, WatchOptions, Yard, kill, watch,
};
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use super::{StartSettings, YardFailure, list};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `yard start`.
#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    settings: StartSettings,
    /// Keep running: start what appears, stop what goes, start again what ends
    #[arg(long)]
    watch: bool,
    /// With --watch: leave the services running at the end
    #[arg(long, requires = "watch")]
    keep: bool,
    /// With --watch: longest time for which changes are gathered before they are acted upon
    #[arg(long, value_name = "MS", default_value_t = 750)]
    watch_debounce_ms: u64,
    /// With --watch: longest time between two looks at the folders, changes or not
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    watch_rescan_ms: u64,
    /// With --watch: when a file goes, stop its service only if this very run started it
    #[arg(long)]
    watch_strict_kills_only: bool,
    /// Print the session folder, and what was started, skipped and failed
    #[arg(long)]
    summarize: bool,
    /// Do not list the services at the end
    #[arg(long)]
    no_ls: bool,
    /// Print the summary as JSON, and nothing else
    #[arg(long)]
    json: bool,
    /// Tell what happens, as it happens, on standard error; with --json as one JSON object per line
    #[arg(long, value_name = "EVENTS", value_enum)]
    verbose: Option<Verbose>,
}

/// Which events are told.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verbose {
    /// What was started, where, and what went wrong
    Essential,
    /// Every step
    Comprehensive,
}

impl Verbose {
    /// Writes events to standard error; that one cannot be written is no reason to stop.
    fn listener(self, as_json: bool) -> Listener {
        let verbosity = match self {
            Self::Essential => Verbosity::Essential,
            Self::Comprehensive => Verbosity::Comprehensive,
        };
        Box::new(move |event: &Event| {
            if !event.kind.is_told(verbosity) {
                return;
            }
            let line = if as_json {
                serde_json::to_string(event).unwrap_or_default()
            } else {
                format!("[+{}ms] {}", event.t_ms, event.kind)
            };
            let _ = writeln!(std::io::stderr(), "{line}");
        })
    }
}

pub(super) fn run(args: &StartArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let settings = args.settings.settings()?;
    let home = Home::create(&settings.ledger_home).map_err(YardFailure::from)?;
    let lock = home.lock().map_err(YardFailure::from)?;
    if args.watch {
        lock.watching().map_err(YardFailure::from)?;
        let session = home.watch_session().map_err(YardFailure::from)?;
        let mut yard = open(args, settings, home, session)?;
        return keep_watching(args, &mut yard, console);
    }
    let session = home.new_session(Timestamp::now()).map_err(YardFailure::from)?;
    let mut yard = open(args, settings, home, session)?;
    let summary = yard.round().map_err(YardFailure::from)?;
    report(&summary, console);
    if args.json {
        writeln!(console.out, "{}", json!({ "sessionHome": session_home(&yard), "summary": summary }))?;
    } else {
        if args.summarize {
            summarize(&yard, &summary, console)?;
        }
        if !args.no_ls {
            list::running(yard.home(), console)?;
        }
    }
    conclude(&summary)
}

fn open(args: &StartArgs, settings: Settings, home: Home, session: Session) -> Result<Yard, YardFailure> {
    let mut yard = Yard::new(settings, home, session.name)?;
    if let Some(verbose) = args.verbose {
        yard.listen(verbose.listener(args.json));
    }
    Ok(yard)
}

/// Remarks and failures; they come first, and to standard error.
fn report(summary: &Summary, console: &mut Console<'_>) {
    for remark in &summary.remarks {
        console.note(format_args!("Warning: {remark}"));
    }
    for failure in &summary.errors {
        console.note(format_args!("Failed: {}: {}", failure.id, failure.error));
    }
}

fn summarize(yard: &Yard, summary: &Summary, console: &mut Console<'_>) -> Result<(), Failure> {
    writeln!(console.out, "sessionHome: {}", session_home(yard))?;
    let json = serde_json::to_string_pretty(summary).unwrap_or_default();
    writeln!(console.out, "summary:\n{json}")?;
    Ok(())
}

fn session_home(yard: &Yard) -> String {
    yard.home().path().join(yard.session()).display().to_string()
}

fn conclude(summary: &Summary) -> Result<(), Failure> {
    match summary.errored.len() {
        0 => Ok(()),
        1 => Err(YardFailure::Services("1 service could not be started".to_owned()).into()),
        count => Err(YardFailure::Services(format!("{count} services could not be started")).into()),
    }
}

fn keep_watching(args: &StartArgs, yard: &mut Yard, console: &mut Console<'_>) -> Result<(), Failure> {
    let ending = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&ending)).map_err(Failure::Input)?;
    }
    let options = WatchOptions {
        debounce: Duration::from_millis(args.watch_debounce_ms),
        rescan: Duration::from_millis(args.watch_rescan_ms.max(50)),
        strict_kills_only: args.watch_strict_kills_only,
    };
    let homes: Vec<String> =
        yard.settings().cargo_homes.iter().map(|home| home.display().to_string()).collect();
    writeln!(console.out, "Watching {}; the session is {}", homes.join(", "), session_home(yard))?;
    writeln!(console.out, "Ctrl+C stops the services{}.", if args.keep { " not: --keep" } else { "" })?;
    console.out.flush()?;
    let mut first = true;
    let mut failed = Ok(());
    let watched = watch(yard, options, &ending, |yard, round| {
        if let Err(error) = say(yard, round, std::mem::take(&mut first), args, console) {
            // Without a reader of standard output there is nobody to watch for.
            failed = Err(error);
            ending.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    });
    if !args.keep {
        let stopped = kill(yard.home(), yard.settings().stop_timeout).map_err(YardFailure::from)?;
        console.note(format_args!(
            "Stopped {} services.",
            stopped.iter().filter(|one| one.error.is_none()).count()
        ));
        for one in stopped {
            if let Some(error) = one.error {
                console.note(format_args!("Failed: {}: {error}", one.service_id));
            }
        }
    }
    watched.map_err(YardFailure::from)?;
    failed
}

fn say(
    yard: &Yard,
    round: &Round,
    first: bool,
    args: &StartArgs,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    report(&round.summary, console);
    let out = &mut console.out;
    for stopped in &round.stopped {
        match &stopped.error {
            None => writeln!(out, "stopped {}", stopped.service_id)?,
            Some(error) => writeln!(out, "not stopped: {}: {error}", stopped.service_id)?,
        }
    }
    for id in &round.summary.spawned {
        writeln!(out, "started {id}")?;
    }
    if first && !args.no_ls {
        list::running(yard.home(), console)?;
    }
    console.out.flush()?;
    Ok(())
}
