//! From an address to the stores of a daemon.

use std::path::PathBuf;

use ledger_api::status::to_status;
use ledger_api::{Client, ClientBuilder, ClientError, Identity, Tls};
use ledger_server::Config;
use ledger_streams::StoreError;
use tonic::{Code, Status};

use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;
use crate::stream::{StoreCommand, Stores};

impl Stores for Settings {
    async fn run<C: StoreCommand>(&self, command: C, console: &mut Console<'_>) -> Result<(), Failure> {
        let client = self.client(command.target().store()).await.map_err(in_words_of_the_original)?;
        command.run(&client, console).await.map_err(in_words_of_the_original)
    }
}

impl Settings {
    /// A client of a store of the daemon.
    ///
    /// # Errors
    /// [`Failure`] if the configuration cannot be used or the daemon cannot be reached.
    pub(crate) async fn client(&self, store: &str) -> Result<Client, Failure> {
        let config = self.load_existing()?.config;
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

/// What a daemon answers, and that none does, is said as the original's clients say it: scripts look for the code.
fn in_words_of_the_original(failure: Failure) -> Failure {
    let (code, text) = match failure {
        Failure::Connect(error @ ClientError::Unreachable { .. }) => (Code::Unavailable, error.to_string()),
        Failure::Connect(ClientError::InvalidStoreName(error)) => answer(&error.into()),
        Failure::Store(error) => answer(&error),
        failure => return failure,
    };
    let code = if code == Code::Cancelled { "Canceled".to_owned() } else { format!("{code:?}") };
    Failure::Rpc { code, text }
}

/// Code and text that stand for an error of a daemon's store.
fn answer(error: &StoreError) -> (Code, String) {
    if let StoreError::Backend(facts) = error
        && let Some(status) = facts.source.as_ref().and_then(|cause| cause.downcast_ref::<Status>())
    {
        return (status.code(), error.to_string());
    }
    let status = to_status(error);
    (status.code(), status.message().to_owned())
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
