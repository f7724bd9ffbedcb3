//! `ledger config …`: the configuration of the daemon.

use clap::{Args, Subcommand};
use ledger_server::config::SETTINGS;
use ledger_server::{Keyring, Loaded};

use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;

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
    Check(ExtraArgs),
    /// Print every setting, its value and where the value comes from; secrets are hidden
    Show(ExtraArgs),
}

/// Runs a command of this group.
pub(crate) fn dispatch(
    command: &ConfigCommand,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let (ConfigCommand::Check(extra) | ConfigCommand::Show(extra)) = command;
    extra.warn(console);
    let loaded = settings.load()?;
    match command {
        ConfigCommand::Check(_) => check(&loaded, console),
        ConfigCommand::Show(_) => show(&loaded, console),
    }
}

fn check(loaded: &Loaded, console: &mut Console<'_>) -> Result<(), Failure> {
    let keys = Keyring::load(&loaded.config, loaded.folder())?;
    loaded.check_exposure(keys.has_named_keys())?;
    let exists = if loaded.path.exists() { "" } else { " (there is no such file: defaults)" };
    Ok(writeln!(console.out, "config {} is fine{exists}", loaded.path.display())?)
}

fn show(loaded: &Loaded, console: &mut Console<'_>) -> Result<(), Failure> {
    for setting in SETTINGS.iter().filter(|setting| !setting.help.is_empty()) {
        let (key, value) = (setting.key, setting.shown(&loaded.config));
        writeln!(console.out, "{key}: {value}  # {}", loaded.origin(key))?;
    }
    Ok(())
}
