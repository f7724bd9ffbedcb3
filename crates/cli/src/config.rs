//! `ledger config …`: the configuration of the daemon.

use clap::{Args, Subcommand};
use ledger_server::Keyring;
use ledger_server::config::SETTINGS;

use crate::args::ExtraArgs;
use crate::console::Console;
use crate::daemon::ConfigFile;
use crate::errors::Failure;

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ConfigCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum ConfigCommand {
    /// Say whether a daemon could start with this configuration
    Check(FileArgs),
    /// Print every setting, its value and where the value comes from; secrets are hidden
    Show(FileArgs),
}

/// Arguments of a command of this group.
#[derive(Args, Debug)]
pub(crate) struct FileArgs {
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// Runs a command of this group.
pub(crate) fn dispatch(command: &ConfigCommand, console: &mut Console<'_>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check(args) => check(args, console),
        ConfigCommand::Show(args) => show(args, console),
    }
}

fn check(args: &FileArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    let loaded = args.file.load()?;
    let keys = Keyring::load(&loaded.config, loaded.folder())?;
    loaded.check_exposure(keys.has_named_keys())?;
    let exists = if loaded.path.exists() { "" } else { " (there is no such file: defaults)" };
    Ok(writeln!(console.out, "config {} is fine{exists}", loaded.path.display())?)
}

fn show(args: &FileArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    args.extra.warn(console);
    let loaded = args.file.load()?;
    for setting in SETTINGS.iter().filter(|setting| !setting.help.is_empty()) {
        let (key, value) = (setting.key, setting.shown(&loaded.config));
        writeln!(console.out, "{key}: {value}  # {}", loaded.origin(key))?;
    }
    Ok(())
}
