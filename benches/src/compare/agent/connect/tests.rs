use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};

use super::once;

#[test]
fn the_client_resets_so_that_nobody_waits() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let to = listener.local_addr().expect("address");
    let client = std::thread::spawn(move || once(to));
    let (mut stream, _) = listener.accept().expect("a client");
    let mut byte = [0];
    stream.read_exact(&mut byte).expect("its byte");
    stream.write_all(&byte).expect("answer");
    client.join().expect("no panic").expect("no error");
    let error = stream.read(&mut byte).expect_err("no orderly end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}
