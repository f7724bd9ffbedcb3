use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_stream::StreamExt;

use super::*;

/// Timing that tests can wait for; what they prove with it is that it is kept, not how long it is.
const SHORT: Timing = Timing {
    handshake: Duration::from_millis(200),
    opening: Duration::from_millis(200),
    silence: Duration::from_millis(600),
};
const NEVER: Timing = Timing {
    handshake: Duration::from_secs(3600),
    opening: Duration::from_secs(3600),
    silence: Duration::from_secs(3600),
};
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

async fn listen(
    max_connections: usize,
    certificates: Option<Arc<Certificates>>,
    timing: Timing,
) -> (SocketAddr, Arc<Admission>, Incoming, watch::Sender<bool>) {
    let (stop, stopping) = watch::channel(false);
    let listener = Listener::bind("127.0.0.1:0").await.unwrap();
    let (address, admission) = (listener.address(), Admission::new(max_connections));
    let incoming = listener.accept(Protocol::Grpc, admission.clone(), certificates, timing, stopping);
    (address, admission, incoming, stop)
}

async fn next(incoming: &mut Incoming) -> Connection {
    incoming.next().await.unwrap().unwrap()
}

/// The error that a server meets that reads all that comes.
async fn read_to_end(connection: &mut Connection) -> std::io::ErrorKind {
    connection.read_to_end(&mut Vec::new()).await.unwrap_err().kind()
}

#[tokio::test]
async fn a_client_that_says_nothing_or_not_enough_is_let_go() {
    let (address, _, mut incoming, _stop) = listen(10, None, SHORT).await;
    for said in [&b""[..], &PREFACE[..23]] {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(said).await.unwrap();
        assert_eq!(read_to_end(&mut next(&mut incoming).await).await, std::io::ErrorKind::TimedOut);
    }
}

