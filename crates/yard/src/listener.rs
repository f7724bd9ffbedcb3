//! Whose socket it is that answers: another program may have taken the port of a service meanwhile.
//!
//! The kernel is asked for the one socket that takes connections to an address (sock_diag(7): `inet_diag_req_v2` over
//! netlink, for a single socket). `/proc/net/tcp` says the same, but to write it the kernel walks through all buckets of its
//! tables, which takes milliseconds on a machine with much memory, however few sockets there are: half of what a start cost.
//! It is read only where the kernel does not answer.

use std::collections::HashSet;
use std::fs;
use std::net::SocketAddr;

use rustix::io;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use crate::process;

/// State of a socket that listens, in the kernel's words.
const LISTEN: u8 = 10;
/// Type of the question and of its answer.
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Whether the socket that takes connections to this address belongs to a process or to a descendant of it.
pub(crate) fn listens(pid: u32, address: SocketAddr) -> bool {
    let sockets = match asked(address) {
        Ok(Some(inode)) => HashSet::from([link(inode)]),
        // A kernel without this interface says "not found", too.
        Ok(None) | Err(_) => tabled(address.port()),
    };
    std::iter::once(pid).chain(process::descendants(pid).into_iter().map(|one| one.pid)).any(|pid| {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        let mut targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| sockets.contains(target.to_string_lossy().as_ref()))
    })
}

/// What `/proc/PID/fd` shows for a socket.
fn link(inode: impl std::fmt::Display) -> String {
    format!("socket:[{inode}]")
}

/// The inode of the socket that listens for this address, from the kernel.
fn asked(address: SocketAddr) -> io::Result<Option<u32>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    send(&socket, &question(address), SendFlags::empty())?;
    // The answer is there when `send` comes back.
    let mut answer = [0; 1024];
    let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
    Ok(inode(answer.get(..length).unwrap_or_default()))
}

/// `nlmsghdr` and `inet_diag_req_v2` (linux/netlink.h, linux/inet_diag.h): the socket that a segment for this address
/// from nobody in particular would reach.
fn question(address: SocketAddr) -> Vec<u8> {
    const BYTES: u32 = 72;
    const NLM_F_REQUEST: u16 = 1;
    const TCP: u8 = 6;
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    let (family, mut octets, interface) = match address {
        SocketAddr::V4(v4) => (AF_INET, v4.ip().octets().to_vec(), 0),
        SocketAddr::V6(v6) => (AF_INET6, v6.ip().octets().to_vec(), v6.scope_id()),
    };
    octets.resize(16, 0);
    let mut bytes = Vec::with_capacity(72);
    bytes.extend(BYTES.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]); // sequence, port id
    bytes.extend([family, TCP, 0, 0]);
    bytes.extend((1_u32 << LISTEN).to_ne_bytes());
    bytes.extend(address.port().to_be_bytes());
    bytes.extend([0; 2]); // port of the peer
    bytes.extend(octets);
    bytes.extend([0; 16]); // address of the peer
    bytes.extend(interface.to_ne_bytes());
    bytes.extend([0xff; 8]); // no cookie
    bytes
}

/// `nlmsghdr` and `inet_diag_msg`, if the socket listens; an error has another type.
fn inode(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let state = *answer.get(17)?;
    let inode = u32::from_ne_bytes(answer.get(84..88)?.try_into().ok()?);
    (kind == SOCK_DIAG_BY_FAMILY && state == LISTEN).then_some(inode)
}

/// Links of all sockets that listen on a port, from the tables.
fn tabled(port: u16) -> HashSet<String> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok())
        .flat_map(|table| listening(&table, port))
        .collect()
}

/// Links of the sockets that listen (state `0A`) on a port, from the text of `/proc/net/tcp`.
fn listening(table: &str, port: u16) -> Vec<String> {
    let end = format!(":{port:04X}");
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, _, state, _, _, _, _, _, inode, ..] = fields.as_slice() else { return None };
        (local.ends_with(&end) && *state == "0A").then(|| link(inode))
    };
    table.lines().filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, TcpListener};

    #[test]
    fn both_ways_name_the_socket_that_listens() {
        for (bound, asked_for) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("0.0.0.0:0", "127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let Ok(listener) = TcpListener::bind(bound) else { continue };
            let ip: IpAddr = asked_for.parse().unwrap();
            let address = SocketAddr::new(ip, listener.local_addr().unwrap().port());
            let inode = asked(address).unwrap().unwrap();
            assert!(tabled(address.port()).contains(&link(inode)), "{bound}");
            assert!(listens(std::process::id(), address), "{bound}");
        }
    }

    #[test]
    fn what_listens_elsewhere_is_not_it() {
        let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(!listens(stranger.id(), address));
        // A connection to the listener is no listener.
        let connection = std::net::TcpStream::connect(address).unwrap();
        assert_eq!(asked(connection.local_addr().unwrap()).unwrap_or(None), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn any_answer_can_be_read() {
        for length in 0..100 {
            for byte in [0, 10, 20, 255] {
                let _ = inode(&vec![byte; length]);
            }
        }
    }
}
