//! `ledger start`, `stop`, `status`, `restart`: the process of the daemon (specification §6, §7).

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ledger_server::background::{self, Started};
use ledger_server::{Config, Loaded, Overrides, Place, Running, log_path, run_daemon};

use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;

/// The variable that holds the key of the daemon.
const API_KEY_VARIABLE: &str = "LEDGER_API_KEY";

/// How much longer than its own deadline a daemon may take to end: closing the database comes after it.
const CLOSING_TIME: Duration = Duration::from_secs(20);

/// Which daemon.
#[derive(Args, Debug, Default)]
pub(crate) struct ConfigFile {
    /// Configuration file of the daemon [default: ~/.ledger/config.yaml]
    #[arg(long, short = 'c', value_name = "FILE")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The file of a flag.
    pub(crate) fn named(config: Option<PathBuf>) -> Self {
        Self { config }
    }

    /// The configuration of that daemon, with the environment over it.
    ///
    /// # Errors
    /// [`Failure::Config`].
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        Ok(Loaded::load(&self.overrides(), true)?)
    }

    /// The file and the environment.
    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { config: self.config.clone(), ..Overrides::of_process() }
    }
}

/// Settings of the configuration that a flag overrides.
#[derive(Args, Debug)]
pub(crate) struct Settings {
    #[command(flatten)]
    file: ConfigFile,
    /// Address to listen on, instead of `listen`
    #[arg(long, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Address of the HTTP gateway, instead of `http_listen`
    #[arg(long, value_name = "HOST:PORT")]
    http_addr: Option<String>,
    /// Key that clients need, instead of `api_key`; other users of this machine can see it, LEDGER_API_KEY hides it
    #[arg(long, value_name = "KEY")]
    api_key: Option<String>,
}

impl Settings {
    fn overrides(&self) -> Overrides {
        let flags = [
            ("--addr", "listen", &self.addr),
            ("--http-addr", "http_listen", &self.http_addr),
            ("--api-key", "api_key", &self.api_key),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
        Overrides { flags: given.collect(), ..self.file.overrides() }
    }

    /// The key of the flag, as environment of another run of this program: arguments can be seen by others.
    fn secrets(&self) -> Vec<(&str, &str)> {
        self.api_key.as_deref().map(|key| (API_KEY_VARIABLE, key)).into_iter().collect()
    }

    /// The other flags for another run of this program.
    fn repeated(&self) -> Vec<OsString> {
        let mut arguments = Vec::new();
        let config = self.file.config.clone().map(OsString::from);
        let texts = [("--addr", &self.addr), ("--http-addr", &self.http_addr)];
        let texts = texts.into_iter().map(|(flag, text)| (flag, text.clone().map(OsString::from)));
        for (flag, value) in [("--config", config)].into_iter().chain(texts) {
            if let Some(value) = value {
                arguments.push(flag.into());
                arguments.push(value);
            }
        }
        arguments
    }
}

/// Arguments of `start`.
#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    settings: Settings,
    /// Stay in the foreground, and log to standard error unless `log_file` is set
    #[arg(long)]
    foreground: bool,
    /// Run by `start`: detach once ready
    #[arg(long, hide = true)]
    background: bool,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// Arguments of `restart`.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// Arguments of `stop` and `status`.
#[derive(Args, Debug)]
pub(crate) struct ControlArgs {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// `ledger start`.
pub(crate) fn start(args: &StartArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    let overrides = args.settings.overrides();
    match (args.foreground, args.background) {
        (_, true) => {
            background::leave_session().map_err(Failure::Runtime)?;
            serve(&overrides, Place::Background)
        }
        (true, false) if args.settings.api_key.is_some() => Err(hide_key(&args.settings)),
        (true, false) => serve(&overrides, Place::Foreground),
        (false, false) => start_in_background(&args.settings, console),
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
    let loaded = Loaded::load(&settings.overrides(), true)?;
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
pub(crate) fn stop(args: &ControlArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    if !stop_running(&args.file.load()?, console)? {
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
pub(crate) fn status(args: &ControlArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    match Running::find(args.file.load()?.folder())? {
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
pub(crate) fn restart(args: &RestartArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    // What cannot start must not stop what runs.
    let loaded = Loaded::load(&args.settings.overrides(), true)?;
    stop_running(&loaded, console)?;
    start_in_background(&args.settings, console)
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}
