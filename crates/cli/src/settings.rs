//! Flags that choose the configuration of a daemon and override it. They may stand anywhere on the command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use ledger_server::{Loaded, Overrides};

use crate::errors::Failure;

/// The variable that holds the key of the daemon.
const API_KEY_VARIABLE: &str = "LEDGER_API_KEY";

/// Which daemon, to be started or to be talked to.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "The daemon")]
pub(crate) struct Settings {
    /// Configuration file [default: ~/.ledger/config.yaml]
    #[arg(long, short = 'c', global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the daemon, instead of `listen`
    #[arg(long, global = true, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Address of its HTTP gateway, instead of `http_listen`
    #[arg(long, global = true, value_name = "HOST:PORT")]
    http_addr: Option<String>,
    /// Key, instead of `api_key`; other users of this machine can see it, LEDGER_API_KEY hides it
    #[arg(long, global = true, value_name = "KEY")]
    api_key: Option<String>,
}

impl Settings {
    /// The file, the environment and the flags.
    pub(crate) fn overrides(&self) -> Overrides {
        let flags = [
            ("--addr", "listen", &self.addr),
            ("--http-addr", "http_listen", &self.http_addr),
            ("--api-key", "api_key", &self.api_key),
        ];
        let given = flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?)));
        Overrides { config: self.config.clone(), flags: given.collect(), ..Overrides::of_process() }
    }

    /// The configuration of a daemon that perhaps never ran: its file may be missing.
    ///
    /// # Errors
    /// [`Failure::Config`].
    pub(crate) fn load(&self) -> Result<Loaded, Failure> {
        Ok(Loaded::load(&self.overrides(), true)?)
    }

    /// The configuration of a daemon to talk to: a file that was named must be there.
    ///
    /// # Errors
    /// [`Failure::Config`].
    pub(crate) fn load_existing(&self) -> Result<Loaded, Failure> {
        Ok(Loaded::load(&self.overrides(), false)?)
    }

    /// The key of the flag, as environment of another run of this program: arguments can be seen by others.
    pub(crate) fn secrets(&self) -> Vec<(&str, &str)> {
        self.api_key.as_deref().map(|key| (API_KEY_VARIABLE, key)).into_iter().collect()
    }

    /// The other flags for another run of this program.
    pub(crate) fn repeated(&self) -> Vec<OsString> {
        let text = |text: &Option<String>| text.clone().map(OsString::from);
        let config = self.config.clone().map(OsString::from);
        let flags =
            [("--config", config), ("--addr", text(&self.addr)), ("--http-addr", text(&self.http_addr))];
        let given = flags.into_iter().filter_map(|(flag, value)| Some([OsString::from(flag), value?]));
        given.flatten().collect()
    }
}
