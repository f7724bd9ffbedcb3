//! Whether a service answers: `GET` of one path, any status below 500 (specification §13.1: SQLPage answers 200 or 301).

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How much of an answer is taken, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Asks once: the status of an answer that says that the service is ready, and where it came from.
pub(crate) fn answers(host: &str, port: u16, path: &str) -> io::Result<Option<(u16, SocketAddr)>> {
    let address = (host, port).to_socket_addrs()?.next();
    let address = address.ok_or_else(|| io::Error::other("the host has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, REQUEST_TIMEOUT)?;
    let peer = stream.peer_addr()?;
    stream.set_read_timeout(Some(REQUEST_TIMEOUT))?;
    stream.set_write_timeout(Some(REQUEST_TIMEOUT))?;
    let host = crate::ports::address(host, port);
    let path = request_path(path);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: ledger-yard\r\nConnection: close\r\n\r\n"
    )?;
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    // Taken to its end, as far as it is short: a service whose answer is cut off complains in its log.
    let _ = io::copy(&mut stream.take(MAX_ANSWER_BYTES), &mut io::sink());
    Ok(status(&head).filter(|status| (100..500).contains(status)).map(|status| (status, peer)))
}

/// The status of `HTTP/1.1 200`.
fn status(head: &[u8; 12]) -> Option<u16> {
    let text = std::str::from_utf8(head).ok()?;
    let (version, status) = text.split_once(' ')?;
    version.starts_with("HTTP/1.").then(|| status.parse().ok())?
}

/// Percent-encodes what may not stand in a request line (RFC 3986, "pchar").
pub(crate) fn request_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/!$&'()*+,;=:@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    if encoded.starts_with('/') { encoded } else { format!("/{encoded}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answer(response: &'static str) -> io::Result<Option<u16>> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // To its end: what is closed with something unread answers with a reset.
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut piece = [0; 512];
                let length = stream.read(&mut piece).unwrap();
                request.extend_from_slice(&piece[..length]);
            }
            assert!(request.starts_with(b"GET /a%20b/%0A H"));
            stream.write_all(response.as_bytes()).unwrap();
        });
        let result = answers("127.0.0.1", port, "/a b/\n");
        server.join().unwrap();
        Ok(result?.map(|(status, peer)| {
            assert_eq!(peer.port(), port);
            status
        }))
    }

    #[test]
    fn a_status_below_500_is_ready() {
        assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n").unwrap(), Some(200));
        assert_eq!(answer("HTTP/1.1 301 Moved\r\n\r\n").unwrap(), Some(301));
        assert_eq!(answer("HTTP/1.0 404 None\r\n\r\n").unwrap(), Some(404));
    }

    #[test]
    fn a_failing_server_and_something_else_are_not() {
        assert_eq!(answer("HTTP/1.1 503 Later\r\n\r\n").unwrap(), None);
        assert_eq!(answer("SSH-2.0-OpenSSH_9\r\n").unwrap(), None);
        assert!(answer("").is_err());
    }
}
