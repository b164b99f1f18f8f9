//! The forwarding database: ageing, moves, static entries.

use std::time::Duration;

use vswitch_api::fdb::FdbEntry;

use testkit::{SEND_FRAME, wait_for};

use crate::harness::{Container, Host};

const STRANGER: &str = "02:00:00:00:0f:0f";

/// For those who send from the stranger's address.
const UNGUARDED: &[&str] = &["--guard", "off"];

#[track_caller]
fn entry(host: &Host, mac: &str) -> Option<FdbEntry> {
    let rows: Vec<FdbEntry> = serde_json::from_value(host.json(&["fdb"])).expect("FdbEntry[]");
    let mut found = rows.into_iter().filter(|row| row.mac.to_string() == mac);
    let first = found.next();
    assert!(found.next().is_none(), "{mac} is there twice");
    first
}

/// Sends 20 frames of an unknown EtherType out of a container.
#[track_caller]
fn send(from: &Container, destination: &str, source: &str) {
    let hex = format!("{destination}{source}88b5{}", "00".repeat(46)).replace(':', "");
    from.ok(&["python3", "-c", SEND_FRAME, "eth0", &hex, "20"]);
}

#[test]
fn what_is_silent_is_forgotten() {
    let host = Host::with_switch_args(&["--ageing", "2"]);
    let a = host.container_with("a", UNGUARDED);
    send(&a, "ff:ff:ff:ff:ff:ff", STRANGER);
    assert_eq!(entry(&host, STRANGER).map(|row| row.port), Some("a".to_owned()));
    wait_for("it ages out", Duration::from_secs(6), || entry(&host, STRANGER).is_none());
}

#[test]
fn a_mac_address_moves_with_its_traffic() {
    let host = Host::with_switch();
    let (a, b) = (host.container_with("a", UNGUARDED), host.container_with("b", UNGUARDED));
    for (container, port) in [(&a, "a"), (&b, "b"), (&a, "a")] {
        send(container, "ff:ff:ff:ff:ff:ff", STRANGER);
        assert_eq!(entry(&host, STRANGER).map(|row| row.port), Some(port.to_owned()));
    }
    let moves: u64 = host.stats().workers.iter().map(|worker| worker.mac_moves).sum();
    assert_eq!(moves, 2);
}

#[test]
fn what_is_unknown_is_flooded_and_what_is_static_is_not() {
    let host = Host::with_switch();
    let (a, b, c) = (host.container("a"), host.container("b"), host.container("c"));
    let own = &a.detail().port.mac.to_string();
    let received =
        |container: &Container| host.inspect(&container.detail().port.name).port.traffic.tx_frames;

    let before = (received(&b), received(&c));
    send(&a, STRANGER, own);
    assert!(received(&b) >= before.0 + 20 && received(&c) >= before.1 + 20, "not flooded");

    host.ok(&["fdb", "add", STRANGER, "--port", "b"]);
    let row = entry(&host, STRANGER).expect("the static entry");
    assert!(row.is_static && row.port == "b", "{row:?}");
    let before = (received(&b), received(&c));
    send(&a, STRANGER, own);
    assert!(received(&b) >= before.0 + 20, "not sent to b");
    // Others' multicast may come to `c` meanwhile, but not twenty frames.
    assert!(received(&c) < before.1 + 20, "still flooded");
}

#[test]
fn a_static_entry_neither_moves_nor_ages_and_outlives_the_daemon() {
    let mut host = Host::with_switch_args(&["--ageing", "1"]);
    let (_b, c) = (host.container("b"), host.container_with("c", UNGUARDED));
    host.ok(&["fdb", "add", STRANGER, "--port", "b"]);
    send(&c, "ff:ff:ff:ff:ff:ff", STRANGER);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(
        entry(&host, STRANGER).map(|row| (row.port, row.is_static)),
        Some(("b".into(), true))
    );

    host.kill();
    host.up(&["--ageing", "1"]);
    assert_eq!(
        entry(&host, STRANGER).map(|row| (row.port, row.is_static)),
        Some(("b".into(), true))
    );

    host.ok(&["fdb", "del", STRANGER]);
    assert!(entry(&host, STRANGER).is_none());
}

#[test]
fn static_entries_that_make_no_sense() {
    let host = Host::with_switch();
    let _a = host.container("a");
    host.fails(&["fdb", "add", "01:00:5e:00:00:01", "--port", "a"], &[2], "01:00:5e:00:00:01");
    host.fails(&["fdb", "add", "nonsense", "--port", "a"], &[2], "nonsense");
    host.fails(&["fdb", "add", STRANGER, "--port", "nobody"], &[1], "nobody");
    host.fails(&["fdb", "add", STRANGER, "--port", "a", "--vlan", "4095"], &[2], "4095");
    host.fails(&["fdb", "del", STRANGER], &[1], STRANGER);
    assert!(entry(&host, STRANGER).is_none());
}
