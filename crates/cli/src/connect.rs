//! From an address to the stores of a daemon.

use std::path::PathBuf;

use clap::Args;
use ledger_api::{Client, ClientBuilder, Identity, Tls};
use ledger_server::{Config, Loaded};

use crate::console::Console;
use crate::daemon::ConfigFile;
use crate::errors::Failure;
use crate::stream::{StoreCommand, Stores};

/// Which daemon to talk to, where no database file is named.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Connection to the daemon (where no database file is named)")]
pub(crate) struct Connection {
    /// Configuration file whose address, key and certificates are used [default: ~/.ledger/config.yaml]
    #[arg(long, short = 'c', global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the daemon, instead of `listen`
    #[arg(long, global = true, value_name = "HOST:PORT")]
    addr: Option<String>,
    /// Key, instead of `api_key`; other users of this machine can see it, LEDGER_API_KEY hides it
    #[arg(long, global = true, value_name = "KEY")]
    api_key: Option<String>,
}

impl Connection {
    fn load(&self) -> Result<Config, Failure> {
        let flags = [("--addr", "listen", &self.addr), ("--api-key", "api_key", &self.api_key)];
        let mut overrides = ConfigFile::named(self.config.clone()).overrides();
        overrides.flags =
            flags.into_iter().filter_map(|(flag, key, value)| Some((flag, key, value.clone()?))).collect();
        Ok(Loaded::load(&overrides, false)?.config)
    }
}

impl Connection {
    /// A client of a store of the daemon.
    ///
    /// # Errors
    /// [`Failure`] if the configuration cannot be used or the daemon cannot be reached.
    pub(crate) async fn client(&self, store: &str) -> Result<Client, Failure> {
        let config = self.load()?;
        let mut builder: ClientBuilder<String> = Client::at(config.listen.clone()).store(store);
        if let Some(key) = &config.api_key {
            builder = builder.api_key(key.clone());
        }
        if let Some(tls) = tls(&config)? {
            builder = builder.tls(tls);
        }
        Ok(builder.connect().await?)
    }
}

impl Stores for Connection {
    async fn run<C: StoreCommand>(&self, command: C, console: &mut Console<'_>) -> Result<(), Failure> {
        let client = self.client(command.store()).await?;
        command.run(&client, console).await
    }
}

/// TLS as the daemon of the same configuration has it. Without an authority its own certificate is the one to trust.
fn tls(config: &Config) -> Result<Option<Tls>, Failure> {
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| Failure::File { action: "read", path: path.clone(), source })
    };
    let Some(authority) = config.tls_ca.as_ref().or(config.tls_cert.as_ref()) else { return Ok(None) };
    let identity = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Identity { certificate: read(cert)?, private_key: read(key)? }),
        _ => None,
    };
    Ok(Some(Tls { ca: Some(read(authority)?), identity, domain: None }))
}
