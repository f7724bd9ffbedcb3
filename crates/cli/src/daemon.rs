//! `ledger start`, `stop`, `status`, `restart`: the process of the daemon (specification §6, §7).

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use ledger_server::background::{self, Started};
use ledger_server::{Config, Loaded, Overrides, Place, Running, log_path, run_daemon};

use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;

/// How much longer than its own deadline a daemon may take to end: closing the database comes after it.
const CLOSING_TIME: Duration = Duration::from_secs(20);

/// Arguments of `start`.
#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    /// Stay in the foreground, and log to standard error unless `log_file` is set
    #[arg(long)]
    foreground: bool,
    /// Run by `start`: detach once ready
    #[arg(long, hide = true)]
    background: bool,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// `ledger start`.
pub(crate) fn start(args: &StartArgs, settings: &Settings, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    let overrides = settings.overrides();
    match (args.foreground, args.background) {
        (_, true) => {
            background::leave_session().map_err(Failure::Runtime)?;
            serve(&overrides, Place::Background)
        }
        (true, false) if !settings.secrets().is_empty() => Err(hide_key(settings)),
        (true, false) => serve(&overrides, Place::Foreground),
        (false, false) => start_in_background(settings, console),
    }
}

/// Replaces this process by one with the same pid and settings whose key does not stand in the list of processes.
fn hide_key(settings: &Settings) -> Failure {
    let mut arguments: Vec<OsString> = vec!["start".into(), "--foreground".into()];
    arguments.extend(settings.repeated());
    Failure::Runtime(background::replace_process(&arguments, &settings.secrets()))
}

fn serve(overrides: &Overrides, place: Place) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let daemon = run_daemon(overrides, place, |address| {
        if place == Place::Background {
            background::report_ready(address);
        }
    });
    Ok(runtime.map_err(Failure::Runtime)?.block_on(daemon)?)
}

fn start_in_background(settings: &Settings, console: &mut Console<'_>) -> Result<(), Failure> {
    let loaded = settings.load()?;
    if let Some(running) = Running::find(loaded.folder())? {
        return Ok(writeln!(console.out, "ledger daemon already running (pid {})", running.holder.pid)?);
    }
    let mut arguments: Vec<OsString> = vec!["start".into(), "--background".into()];
    arguments.extend(settings.repeated());
    let at_most = loaded.config.start_timeout;
    match background::start(&arguments, &settings.secrets(), at_most).map_err(Failure::Runtime)? {
        Started::Ready { pid, .. } => Ok(writeln!(console.out, "ledger daemon started (pid {pid})")?),
        Started::Failed { status, error } if error.is_empty() => {
            Err(Failure::DaemonDidNotStart(format!("it ended with {status} and said nothing")))
        }
        Started::Failed { error, .. } => {
            let error = error.strip_prefix("Error: ").unwrap_or(&error).to_owned();
            Err(Failure::DaemonDidNotStart(error))
        }
        Started::NotYet { pid } => {
            let log = log_path(&loaded, Place::Background).unwrap_or_default();
            Err(Failure::DaemonNotReady { at_most: seconds(at_most), log, pid })
        }
    }
}

/// `ledger stop`.
pub(crate) fn stop(extra: &ExtraArgs, settings: &Settings, console: &mut Console<'_>) -> Result<(), Failure> {
    extra.warn(console);
    if !stop_running(&settings.load()?, console)? {
        writeln!(console.out, "ledger daemon is not running")?;
    }
    Ok(())
}

/// Stops the daemon of a folder and waits for its end; answers whether there was one.
fn stop_running(loaded: &Loaded, console: &mut Console<'_>) -> Result<bool, Failure> {
    let Some(running) = Running::find(loaded.folder())? else { return Ok(false) };
    let pid = running.holder.pid;
    running.terminate()?;
    writeln!(console.out, "sent SIGTERM to ledger daemon (pid {pid})")?;
    console.out.flush()?;
    let at_most = patience(&loaded.config);
    if running.wait(at_most)? {
        Ok(true)
    } else {
        Err(Failure::DaemonDidNotStop { at_most: seconds(at_most), pid })
    }
}

fn patience(config: &Config) -> Duration {
    config.shutdown_timeout.saturating_add(CLOSING_TIME)
}

/// `ledger status`.
pub(crate) fn status(
    extra: &ExtraArgs,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    extra.warn(console);
    match Running::find(settings.load()?.folder())? {
        Some(Running { holder, .. }) if holder.address.is_empty() => {
            Ok(writeln!(console.out, "ledger daemon is starting (pid {})", holder.pid)?)
        }
        Some(Running { holder, .. }) => Ok(writeln!(
            console.out,
            "ledger daemon is running (pid {}, addr {})",
            holder.pid, holder.address
        )?),
        None => {
            writeln!(console.out, "ledger daemon is not running")?;
            Err(Failure::NotRunning)
        }
    }
}

/// `ledger restart`.
pub(crate) fn restart(
    extra: &ExtraArgs,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    extra.warn(console);
    // What cannot start must not stop what runs.
    let loaded = settings.load()?;
    stop_running(&loaded, console)?;
    start_in_background(settings, console)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
