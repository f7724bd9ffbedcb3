//! From a configuration to a running daemon and to its end (specification §6.3, §6.5).
//!
//! [`Server::bind`] does everything that can fail, so that whoever starts a daemon hears of it; [`Server::run`]
//! serves until its [`Handle`] says stop: then no new connection is taken, calls without an end are ended, the others
//! get `shutdown_timeout`, and the database is closed last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger_api::coalesce::Coalesced;
use ledger_api::proto::FILE_DESCRIPTOR_SET;
use ledger_sqlite::{Database, OpenError};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::config::{Config, ConfigError, Loaded, Overrides, SETTINGS};
use crate::grpc::{Calls, Context, probes};
use crate::guard::Guard;
use crate::keys::{KeyError, Keyring};
use crate::registry::Registry;

/// Requests of one connection that are worked on at once; more wait.
const MAX_REQUESTS_PER_CONNECTION: usize = 1024;
/// Calls of one connection that are open at once, subscriptions included.
const MAX_CALLS_PER_CONNECTION: u32 = 4096;
/// Largest header of a request, in bytes.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// How long a connection may be silent before it is asked whether it is still there, and how long it may take to say.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(20));

/// Why a daemon could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The keys cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// The database cannot be opened.
    #[error("{source} (db.sqlite.path is {})", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The address cannot be listened on.
    #[error(
        "ledger: cannot listen on {address}: {source}; choose another address with listen or --addr, or stop the \
         program that has it"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the TLS configuration cannot be read.
    #[error("ledger: {key} {}: {source}", path.display())]
    TlsFile {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Certificate, key or authority cannot be used.
    #[error("ledger: tls.cert, tls.key and tls.ca cannot be used together: {reason}")]
    Tls {
        /// What is wrong.
        reason: String,
    },
    /// The description of the services cannot be served.
    #[error("ledger: reflection: {reason}")]
    Reflection {
        /// What is wrong.
        reason: String,
    },
}

/// Why a daemon that ran has ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("ledger: serving failed: {0}")]
pub struct ServeError(#[from] tonic::transport::Error);

/// A daemon with its database open and its address taken.
pub struct Server {
    address: SocketAddr,
    listener: TcpListener,
    router: tonic::transport::server::Router<tower::layer::util::Stack<Guard, tower::layer::util::Identity>>,
    context: Arc<Context>,
    shutdown_timeout: Duration,
    handle: Handle,
    hurry: watch::Receiver<bool>,
}

/// Controls a running daemon. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<HandleState>,
}

struct HandleState {
    stopping: watch::Sender<bool>,
    hurry: watch::Sender<bool>,
    keys: watch::Sender<Arc<Keyring>>,
    loaded: Mutex<Loaded>,
}

impl Server {
    /// Checks the configuration, opens the database and takes the address.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(loaded: Loaded) -> Result<Self, StartError> {
        let config = loaded.config.clone();
        let keyring = Keyring::load(&config, loaded.folder())?;
        loaded.check_exposure(keyring.has_named_keys())?;
        let tls = tls_config(&config)?;
        let failed = |source| StartError::Listen { address: config.listen.clone(), source };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let path = config.sqlite_path.clone();
        let database = Database::open(&path).connect().await;
        let database = database.map_err(|source| StartError::Database { path, source })?;

        let (stopping, is_stopping) = watch::channel(false);
        let (hurry, hurrying) = watch::channel(false);
        let (keys, latest_keys) = watch::channel(Arc::new(keyring));
        let context = Arc::new(Context {
            registry: Registry::new(database),
            max_message_bytes: config.max_message_bytes,
            stopping: is_stopping,
            keys: latest_keys.clone(),
        });
        let router = router(&context, Guard::new(latest_keys), tls)?;
        let shared = HandleState { stopping, hurry, keys, loaded: Mutex::new(loaded) };
        let handle = Handle { shared: Arc::new(shared) };
        let shutdown_timeout = config.shutdown_timeout;
        Ok(Self { address, listener, router, context, shutdown_timeout, handle, hurry: hurrying })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its control.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// [`ServeError`] if it ends by itself. The database is closed in either case.
    pub async fn run(self) -> Result<(), ServeError> {
        let incoming =
            TcpIncoming::from(self.listener).with_nodelay(Some(true)).with_keepalive(Some(KEEP_ALIVE.0));
        let incoming = incoming.map(|connection| connection.map(Coalesced::new));
        let mut stopping = self.context.stopping.clone();
        let mut until_stop = stopping.clone();
        let stop = async move {
            let _ = until_stop.wait_for(|stopping| *stopping).await;
        };
        let mut hurry = self.hurry;
        let deadline = async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::select! {
                () = tokio::time::sleep(self.shutdown_timeout) => {}
                _ = hurry.wait_for(|hurry| *hurry) => {}
            }
        };
        tracing::info!(addr = %self.address, "ledger daemon listening");
        let served = tokio::select! {
            served = self.router.serve_with_incoming_shutdown(incoming, stop) => served,
            () = deadline => {
                tracing::warn!("requests under way did not end in time and were given up");
                Ok(())
            }
        };
        self.context.registry.close().await;
        Ok(served?)
    }
}

