//! A socket that is disconnected and connected again has nothing of its connection before.

use testkit::READY_MAX;

use super::{UP, assert_cut_through, pair_with_guards, serve};

/// Answers 64 requests on its first connection, and then sends bytes that nobody reads; greets its second one:
/// `ADDRESS PORT`.
const SERVER: &str = "\
import socket, sys
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
first = listener.accept()[0]
first.settimeout(20)
first.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(64): first.sendall(first.recv(1))
first.sendall(b'old' * 7000)
second = listener.accept()[0]
second.settimeout(20)
second.recv(1)
second.sendall(b'new')
";

/// Its client uses one socket for both, and prints what the second connection brings: `ADDRESS PORT`.
const CLIENT: &str = "\
import ctypes, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_STREAM)
s.settimeout(20)
s.connect((sys.argv[1], int(sys.argv[2])))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(64): s.sendall(b'x'); assert s.recv(1) == b'x'; time.sleep(0.001)
time.sleep(0.5)
nobody = (ctypes.c_uint16 * 14)()
assert libc.connect(s.fileno(), nobody, ctypes.sizeof(nobody)) == 0, ctypes.get_errno()
s.connect((sys.argv[1], int(sys.argv[2])))
s.sendall(b'x')
got = b''
while data := s.recv(7000): got += data
print(len(got), got[:9])
";

#[test]
fn a_socket_that_is_used_again_begins_anew() {
    // Python could splice.
    let (host, server, client) = pair_with_guards("order,bound,ring,refresh", &UP);
    for (address, port) in [(server.v4(), 7700_u16), (server.v6(), 7701)] {
        let before = host.stats().cut_through;
        let (address, port_text) = (address.to_string(), port.to_string());
        let peer = serve(&server, &["python3", "-c", SERVER, &address, &port_text], port);
        let said = client.ok(&["python3", "-c", CLIENT, &address, &port_text]);
        assert_eq!(said, "3 b'new'\n", "{address}");
        peer.finish(READY_MAX);
        assert_cut_through(&host, before, 1);
        let past_tcp = host.stats().cut_through.bytes - before.bytes;
        assert!(past_tcp > 21_000, "the unread bytes came through TCP: {past_tcp}");
    }
    host.balanced();
}
