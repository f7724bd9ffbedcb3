//! `ledger key …`: the keys that clients of the daemon need.

use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use ledger_server::{KeyFile, Loaded, Right, Running};

use crate::args::ExtraArgs;
use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    pub(crate) command: Option<KeyCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum KeyCommand {
    /// Make a key and print it; it is stored hashed and cannot be shown again
    #[command(override_usage = "ledger key create [OPTIONS] <NAME>")]
    Create(CreateArgs),
    /// List the keys: name, rights, stores, when each was made
    List(ExtraArgs),
    /// Take a key away
    #[command(override_usage = "ledger key revoke [OPTIONS] <NAME>")]
    Revoke {
        /// Name of the key
        name: Option<String>,
        #[command(flatten)]
        extra: ExtraArgs,
    },
}

/// Arguments of `key create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Store that the key opens; may be repeated [default: all]
    #[arg(long = "store", short = 's', value_name = "STORE")]
    stores: Vec<String>,
    /// What the key may do there; may be repeated [default: read and write]
    #[arg(long = "right", value_name = "RIGHT", value_enum)]
    rights: Vec<RightName>,
    /// Name of the key: 1 to 64 letters, digits, '_', '-' or '.'
    name: Option<String>,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// A right, as it is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum RightName {
    Read,
    Write,
    Admin,
}

impl From<RightName> for Right {
    fn from(name: RightName) -> Self {
        match name {
            RightName::Read => Self::Read,
            RightName::Write => Self::Write,
            RightName::Admin => Self::Admin,
        }
    }
}

/// Runs a command of this group.
pub(crate) fn dispatch(
    command: &KeyCommand,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let loaded = settings.load()?;
    match command {
        KeyCommand::Create(args) => create(args, &loaded, console),
        KeyCommand::List(extra) => {
            extra.warn(console);
            list(&loaded, console)
        }
        KeyCommand::Revoke { name, extra } => {
            KeyFile::new(loaded.folder()).revoke(extra.only(name)?)?;
            tell_daemon(&loaded, console)
        }
    }
}

fn create(args: &CreateArgs, loaded: &Loaded, console: &mut Console<'_>) -> Result<(), Failure> {
    let name = args.extra.only(&args.name)?;
    loaded.write_first_file()?;
    let mut rights: Vec<Right> = args.rights.iter().copied().map(Right::from).collect();
    if rights.is_empty() {
        rights = vec![Right::Read, Right::Write];
    }
    let keys = KeyFile::new(loaded.folder());
    let is_first = keys.list()?.is_none() && loaded.config.api_key.is_none();
    let stores = args.stores.iter().cloned().collect();
    let key = keys.create(name, stores, rights.into_iter().collect(), Timestamp::now())?;
    writeln!(console.out, "{key}")?;
    if is_first {
        console.note("This is the first key: from now on every request needs one.");
    }
    tell_daemon(loaded, console)
}

fn list(loaded: &Loaded, console: &mut Console<'_>) -> Result<(), Failure> {
    for key in KeyFile::new(loaded.folder()).list()?.unwrap_or_default() {
        let rights: Vec<_> = key.rights.iter().map(|right| right.name()).collect();
        let stores: Vec<_> = key.stores.into_iter().collect();
        let stores = if stores.is_empty() { "(all stores)".to_owned() } else { stores.join(",") };
        writeln!(console.out, "{}\t{}\t{stores}\t{}", key.name, rights.join(","), key.created_at)?;
    }
    Ok(())
}

/// A daemon that runs takes the change at once.
fn tell_daemon(loaded: &Loaded, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(running) = Running::find(loaded.folder())? {
        running.reload()?;
        let pid = running.holder.pid;
        console.note(format_args!("The running daemon (pid {pid}) was told to read its keys again."));
    }
    Ok(())
}
