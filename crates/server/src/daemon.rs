//! The process of a daemon: PID file, log, signals around a [`Server`].

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Config, Loaded, Overrides, is_loopback};
use crate::lifecycle::{Handle, ServeError, Server, StartError};
use crate::log::Log;
use crate::pid::{PidError, PidFile};

/// Why a daemon ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DaemonError {
    /// It could not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// There is one already, or the PID file cannot be written.
    #[error(transparent)]
    Pid(#[from] PidError),
    /// It ended by itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The log file cannot be opened.
    #[error("ledger: log file {}: {source}", path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("ledger: cannot receive signals: {0}")]
    Signals(#[source] std::io::Error),
}

/// Where a daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On a terminal or under a supervisor: without `log_file` the log goes to standard error.
    Foreground,
    /// Nobody reads its standard error: without `log_file` the log goes to `ledger.log` in the configuration folder.
    Background,
}

/// The file that the log of a daemon goes to, if any.
pub fn log_path(loaded: &Loaded, place: Place) -> Option<PathBuf> {
    let named = loaded.config.log_file.clone();
    named.or_else(|| (place == Place::Background).then(|| loaded.folder().join("ledger.log")))
}

/// Runs a daemon in this process until a signal ends it: SIGTERM and SIGINT stop it (a second one at once), SIGHUP
/// reads configuration and keys again. `ready` is called once it answers requests.
///
/// # Errors
/// See [`DaemonError`]. With a log file, the error is written there too (W33).
pub async fn run_daemon(
    overrides: &Overrides,
    place: Place,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), DaemonError> {
    // Signals first: one that comes during the start must not leave files behind.
    let mut signals = Signals::new().map_err(DaemonError::Signals)?;
    let loaded = Loaded::load(overrides, true).map_err(StartError::from)?;
    let is_first_run = loaded.write_first_file();
    let path = log_path(&loaded, place);
    let log = Log::open(path.as_deref())
        .map_err(|source| DaemonError::Log { path: path.unwrap_or_default(), source })?;
    log.install();
    match is_first_run {
        Ok(false) => {}
        Ok(true) => tracing::info!(
            config = %loaded.path.display(),
            db = %loaded.config.sqlite_path.display(),
            listen = %loaded.config.listen,
            "first run: created default config"
        ),
        Err(error) => tracing::warn!(err = %error, "could not write default config"),
    }
    let ended = serve(loaded, overrides, &log, &mut signals, ready).await;
    if let Err(error) = &ended
        && log.is_file()
    {
        tracing::error!(err = %error, "ledger daemon ended with an error");
    }
    ended
}

async fn serve(
    loaded: Loaded,
    overrides: &Overrides,
    log: &Log,
    signals: &mut Signals,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), DaemonError> {
    use_all_descriptors();
    let mut pid_file = PidFile::take(loaded.folder())?;
    warn_of_weaknesses(&loaded.config);
    let server = Server::bind(loaded).await?;
    pid_file.publish(server.address().to_string())?;
    let handle = server.handle();
    ready(server.address());
    let mut running = std::pin::pin!(server.run());
    loop {
        tokio::select! {
            ended = &mut running => return Ok(ended?),
            signal = signals.next() => match signal {
                Signal::Stop => {
                    tracing::info!("shutting down ledger daemon");
                    handle.stop();
                }
                Signal::Reload => reload(&handle, overrides, log),
            },
        }
    }
}

fn reload(handle: &Handle, overrides: &Overrides, log: &Log) {
    tracing::info!("SIGHUP received: reloading config and keys");
    if let Err(error) = log.reopen() {
        tracing::warn!(err = %error, "the log file cannot be opened again");
    }
    match handle.reload(overrides) {
        Ok(waiting) if waiting.is_empty() => tracing::info!("keys reloaded"),
        Ok(waiting) => {
            tracing::warn!(keys = waiting.join(", "), "keys reloaded; these settings change with a restart");
        }
        Err(error) => tracing::warn!(err = %error, "reload failed: everything stays as it was"),
    }
}

/// Connections and databases need descriptors, and the usual limit is for programs that wait with select(2).
fn use_all_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(err = %error, "the limit of open files stays as it is");
    }
}

fn warn_of_weaknesses(config: &Config) {
    for (key, address) in config.addresses() {
        if config.api_key.is_some() && !config.encrypts(key) && !is_loopback(address) {
            tracing::warn!(key, address, "API keys cross the network unencrypted; set tls.cert and tls.key");
        }
    }
}

enum Signal {
    Stop,
    Reload,
}

struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::Stop,
            _ = self.interrupt.recv() => Signal::Stop,
            _ = self.hangup.recv() => Signal::Reload,
        }
    }
}
