//! How a client finds its daemon.

use std::error::Error;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use ledger_streams::{DEFAULT_STORE_NAME, InvalidStoreName, StoreName};
use tokio::net::TcpStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tower::util::MapResponse;

use super::Client;
use super::connection::{Connection, Timing};
use crate::coalesce::Coalesced;
use crate::{HEARTBEAT_INTERVAL, metadata};

/// How much of one answer a daemon may send ahead of its reader.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// How much of all answers together a daemon may send ahead. Far more than of one, because subscriptions that nobody
/// reads use it up, and everything else on the connection would have to wait for them.
const CONNECTION_WINDOW_BYTES: u32 = 256 << 20;

/// Why a client could not be made or a daemon not be reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address is none.
    #[error("{address:?} is not the address of a daemon ({reason}); write it like localhost:50051")]
    InvalidAddress {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store name breaks the rules.
    #[error(transparent)]
    InvalidStoreName(#[from] InvalidStoreName),
    /// The API key holds characters that cannot be sent. The key itself is not told.
    #[error("the API key holds characters that cannot be sent; keys consist of visible ASCII characters")]
    InvalidApiKey,
    /// The address wants TLS, which this program was built without.
    #[error("{address} wants TLS, but this program was built without it (feature `tls` of ledger-api)")]
    TlsMissing {
        /// The address.
        address: String,
    },
    /// Certificates or keys cannot be used.
    #[error("TLS to {address} cannot be set up: {reason}")]
    InvalidTls {
        /// The address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody answers, or somebody who does not speak the protocol.
    #[error(
        "no daemon answers at {address}: {reason}; start one with `ledger start`, or name another address"
    )]
    Unreachable {
        /// The address.
        address: String,
        /// What the system said.
        reason: String,
    },
}

/// Certificates for TLS, as PEM.
#[cfg(feature = "tls")]
#[derive(Clone, Default)]
pub struct Tls {
    /// Authorities that the daemon's certificate may come from, instead of those of the system.
    pub ca: Option<Vec<u8>>,
    /// Certificate and private key of the client, for daemons that ask for one.
    pub identity: Option<Identity>,
    /// Name that the daemon's certificate must hold, if it is not the host of the address.
    pub domain: Option<String>,
}

/// A certificate with its private key, as PEM. Not to be printed.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub struct Identity {
    /// The certificate, and those between it and the authority.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub private_key: Vec<u8>,
}

/// Settings of a [`Client`].
#[must_use = "connect it"]
pub struct ClientBuilder<Id> {
    address: String,
    store: String,
    api_key: Option<String>,
    connect_timeout: Duration,
    timing: Timing,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    id: PhantomData<fn() -> Id>,
}

impl<Id> ClientBuilder<Id> {
    pub(super) fn new(address: impl Into<String>) -> Self {
        Self {
            address: address.into(),
            store: DEFAULT_STORE_NAME.to_owned(),
            api_key: None,
            connect_timeout: Duration::from_secs(5),
            timing: Timing {
                request_timeout: Duration::from_secs(60),
                retry_for: Duration::from_secs(10),
                silence_timeout: HEARTBEAT_INTERVAL.saturating_mul(3),
                poll_interval: Duration::from_secs(1),
            },
            #[cfg(feature = "tls")]
            tls: None,
            id: PhantomData,
        }
    }

    /// Sets the store; `ledger_entries` otherwise.
    pub fn store(mut self, name: impl Into<String>) -> Self {
        self.store = name.into();
        self
    }

