//! `ledger yard stop`, `restart` and `kill`.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use ledger_yard::{Home, HomeError, Record, Stopped, Yard};

use super::{LedgerHome, StartSettings, YardFailure, select};
use crate::console::Console;
use crate::errors::Failure;

/// How long a watch may take to start a service again.
const WATCH_PATIENCE: Duration = Duration::from_secs(30);

/// Arguments of `yard stop`.
#[derive(Args, Debug)]
pub(crate) struct StopArgs {
    #[command(flatten)]
    home: LedgerHome,
    #[command(flatten)]
    timeout: StopTimeout,
    /// Services, by id, path or prefix
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

/// Arguments of `yard restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    settings: StartSettings,
    #[command(flatten)]
    timeout: StopTimeout,
    /// Services, by id, path or prefix
    #[arg(value_name = "SERVICE", required = true)]
    services: Vec<String>,
}

/// Arguments of `yard kill`.
#[derive(Args, Debug)]
pub(crate) struct KillArgs {
    #[command(flatten)]
    home: LedgerHome,
    #[command(flatten)]
    timeout: StopTimeout,
    /// Remove the session folders afterwards
    #[arg(long)]
    clean: bool,
}

/// How long services may take.
#[derive(Args, Clone, Copy, Debug)]
struct StopTimeout {
    /// How long a service may take to end before it is killed, in seconds
    #[arg(long = "timeout", value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
}

impl StopTimeout {
    fn get(self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

pub(super) fn stop(args: &StopArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Err(no_ledger().into()) };
    let records = chosen(&home, &args.services)?;
    let stopped = ledger_yard::stop(&home, &records, args.timeout.get());
    say(&stopped, console)
}

pub(super) fn restart(args: &RestartArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.settings.ledger_home.existing()? else { return Err(no_ledger().into()) };
    let records = chosen(&home, &args.services)?;
    let stopped = ledger_yard::stop(&home, &records, args.timeout.get());
    say(&stopped, console)?;
    for record in &records {
        home.forget(record).map_err(HomeError::from).map_err(YardFailure::from)?;
    }
    let wanted: Vec<String> = records.iter().map(|record| record.provenance().to_owned()).collect();
    match home.lock() {
        Ok(_lock) => start_again(args, home, &wanted, console),
        // A watch is at work: it sees that they are gone, and starts them.
        Err(HomeError::Locked { .. }) => wait_for_watch(&home, &wanted),
        Err(error) => Err(YardFailure::from(error).into()),
    }
}

fn start_again(
    args: &RestartArgs,
    home: Home,
    wanted: &[String],
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let session = home.new_session(jiff::Timestamp::now()).map_err(YardFailure::from)?;
    let mut yard = Yard::new(args.settings.settings()?, home, session.name).map_err(YardFailure::from)?;
    let summary =
        yard.round_of(|provenance| wanted.iter().any(|one| one == provenance)).map_err(YardFailure::from)?;
    for failure in &summary.errors {
        console.note(format_args!("Failed: {}: {}", failure.id, failure.error));
    }
    for id in &summary.spawned {
        writeln!(console.out, "started {id}")?;
    }
    if summary.spawned.len() == wanted.len() {
        return Ok(());
    }
    let text =
        "not all services were started again; are their files still below the cargo homes (--cargo-home)?";
    Err(YardFailure::Services(text.to_owned()).into())
}

fn wait_for_watch(home: &Home, wanted: &[String]) -> Result<(), Failure> {
    let since = Instant::now();
    loop {
        let (records, _) = home.latest().map_err(YardFailure::from)?;
        let is_back = |one: &String| {
            let mut records = records.iter();
            records.any(|record| record.provenance() == one && record.actual_state() == "ready")
        };
        if wanted.iter().all(is_back) {
            return Ok(());
        }
        if since.elapsed() > WATCH_PATIENCE {
            let text = "the watch has not started them again yet; see its output".to_owned();
            return Err(YardFailure::Services(text).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub(super) fn kill(args: &KillArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Ok(()) };
    let stopped = ledger_yard::kill(&home, args.timeout.get()).map_err(YardFailure::from)?;
    say(&stopped, console)?;
    if args.clean {
        for removed in home.clean().map_err(YardFailure::from)? {
            writeln!(console.out, "removed {}", Path::new(&removed).display())?;
        }
    }
    Ok(())
}

fn chosen(home: &Home, services: &[String]) -> Result<Vec<Record>, Failure> {
    let (records, _) = home.present().map_err(YardFailure::from)?;
    Ok(select(records, services)?)
}

fn say(stopped: &[Stopped], console: &mut Console<'_>) -> Result<(), Failure> {
    let mut left = 0_usize;
    for one in stopped {
        match &one.error {
            None => writeln!(console.out, "stopped {}", one.service_id)?,
            Some(error) => {
                left = left.saturating_add(1);
                console.note(format_args!("Failed: {}: {error}", one.service_id));
            }
        }
    }
    if left == 0 { Ok(()) } else { Err(YardFailure::Services(format!("{left} services still run")).into()) }
}

fn no_ledger() -> YardFailure {
    YardFailure::Services("there is no ledger home there; name it with --ledger-home".to_owned())
}
