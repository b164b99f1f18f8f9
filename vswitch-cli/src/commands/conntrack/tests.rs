use vswitch_api::conntrack::{Connection, ConnectionProtocol, Flushed, Tuple};

use super::said;
use crate::list::ListArgs;
use crate::output::Format;

pub(super) fn connection(container: &str, src: &str, state: &str) -> Connection {
    let tuple =
        |src: &str, dst: &str| Tuple { src: src.parse().unwrap(), dst: dst.parse().unwrap() };
    Connection {
        protocol: ConnectionProtocol::Tcp,
        network: "br0".into(),
        container: container.into(),
        original: tuple(src, "203.0.113.5:80"),
        translated: tuple("192.0.2.1:20000", "203.0.113.5:80"),
        state: state.into(),
        idle_s: 75,
        bytes: 1536,
        frames: 12_345,
        reply_bytes: 1000,
        reply_frames: 10_000,
    }
}

#[test]
fn a_row_a_connection() {
    let plan = ListArgs::default().plan::<Connection>(Format::Table).unwrap();
    assert_eq!(
        plan.render(&[connection("web", "10.99.0.2:40000", "established")]),
        "\
PROTO  CONTAINER  ORIGINAL                           TRANSLATED                         STATE          IDLE    BYTES
tcp    web        10.99.0.2:40000 -> 203.0.113.5:80  192.0.2.1:20000 -> 203.0.113.5:80  established  1m 15s  1.5 KiB
"
    );
}

#[test]
fn a_flush_says_how_many() {
    assert_eq!(said(&Flushed { connections: 1 }), "1 connection is deleted\n");
    assert_eq!(said(&Flushed { connections: 0 }), "0 connections are deleted\n");
}
