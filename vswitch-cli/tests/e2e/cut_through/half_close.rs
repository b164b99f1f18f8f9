//! Ends that shut down while bytes that came past TCP are unread: the other end's FIN must not take these away.

use testkit::{Process, READY_MAX};

use super::{UP, assert_cut_through, pair_with_guards, serve};

/// Bytes that wait for the server: less than half its buffer, so that they come past TCP.
const WAITING: u64 = 40_000;

/// Answers 64 requests, and shuts down when more has come. Reads late, and tells how many bytes came after the requests and
/// whether they are right: `ADDRESS PORT`.
const SERVER: &str = "\
import select, socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
listener = socket.create_server((sys.argv[1], int(sys.argv[2])), family=family)
s = listener.accept()[0]
s.settimeout(20)
for _ in range(64): s.sendall(s.recv(1))
poll = select.poll()
poll.register(s, select.POLLIN)
poll.poll(10000)
time.sleep(0.4)
s.shutdown(socket.SHUT_WR)
time.sleep(1.5)
got = b''
while data := s.recv(7000): got += data
print(len(got), got == bytes(i * 7 & 255 for i in range(len(got))))
";

/// Its client sends so many bytes at last; `first` sends a FIN at once, `last` when the server's has come:
/// `ADDRESS PORT BYTES first|last`.
const CLIENT: &str = "\
import socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=20)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for _ in range(64): s.sendall(b'x'); assert s.recv(1) == b'x'; time.sleep(0.001)
time.sleep(0.3)
s.sendall(bytes(i * 7 & 255 for i in range(int(sys.argv[3]))))
if sys.argv[4] == 'first': s.shutdown(socket.SHUT_WR)
assert s.recv(1) == b''
s.close()
";

#[test]
fn bytes_that_wait_at_a_shutdown_are_read_later() {
    // Python could splice.
    let (host, server, client) = pair_with_guards("order,bound,ring,refresh", &UP);
    let waiting = WAITING.to_string();
    for (n, who) in ["last", "first"].into_iter().enumerate() {
        for (m, address) in [server.v4(), server.v6()].into_iter().enumerate() {
            let (before, port) = (host.stats(), 7600 + 2 * n + m);
            let (address, port_text) = (address.to_string(), port.to_string());
            let args = ["python3", "-c", SERVER, &address, &port_text];
            let reader: Process = serve(&server, &args, port as u16);
            client.ok(&["python3", "-c", CLIENT, &address, &port_text, &waiting, who]);
            let said = reader.finish(READY_MAX).ok();
            assert_eq!(said, format!("{WAITING} True\n"), "{address}, FIN {who}");
            assert_cut_through(&host, before.cut_through, 1);
            let now = host.stats();
            assert!(now.cut_through.bytes - before.cut_through.bytes > WAITING, "{now:?}");
        }
    }
    host.balanced();
}