impl Handle {
    /// Tells the daemon to stop; a second call makes it stop waiting for requests under way.
    pub fn stop(&self) {
        if self.shared.stopping.send_replace(true) {
            self.shared.hurry.send_replace(true);
        }
    }

    /// Reads configuration and keys again. Keys are in force at once; answers the other keys of the configuration
    /// that have changed and wait for a restart.
    ///
    /// # Errors
    /// [`StartError::Config`], [`StartError::Keys`]; then everything stays as it was.
    pub fn reload(&self, overrides: &Overrides) -> Result<Vec<&'static str>, StartError> {
        let new = Loaded::load(overrides, true)?;
        let keyring = Keyring::load(&new.config, new.folder())?;
        let mut loaded = self.shared.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        // What the daemon listens on does not change: judge the new keys by the address that is in use.
        let mut in_use = new.clone();
        in_use.config.listen.clone_from(&loaded.config.listen);
        in_use.config.tls_ca.clone_from(&loaded.config.tls_ca);
        in_use.check_exposure(keyring.has_named_keys())?;
        let is_live = |key: &str| matches!(key, "api_key" | "allowed_stores" | "allow_insecure");
        let changed = |setting: &&crate::config::Setting| {
            !is_live(setting.key) && setting.shown(&new.config) != setting.shown(&loaded.config)
        };
        let waiting = SETTINGS.iter().filter(changed).map(|setting| setting.key).collect();
        loaded.config.api_key.clone_from(&new.config.api_key);
        loaded.config.allowed_stores.clone_from(&new.config.allowed_stores);
        self.shared.keys.send_replace(Arc::new(keyring));
        Ok(waiting)
    }
}

fn router(
    context: &Arc<Context>,
    guard: Guard,
    tls: Option<ServerTlsConfig>,
) -> Result<
    tonic::transport::server::Router<tower::layer::util::Stack<Guard, tower::layer::util::Identity>>,
    StartError,
> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let failed =
        |error: tonic_reflection::server::Error| StartError::Reflection { reason: error.to_string() };
    let mut server = tonic::transport::Server::builder()
        .concurrency_limit_per_connection(MAX_REQUESTS_PER_CONNECTION)
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1));
    if let Some(tls) = tls {
        server = server.tls_config(tls).map_err(|error| StartError::Tls { reason: reasons(&error) })?;
    }
    let calls = Calls::new(context.clone());
    Ok(server
        .layer(guard)
        .add_service(calls.service())
        .add_service(calls.streaming())
        .add_service(probes(context.clone()))
        // Some tools speak only the older version of reflection.
        .add_service(reflection().build_v1().map_err(failed)?)
        .add_service(reflection().build_v1alpha().map_err(failed)?))
}

fn tls_config(config: &Config) -> Result<Option<ServerTlsConfig>, StartError> {
    let (Some(cert), Some(key)) = (&config.tls_cert, &config.tls_key) else { return Ok(None) };
    let read = |key: &'static str, path: &PathBuf| {
        std::fs::read(path).map_err(|source| StartError::TlsFile { key, path: path.clone(), source })
    };
    let identity = Identity::from_pem(read("tls.cert", cert)?, read("tls.key", key)?);
    let tls = ServerTlsConfig::new().identity(identity);
    Ok(Some(match &config.tls_ca {
        Some(ca) => tls.client_ca_root(Certificate::from_pem(read("tls.ca", ca)?)),
        None => tls,
    }))
}

/// An error with everything behind it.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
