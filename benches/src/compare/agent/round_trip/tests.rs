use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::Value;

use super::{Window, echo_stream};

const TIME: Duration = Duration::from_millis(50);

fn number(report: &str, key: &str) -> f64 {
    let shown: Value = serde_json::from_str(report).expect("JSON");
    shown[key].as_f64().expect("a number")
}

#[test]
fn messages_come_back_over_tcp() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let to = listener.local_addr().expect("address");
    std::thread::spawn(move || echo_stream(listener.accept().expect("a client").0));
    let mut window = Window::new();
    window.run_stream(TcpStream::connect(to).expect("connect"), 8, TIME).expect("ran");
    let report = window.report(TIME).expect("some came back");
    assert!(number(&report, "p50_us") > 0.0);
    assert!(number(&report, "p50_us") <= number(&report, "p999_us"));
}

#[test]
fn a_datagram_that_is_lost_does_not_stop_the_others() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let client = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    client.connect(server.local_addr().expect("address")).expect("connect");
    client.set_read_timeout(Some(Duration::from_millis(10))).expect("a limit");
    std::thread::spawn(move || {
        let mut bytes = [0; 64];
        for number in 0.. {
            let Ok((len, from)) = server.recv_from(&mut bytes) else { return };
            if number % 5 != 0 && server.send_to(&bytes[..len], from).is_err() {
                return;
            }
        }
    });
    let mut window = Window::new();
    window.run_datagrams(&client, 4, TIME).expect("ran");
    let report = window.report(TIME).expect("some came back");
    assert!(number(&report, "lost") >= 1.0, "{report}");
    assert!(number(&report, "per_second") > 20.0, "{report}");
}
