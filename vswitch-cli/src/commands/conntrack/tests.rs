use vswitch_api::conntrack::{Connection, ConnectionProtocol, ConnectionServer, Flushed, Tuple};

use super::said;
use crate::list::{ListArgs, Row};
use crate::output::Format;

pub(super) fn connection(container: &str, src: &str, state: &str) -> Connection {
    let tuple =
        |src: &str, dst: &str| Tuple { src: src.parse().unwrap(), dst: dst.parse().unwrap() };
    Connection {
        protocol: ConnectionProtocol::Tcp,
        network: "br0".into(),
        container: container.into(),
        server: None,
        original: tuple(src, "203.0.113.5:80"),
        translated: tuple("192.0.2.1:20000", "203.0.113.5:80"),
        state: state.into(),
        cut_through: false,
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
fn a_connection_between_networks_has_a_server_and_no_translation() {
    let row = connection("web", "10.99.0.2:40000", "established");
    let server = ConnectionServer { network: "back".into(), container: "db".into() };
    let routed = Connection { translated: row.original, server: Some(server), ..row.clone() };
    assert_eq!(
        (super::translated(&routed), super::server(&routed)),
        ("-".into(), "db@back".into())
    );
    assert_eq!(super::server(&row), "-");
    let past = Connection { cut_through: true, ..row.clone() };
    assert_eq!(super::state(&past), "established [CUT-THROUGH]");
    let picks = |key: &str, value: &str| {
        let (_, is_one) = Connection::FILTERS.iter().find(|(name, _)| *name == key).unwrap();
        is_one(&routed, value)
    };
    assert!(picks("container", "db") && picks("container", "web") && picks("name", "d"));
    assert!(picks("network", "back") && picks("network", "br0") && !picks("network", "other"));
}

#[test]
fn a_flush_says_how_many() {
    assert_eq!(said(&Flushed { connections: 1 }), "1 connection is deleted\n");
    assert_eq!(said(&Flushed { connections: 0 }), "0 connections are deleted\n");
}
