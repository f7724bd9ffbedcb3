//! `ledger yard …`: services over data files.

mod composite;
mod doctor;
mod list;
mod logs;
mod page;
mod proxy;
mod start;
mod stop;
mod web;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use ledger_yard::{ConfigFile, Home, HomeError, Record, Settings, SettingsError, StartError, keeper};

use crate::console::Console;
use crate::errors::Failure;

/// Arguments with which the yard starts this program as the keeper of one service. No command: there is nothing to do with
/// it by hand.
const KEEPER: [&str; 2] = ["yard", "keeper"];

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct YardArgs {
    #[command(subcommand)]
    pub(crate) command: Option<YardCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum YardCommand {
    /// Start a service over every data file that can be served and is not yet
    Start(start::StartArgs),
    /// List what the ledger holds: services, their state, where they listen
    Ls(list::LsArgs),
    /// List the services that run; with --reconcile compare them with the ledger (exit code 1 if they differ)
    Ps(list::PsArgs),
    /// Print the logs of services
    Logs(logs::LogsArgs),
    /// Stop services; they stay stopped until they are started or restarted
    Stop(stop::StopArgs),
    /// Stop services and start them again
    Restart(stop::RestartArgs),
    /// Stop every service of a ledger home; with --clean remove its sessions too
    Kill(stop::KillArgs),
    /// Write files for a reverse proxy, made from the ledger
    ProxyConf(proxy::ProxyArgs),
    /// Print SQL that attaches many databases to one connection
    Cc(composite::CompositeArgs),
    /// Serve the console and the services to a browser
    Web(web::WebArgs),
    /// Say whether everything is there that a yard needs
    Doctor(doctor::DoctorArgs),
}

/// Why a command of the group did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum YardFailure {
    /// The settings cannot be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The ledger home cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// The round could not begin.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The keeper could not begin or go on.
    #[error(transparent)]
    Keeper(#[from] keeper::KeeperError),
    /// The console cannot begin.
    #[error(transparent)]
    Console(#[from] ledger_console::ConsoleError),
    /// The key of the console cannot be used.
    #[error(transparent)]
    Key(#[from] ledger_console::KeyError),
    /// Some services are not as they should be; standard error has said which.
    #[error("yard: {0}")]
    Services(String),
}

/// The folder of the ledger.
#[derive(Args, Clone, Debug)]
pub(crate) struct LedgerHome {
    /// Folder of the ledger, or of one session of it where only reading is meant
    #[arg(long = "ledger-home", value_name = "DIR", default_value = "./ledger.d")]
    path: PathBuf,
}

impl LedgerHome {
    /// The ledger home, if there is one.
    fn existing(&self) -> Result<Option<Home>, Failure> {
        Ok(Home::existing(&self.path).map_err(YardFailure::from)?)
    }
}

/// How services are started; shared by `start` and `restart`.
#[derive(Args, Clone, Debug)]
pub(crate) struct StartSettings {
    /// Folder with data files; may be repeated
    #[arg(long = "cargo-home", value_name = "DIR", default_value = "./cargo.d")]
    cargo_homes: Vec<PathBuf>,
    #[command(flatten)]
    ledger_home: LedgerHome,
    /// Address on which services listen
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    listen_host: String,
    /// First port
    #[arg(long = "port-base", visible_alias = "start-port", value_name = "PORT", default_value_t = 3000)]
    port_base: u16,
    /// Prefix of services behind a proxy; {kind} and {path} are filled in [default: /apps/{kind}/{path}]
    #[arg(long, value_name = "TEMPLATE")]
    prefix: Option<String>,
    /// Files and folders to leave out, relative to a cargo home; may be repeated
    #[arg(long, value_name = "GLOB")]
    ignore: Vec<String>,
    /// Configuration [default: yard.yaml, if there is one]
    #[arg(long = "yard-config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl StartSettings {
    /// Settings from the configuration, overridden by flags.
    fn settings(&self) -> Result<Settings, YardFailure> {
        let mut config = match &self.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::of_working_directory()?,
        };
        config.override_with(self.prefix.clone(), self.ignore.clone());
        let program =
            std::env::current_exe().map_or_else(|_| OsString::from("ledger"), PathBuf::into_os_string);
        let mut settings =
            Settings::new(config, [vec![program], KEEPER.map(OsString::from).to_vec()].concat())?;
        settings.cargo_homes.clone_from(&self.cargo_homes);
        settings.ledger_home.clone_from(&self.ledger_home.path);
        settings.listen_host.clone_from(&self.listen_host);
        settings.port_base = self.port_base;
        Ok(settings)
    }
}

/// Whether this process is to be a keeper.
pub(crate) fn is_keeper(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.skip(1).eq(KEEPER)
}

/// Keeps one service until it has ended for good.
pub(crate) fn keep() -> Result<(), Failure> {
    Ok(keeper::run().map_err(YardFailure::from)?)
}

/// Runs a command of the group.
pub(crate) fn run(command: YardCommand, console: &mut Console<'_>) -> Result<(), Failure> {
    match command {
        YardCommand::Start(args) => start::run(&args, console),
        YardCommand::Ls(args) => list::ls(&args, console),
        YardCommand::Ps(args) => list::ps(&args, console),
        YardCommand::Logs(args) => logs::run(&args, console),
        YardCommand::Stop(args) => stop::stop(&args, console),
        YardCommand::Restart(args) => stop::restart(&args, console),
        YardCommand::Kill(args) => stop::kill(&args, console),
        YardCommand::ProxyConf(args) => proxy::run(&args, console),
        YardCommand::Cc(args) => composite::run(&args, console),
        YardCommand::Web(args) => web::run(&args, console),
        YardCommand::Doctor(args) => doctor::run(&args, console),
    }
}

/// The records that were asked for: by id, file name, path or prefix; all if nothing was named.
fn select(records: Vec<Record>, names: &[String]) -> Result<Vec<Record>, YardFailure> {
    let is_meant = |record: &Record, name: &String| {
        let file = record.relative_path().rsplit('/').next().unwrap_or_default();
        [record.service_id(), record.relative_path(), record.provenance(), record.prefix(), file]
            .contains(&name.as_str())
    };
    if let Some(unknown) = names.iter().find(|name| !records.iter().any(|record| is_meant(record, name))) {
        let known: Vec<&str> = records.iter().map(Record::service_id).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(YardFailure::Services(format!(
            "no service {unknown:?} in this ledger; there are: {known}"
        )));
    }
    if names.is_empty() {
        return Ok(records);
    }
    Ok(records.into_iter().filter(|record| names.iter().any(|name| is_meant(record, name))).collect())
}
