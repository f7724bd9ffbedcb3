//! Starting daemons and talking to them.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ledger_api::proto::ledger_service_client::LedgerServiceClient;
use ledger_api::proto::ledger_streaming_client::LedgerStreamingClient;
use ledger_api::proto::{AppendRequest, EntryInput, ReadOptions, ReadRequest};
use ledger_server::{Handle, Loaded, Overrides, ServeError, Server, StartError};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

pub(crate) type Service = LedgerServiceClient<Channel>;
pub(crate) type Streaming = LedgerStreamingClient<Channel>;

/// A folder with a configuration.
pub(crate) struct Folder {
    folder: TempDir,
}

impl Folder {
    pub(crate) fn new(yaml: &str) -> Self {
        let folder = Self { folder: tempfile::tempdir().unwrap() };
        folder.configure(yaml);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn configure(&self, yaml: &str) {
        let listen = if yaml.contains("listen:") { "" } else { "listen: 127.0.0.1:0\n" };
        std::fs::write(self.config(), format!("{listen}{yaml}")).unwrap();
        // It may hold a key.
        std::fs::set_permissions(self.config(), PermissionsExt::from_mode(0o600)).unwrap();
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path().join("config.yaml")
    }

    pub(crate) fn overrides(&self) -> Overrides {
        Overrides { config: Some(self.config()), ..Overrides::default() }
    }

    pub(crate) async fn bind(&self) -> Result<Server, StartError> {
        Server::bind(Loaded::load(&self.overrides(), false).unwrap()).await
    }

    pub(crate) async fn start(self) -> Daemon {
        let server = self.bind().await.unwrap();
        let (address, handle) = (server.address(), server.handle());
        Daemon { address, handle, running: tokio::spawn(server.run()), folder: self }
    }
}

/// A daemon that runs in this process.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) handle: Handle,
    pub(crate) running: JoinHandle<Result<(), ServeError>>,
    pub(crate) folder: Folder,
}

impl Daemon {
    pub(crate) async fn start(yaml: &str) -> Self {
        Folder::new(yaml).start().await
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn service(&self) -> Service {
        Service::new(self.channel().await)
    }

    pub(crate) async fn streaming(&self) -> Streaming {
        Streaming::new(self.channel().await)
    }

    /// Over a connection that takes in almost nothing unless somebody reads.
    pub(crate) async fn tight_streaming(&self) -> Streaming {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        let endpoint =
            endpoint.initial_stream_window_size(Some(1024)).initial_connection_window_size(Some(65_535));
        Streaming::new(endpoint.connect().await.unwrap())
    }

    pub(crate) async fn stop(self) -> Folder {
        self.handle.stop();
        self.running.await.unwrap().unwrap();
        self.folder
    }
}

/// A request to the store `orders`.
pub(crate) fn to<T>(message: T) -> Request<T> {
    to_store("orders", message)
}

pub(crate) fn to_store<T>(store: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-ledger-store", store.parse().unwrap());
    request
}

pub(crate) fn with_key<T>(mut request: Request<T>, key: &str) -> Request<T> {
    request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    request
}

pub(crate) fn entry(payload: &str) -> EntryInput {
    EntryInput { payload: payload.to_owned().into(), ..EntryInput::default() }
}

pub(crate) fn append<const N: usize>(stream: &str, payloads: [&str; N]) -> AppendRequest {
    AppendRequest { stream: stream.to_owned(), entries: payloads.map(entry).into(), expect: None }
}

pub(crate) fn read(stream: &str) -> ReadRequest {
    ReadRequest { stream: stream.to_owned(), options: None }
}

pub(crate) fn read_with(stream: &str, options: ReadOptions) -> ReadRequest {
    ReadRequest { stream: stream.to_owned(), options: Some(options) }
}

pub(crate) async fn payloads(service: &mut Service, stream: &str) -> Vec<String> {
    let page = service.read(to(read(stream))).await.unwrap().into_inner();
    page.entries.into_iter().map(|entry| String::from_utf8(entry.payload.into()).unwrap()).collect()
}

/// Code and message of a failed call.
pub(crate) fn failure<T: std::fmt::Debug>(result: Result<Response<T>, Status>) -> (tonic::Code, String) {
    let status = result.unwrap_err();
    (status.code(), status.message().to_owned())
}

/// The value of a metric, 0 if it has none yet. `name` has its labels.
pub(crate) fn metric(daemon: &Daemon, name: &str) -> f64 {
    let text = daemon.handle.metrics();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until a metric is as it should be.
pub(crate) async fn wait_for_metric(daemon: &Daemon, name: &str, is_reached: impl Fn(f64) -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_reached(metric(daemon, name)) {
        assert!(std::time::Instant::now() < deadline, "{name} is {}", metric(daemon, name));
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