#[tokio::test]
async fn a_client_that_drips_its_first_bytes_gains_no_time() {
    let (address, _, mut incoming, _stop) =
        listen(10, None, Timing { silence: NEVER.silence, ..SHORT }).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    let drip = tokio::spawn(async move {
        for byte in PREFACE.iter().cycle() {
            if client.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut connection = next(&mut incoming).await;
    let mut said = Vec::new();
    let mut buffer = [0; 64];
    let end = loop {
        match connection.read(&mut buffer).await {
            Ok(bytes) => said.extend_from_slice(&buffer[..bytes]),
            Err(error) => break error.kind(),
        }
    };
    assert_eq!(end, std::io::ErrorKind::TimedOut);
    assert!(!said.is_empty() && said.len() < PREFACE.len(), "{}", said.len());
    drop(connection);
    drip.await.unwrap();
}

#[tokio::test]
async fn a_connection_ends_when_both_sides_are_silent_and_not_while_one_speaks() {
    let (address, admission, mut incoming, _stop) = listen(10, None, SHORT).await;
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(PREFACE).await.unwrap();
    let mut connection = next(&mut incoming).await;
    let mut buffer = [0; PREFACE.len()];
    connection.read_exact(&mut buffer).await.unwrap();
    let begin = tokio::time::Instant::now();
    // The server speaks for longer than a silence may last.
    while begin.elapsed() < SHORT.silence * 2 {
        connection.write_all(b"x").await.unwrap();
        let read = tokio::time::timeout(Duration::from_millis(100), connection.read(&mut buffer)).await;
        assert!(read.is_err(), "{read:?}");
    }
    assert_eq!(read_to_end(&mut connection).await, std::io::ErrorKind::TimedOut);
    drop(connection);
    assert_eq!(admission.open(), 0);
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_and_its_place_can_be_had_again() {
    let (address, admission, mut incoming, _stop) = listen(2, None, NEVER).await;
    let clients = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    let held = [next(&mut incoming).await, next(&mut incoming).await];
    let mut third = TcpStream::connect(address).await.unwrap();
    assert!(
        matches!(third.read(&mut [0; 1]).await, Ok(0) | Err(_)),
        "it is told by the end of the connection"
    );
    assert_eq!((admission.open(), admission.refused().get()), (2, 1));
    drop((held, clients));
    let _fourth = TcpStream::connect(address).await.unwrap();
    next(&mut incoming).await;
}

#[tokio::test]
async fn accepting_ends_with_the_daemon_and_frees_the_address() {
    let (address, _, mut incoming, stop) = listen(10, None, NEVER).await;
    stop.send_replace(true);
    assert!(incoming.next().await.is_none());
    TcpListener::bind(address).await.unwrap();
}

#[test]
fn only_what_concerns_one_connection_is_passed_over_without_a_pause() {
    let os = std::io::Error::from_raw_os_error;
    let (emfile, econnaborted) = (rustix::io::Errno::MFILE, rustix::io::Errno::CONNABORTED);
    assert!(is_of_one_connection(&os(econnaborted.raw_os_error())));
    assert!(!is_of_one_connection(&os(emfile.raw_os_error())));
}

mod with_tls {
    use rcgen::{CertificateParams, KeyPair};
    use tokio_rustls::TlsConnector;
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
    use tokio_rustls::rustls::{ClientConfig, ProtocolVersion, RootCertStore};

    use super::*;
    use crate::Config;

    struct Served {
        folder: tempfile::TempDir,
        certificates: Arc<Certificates>,
    }

    /// A certificate that is its own authority, and its key.
    fn issue() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    impl Served {
        fn new(cert: &str, key: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = |name| folder.path().join(name);
            std::fs::write(path("cert.pem"), cert).unwrap();
            std::fs::write(path("key.pem"), key).unwrap();
            let mut config = Config::defaults(folder.path());
            (config.tls_cert, config.tls_key) = (Some(path("cert.pem")), Some(path("key.pem")));
            let certificates = Certificates::load(&config).unwrap().unwrap();
            Self { folder, certificates }
        }

        fn replace(&self, name: &str, text: &str) {
            // As tools do it: a new file, and a rename.
            let draft = self.folder.path().join("draft");
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(&draft, self.folder.path().join(name)).unwrap();
        }
    }

    async fn connect(
        address: SocketAddr,
        trusted: &str,
        alpn: &[&[u8]],
    ) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    #[tokio::test]
    async fn a_handshake_that_does_not_come_to_its_end_frees_its_place() {
        let (cert, key) = issue();
        let served = Served::new(&cert, &key);
        let (address, admission, mut incoming, _stop) = listen(10, Some(served.certificates), SHORT).await;
        // One says nothing, one the beginning of a handshake, one nonsense; and they hold up nobody.
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut begun = TcpStream::connect(address).await.unwrap();
        begun.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.unwrap();
        let mut nonsense = TcpStream::connect(address).await.unwrap();
        nonsense.write_all(PREFACE).await.unwrap();
        let served = connect(address, &cert, &[b"h2"]).await.unwrap();
        assert_eq!(served.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        assert_eq!(served.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        let _connection = next(&mut incoming).await;
        for refused in [&mut silent, &mut begun, &mut nonsense] {
            let _ = refused.read_to_end(&mut Vec::new()).await;
        }
        while admission.open() > 1 {
            tokio::task::yield_now().await;
        }
        assert!(connect(address, &cert, &[b"http/1.1"]).await.is_err(), "gRPC speaks HTTP/2 alone");
    }

    #[tokio::test]
    async fn replaced_certificates_serve_new_connections_and_old_ones_go_on() {
        let (old, old_key) = issue();
        let served = Served::new(&old, &old_key);
        let certificates = served.certificates.clone();
        let (address, _, mut incoming, stop) = listen(10, Some(certificates.clone()), NEVER).await;
        let watching = tokio::spawn(certificates.watch(stop.subscribe()));
        let mut before = connect(address, &old, &[]).await.unwrap();
        let mut before_here = next(&mut incoming).await;

        let (new, new_key) = issue();
        served.replace("cert.pem", &new);
        // The certificate alone fits no key: the old pair stays in use until the key has come too.
        assert!(matches!(served.certificates.reload(), Err(TlsError::Mismatch { .. })));
        connect(address, &old, &[]).await.unwrap();
        served.replace("key.pem", &new_key);
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while connect(address, &new, &[]).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "never reloaded");
        }
        assert!(connect(address, &old, &[]).await.is_err(), "the old one is no longer shown");
        before.write_all(b"still here").await.unwrap();
        let mut said = [0; 10];
        before_here.read_exact(&mut said).await.unwrap();
        assert_eq!(&said, b"still here");

        for (name, broken) in [("cert.pem", "no certificate"), ("key.pem", "no key")] {
            let good = std::fs::read_to_string(served.folder.path().join(name)).unwrap();
            served.replace(name, broken);
            let error = served.certificates.reload().unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("tls."), "{error}");
            connect(address, &new, &[]).await.unwrap();
            served.replace(name, &good);
        }
        std::fs::remove_file(served.folder.path().join("cert.pem")).unwrap();
        assert!(matches!(served.certificates.reload(), Err(TlsError::File { key: "tls.cert", .. })));
        connect(address, &new, &[]).await.unwrap();
        stop.send_replace(true);
        watching.await.unwrap();
    }
}