    /// Sets the API key.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(key.into());
        self
    }

    /// Sets how long one attempt to connect may take; 5 s otherwise.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long one request may take; 60 s otherwise.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.timing.request_timeout = timeout;
        self
    }

    /// Sets for how long an operation is tried again while the daemon is away, if that is safe; 10 s otherwise.
    pub fn retry_for(mut self, duration: Duration) -> Self {
        self.timing.retry_for = duration;
        self
    }

    /// Sets after how long without a heartbeat a subscription connects anew; three times [`HEARTBEAT_INTERVAL`]
    /// otherwise.
    pub fn silence_timeout(mut self, timeout: Duration) -> Self {
        self.timing.silence_timeout = timeout;
        self
    }

    /// Sets how often a subscription asks a daemon that cannot push (the original); once a second otherwise.
    pub fn poll_interval(mut self, interval: Duration) -> Self {
        self.timing.poll_interval = interval;
        self
    }

    /// Connects with TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Connects to the daemon.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`] if nobody answers; the others if a setting is wrong.
    pub async fn connect(self) -> Result<Client<Id>, ClientError> {
        let endpoint = self.endpoint()?;
        let connected = endpoint.connect_with_connector(self.connector()).await;
        let channel = connected.map_err(|error| ClientError::Unreachable {
            address: endpoint.uri().to_string(),
            reason: innermost(&error).to_string(),
        })?;
        self.client(&endpoint, channel)
    }

    /// Makes a client that connects with its first operation. Needs the context of a tokio runtime.
    ///
    /// # Errors
    /// [`ClientError`] if a setting is wrong.
    pub fn lazy(self) -> Result<Client<Id>, ClientError> {
        let endpoint = self.endpoint()?;
        let channel = endpoint.connect_with_connector_lazy(self.connector());
        self.client(&endpoint, channel)
    }

    fn endpoint(&self) -> Result<Endpoint, ClientError> {
        let invalid = |reason: String| ClientError::InvalidAddress { address: self.address.clone(), reason };
        let scheme = if self.wants_tls() { "https" } else { "http" };
        let address = match self.address.split_once("://") {
            Some(_) => self.address.clone(),
            None => format!("{scheme}://{}", self.address),
        };
        let endpoint =
            Endpoint::from_shared(address).map_err(|error| invalid(innermost(&error).to_string()))?;
        if endpoint.uri().port().is_none() {
            return Err(invalid("it has no port".to_owned()));
        }
        let endpoint = endpoint
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        self.with_tls(endpoint)
    }

    /// Opens connections. The time limit is set here and not at the endpoint, whose error would not tell that nothing
    /// was sent.
    fn connector(&self) -> Connector {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect_timeout));
        MapResponse::new(tcp, |io| TokioIo::new(Coalesced::new(io.into_inner())))
    }

    #[cfg(not(feature = "tls"))]
    fn wants_tls(&self) -> bool {
        false
    }

    #[cfg(feature = "tls")]
    fn wants_tls(&self) -> bool {
        self.tls.is_some()
    }

    #[cfg(not(feature = "tls"))]
    fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, ClientError> {
        match endpoint.uri().scheme_str() {
            Some("https") => Err(ClientError::TlsMissing { address: self.address.clone() }),
            _ => Ok(endpoint),
        }
    }

    #[cfg(feature = "tls")]
    fn with_tls(&self, endpoint: Endpoint) -> Result<Endpoint, ClientError> {
        use tonic::transport::{Certificate, ClientTlsConfig};
        if endpoint.uri().scheme_str() != Some("https") {
            return match self.tls {
                Some(_) => Err(ClientError::InvalidTls {
                    address: self.address.clone(),
                    reason: "the address says http; write https".to_owned(),
                }),
                None => Ok(endpoint),
            };
        }
        let tls = self.tls.clone().unwrap_or_default();
        let mut config = ClientTlsConfig::new();
        config = match tls.ca {
            Some(ca) => config.ca_certificate(Certificate::from_pem(ca)),
            None => config.with_native_roots(),
        };
        if let Some(identity) = tls.identity {
            let Identity { certificate, private_key } = identity;
            config = config.identity(tonic::transport::Identity::from_pem(certificate, private_key));
        }
        if let Some(domain) = tls.domain {
            config = config.domain_name(domain);
        }
        endpoint.tls_config(config).map_err(|error| ClientError::InvalidTls {
            address: self.address.clone(),
            reason: innermost(&error).to_string(),
        })
    }

    fn client(self, endpoint: &Endpoint, channel: Channel) -> Result<Client<Id>, ClientError> {
        let store = StoreName::new(self.store)?;
        let mut headers = MetadataMap::new();
        headers.insert(metadata::EXACT, MetadataValue::from_static("1"));
        let store_value = MetadataValue::try_from(store.as_str());
        // Names of stores are ASCII, so this cannot fail; if it did, the daemon would say that the store is missing.
        if let Ok(value) = store_value {
            headers.insert(metadata::STORE, value);
        }
        if let Some(key) = self.api_key {
            let mut value = MetadataValue::try_from(key).map_err(|_| ClientError::InvalidApiKey)?;
            value.set_sensitive(true);
            headers.insert(metadata::API_KEY, value);
        }
        let address = endpoint.uri().to_string();
        let address = address.trim_end_matches('/').to_owned();
        Ok(Client::new(Arc::new(Connection::new(address, store, channel, headers, self.timing))))
    }
}

/// Opens connections whose writes are coalesced.
type Connector = MapResponse<HttpConnector, fn(TokioIo<TcpStream>) -> TokioIo<Coalesced<TcpStream>>>;

/// The error at the end of a chain: what really happened.
pub(super) fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost
}
