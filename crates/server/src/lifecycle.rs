//! From a configuration to a running daemon and to its end (specification §6.3, §6.5).
//!
//! [`Server::bind`] does everything that can fail, so that whoever starts a daemon hears of it; [`Server::run`]
//! serves until its [`Handle`] says stop: then no new connection is taken, calls without an end are ended, the others
//! get `shutdown_timeout`, and the database is closed last.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use ledger_api::coalesce::Coalesced;
use ledger_api::proto::FILE_DESCRIPTOR_SET;
use ledger_sqlite::{Database, OpenError};
use tokio::sync::watch;

use crate::config::{ConfigError, Loaded, Overrides, SETTINGS};
use crate::grpc::{Calls, Context, probes};
use crate::guard::Guard;
use crate::http::{self, Gateway};
use crate::keys::{KeyError, Keyring};
use crate::listener::{Admission, Certificates, Listener, Protocol, Timing, TlsError};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// Calls of one connection that are open at once, subscriptions included.
const MAX_CALLS_PER_CONNECTION: u32 = 4096;
/// Largest header of a request, in bytes.
const MAX_HEADER_BYTES: u32 = 64 << 10;
/// Calls of one connection that its client may take back before they are served; more end it (rapid reset).
const MAX_RESET_BEFORE_SERVED: usize = 64;
/// Calls of one connection that may break the rules of HTTP/2; more end it.
const MAX_ERRORS_PER_CONNECTION: usize = 256;
/// How long a connection may be silent before it is asked whether it is still there, and how long it may take to say.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

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
        "ledger: cannot listen on {address}: {source}; choose another address with {key} or {flag}, or stop the \
         program that has it"
    )]
    Listen {
        /// The key of the configuration.
        key: &'static str,
        /// The flag of the command line.
        flag: &'static str,
        /// The address.
        address: String,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Certificate, key or authority cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
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
    listener: Listener,
    http: Option<Listener>,
    http_tls: bool,
    gateway: Gateway,
    router: tonic::transport::server::Router<tower::layer::util::Stack<Guard, tower::layer::util::Identity>>,
    context: Arc<Context>,
    admission: Arc<Admission>,
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
    certificates: Option<Arc<Certificates>>,
    metrics: Arc<Metrics>,
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
        let certificates = Certificates::load(&config)?;
        let listener = listen("listen", "--addr", &config.listen).await?;
        let http = match &config.http_listen {
            Some(address) => Some(listen("http_listen", "--http-addr", address).await?),
            None => None,
        };
        let path = config.sqlite_path.clone();
        let database = Database::open(&path).connect().await;
        let database = database.map_err(|source| StartError::Database { path, source })?;

        let (stopping, is_stopping) = watch::channel(false);
        let (hurry, hurrying) = watch::channel(false);
        let admission = Admission::new(config.max_connections);
        let metrics = Metrics::new(admission.clone(), database.clone());
        let (keys, latest_keys) = watch::channel(Arc::new(keyring));
        let context = Arc::new(Context {
            registry: Registry::new(database),
            max_message_bytes: config.max_message_bytes,
            stopping: is_stopping,
            keys: latest_keys.clone(),
            metrics: metrics.clone(),
            session_bytes: AtomicUsize::new(0),
        });
        let guard = Guard::new(latest_keys, metrics.clone(), config.max_requests_per_client);
        let gateway = Gateway::new(context.clone(), guard.clone());
        let router = router(&context, guard)?;
        let shared = HandleState { stopping, hurry, keys, certificates, metrics, loaded: Mutex::new(loaded) };
        let handle = Handle { shared: Arc::new(shared) };
        let (shutdown_timeout, http_tls) = (config.shutdown_timeout, config.tls_http);
        Ok(Self {
            listener,
            http,
            http_tls,
            gateway,
            router,
            context,
            admission,
            shutdown_timeout,
            handle,
            hurry: hurrying,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Where its HTTP gateway listens, if it has one.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http.as_ref().map(Listener::address)
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
        let address = self.listener.address();
        let certificates = self.handle.shared.certificates.clone();
        if let Some(certificates) = &certificates {
            tokio::spawn(certificates.clone().watch(self.context.stopping.clone()));
        }
        let accept = |listener: Listener, protocol, certificates| {
            let stopping = self.context.stopping.clone();
            listener.accept(protocol, self.admission.clone(), certificates, Timing::DEFAULT, stopping)
        };
        let incoming = accept(self.listener, Protocol::Grpc, certificates.clone());
        let incoming = incoming.map(|connection| connection.map(Coalesced::new));
        let mut stopping = self.context.stopping.clone();
        let until_stop = || {
            let mut stopping = self.context.stopping.clone();
            async move {
                let _ = stopping.wait_for(|stopping| *stopping).await;
            }
        };
        let mut hurry = self.hurry;
        let deadline = async move {
            let _ = stopping.wait_for(|stopping| *stopping).await;
            tokio::select! {
                () = tokio::time::sleep(self.shutdown_timeout) => {}
                _ = hurry.wait_for(|hurry| *hurry) => {}
            }
        };
        tracing::info!(addr = %address, "ledger daemon listening");
        let grpc = self.router.serve_with_incoming_shutdown(incoming, until_stop());
        let http = async {
            if let Some(listener) = self.http {
                tracing::info!(addr = %listener.address(), "ledger HTTP gateway listening");
                let certificates = certificates.filter(|_| self.http_tls);
                http::serve(self.gateway, accept(listener, Protocol::Http, certificates)).await;
            }
        };
        let served = tokio::select! {
            (served, ()) = async { tokio::join!(grpc, http) } => served,
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

    /// What the daemon has counted so far, in the OpenMetrics text format that Prometheus reads
    /// (`application/openmetrics-text; version=1.0.0`).
    pub fn metrics(&self) -> String {
        self.shared.metrics.render()
    }

    /// Reads configuration, keys and certificates again. Keys are in force at once, certificates for new connections
    /// (those that cannot be used are left out, and the log says why); answers the other keys of the configuration that
    /// have changed and wait for a restart.
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
        in_use.config.http_listen.clone_from(&loaded.config.http_listen);
        in_use.config.tls_ca.clone_from(&loaded.config.tls_ca);
        in_use.config.tls_http = loaded.config.tls_http;
        in_use.check_exposure(keyring.has_named_keys())?;
        let is_live = |key: &str| matches!(key, "api_key" | "allowed_stores" | "allow_insecure");
        let changed = |setting: &&crate::config::Setting| {
            !is_live(setting.key) && setting.shown(&new.config) != setting.shown(&loaded.config)
        };
        let waiting = SETTINGS.iter().filter(changed).map(|setting| setting.key).collect();
        loaded.config.api_key.clone_from(&new.config.api_key);
        loaded.config.allowed_stores.clone_from(&new.config.allowed_stores);
        self.shared.keys.send_replace(Arc::new(keyring));
        if let Some(certificates) = &self.shared.certificates {
            certificates.reload_and_tell();
        }
        Ok(waiting)
    }
}

/// Takes an address.
async fn listen(key: &'static str, flag: &'static str, address: &str) -> Result<Listener, StartError> {
    let failed = |source| StartError::Listen { key, flag, address: address.to_owned(), source };
    Listener::bind(address).await.map_err(failed)
}

fn router(
    context: &Arc<Context>,
    guard: Guard,
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
    let server = tonic::transport::Server::builder()
        .max_concurrent_streams(MAX_CALLS_PER_CONNECTION)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_max_pending_accept_reset_streams(Some(MAX_RESET_BEFORE_SERVED))
        .http2_max_local_error_reset_streams(Some(MAX_ERRORS_PER_CONNECTION))
        .http2_keepalive_interval(Some(KEEP_ALIVE.0))
        .http2_keepalive_timeout(Some(KEEP_ALIVE.1));
    let calls = Calls::new(context.clone());
    Ok(server
        .layer(guard)
        .add_service(calls.service())
        .add_service(calls.streaming())
        .add_service(calls.consumers())
        .add_service(probes(context.clone()))
        // Some tools speak only the older version of reflection.
        .add_service(reflection().build_v1().map_err(failed)?)
        .add_service(reflection().build_v1alpha().map_err(failed)?))
}
