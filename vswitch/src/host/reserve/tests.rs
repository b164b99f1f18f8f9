//! Most need root: each runs in a network namespace of its own.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use testkit::{in_namespace, is_free, run_line as run};

use super::ReserveError;
use super::reserved_ports::{PortSet, ReservedPorts, check_snat, restore_after_crash};
use super::snat_blocks::{HeldBlocks, Unheld};
use super::socket_owners::{bound, owner_of_port, parse, parse_sctp};
use super::sockets::{self, PortReservation};
use crate::host::nft::{PortBlock, Protocol, Published};

fn ports(text: &str) -> PortSet {
    PortSet::parse(text).unwrap()
}

fn reserve_ports(published: &Published) -> Result<PortReservation, ReserveError> {
    sockets::reserve_ports(published, &BTreeSet::new())
}

#[test]
fn sets_of_ports_merge_and_part() {
    assert_eq!(ports("9,1-3,4,20-30,25-40\n").to_string(), "1-4,9,20-40");
    assert_eq!(ports("").to_string(), "");
    assert_eq!(ports("8080").union(&ports("8081-8090")).to_string(), "8080-8090");
    assert_eq!(ports("1-65535").without(&ports("1,100-200,65535")).to_string(), "2-99,201-65534");
    assert_eq!(ports("5-10").without(&ports("1-20")).to_string(), "");
    assert_eq!(ports("5-10").without(&ports("11")).to_string(), "5-10");
    assert_eq!(PortSet::parse("70000"), None);
    assert_eq!(PortSet::parse("http"), None);
}

#[test]
fn a_line_of_the_kernels_list_is_understood() {
    let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4242 1 0";
    let bound = parse(Protocol::Tcp, line).unwrap();
    assert_eq!((bound.address, bound.port, bound.inode), (Ipv4Addr::LOCALHOST.into(), 8080, 4242));
    let line = line.replace("0100007F", "00000000000000000000000001000000");
    assert_eq!(parse(Protocol::Tcp, &line).unwrap().address.to_string(), "::1");
    assert_eq!(parse(Protocol::Tcp, &line.replace("4242", "0")), None, "nobody holds it");
    assert_eq!(parse(Protocol::Tcp, "  sl  local_address"), None);
}

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";

fn setting() -> String {
    std::fs::read_to_string(RESERVED).unwrap().trim().to_owned()
}

#[test]
fn what_others_reserved_stays() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(RESERVED, "8080,25000\n").unwrap();
        let mut reserved = ReservedPorts::reserve(directory.path(), &ports("20000-29999")).unwrap();
        assert_eq!(setting(), "8080,20000-29999");
        reserved.change(&ports("20000-29999,40000-49999")).unwrap();
        assert_eq!(setting(), "8080,20000-29999,40000-49999");
        reserved.change(&ports("20000-29999")).unwrap();
        assert_eq!(setting(), "8080,20000-29999");
        drop(reserved);
        assert_eq!(setting(), "8080,25000");
        assert!(is_empty(directory.path()));
    });
}

fn is_empty(directory: &Path) -> bool {
    std::fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn a_crash_is_undone_and_a_former_boot_forgotten() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(RESERVED, "8080\n").unwrap();
        let crash = |ports: &PortSet| {
            std::mem::forget(ReservedPorts::reserve(directory.path(), ports).unwrap());
        };
        crash(&ports("20000-29999"));
        restore_after_crash(directory.path()).unwrap();
        assert_eq!(setting(), "8080");
        crash(&ports("20000-29999"));
        // The next start, with another range.
        let reserved = ReservedPorts::reserve(directory.path(), &ports("10000-11000")).unwrap();
        assert_eq!(setting(), "8080,10000-11000");
        drop(reserved);
        assert_eq!(setting(), "8080");
        let other_boot = r#"{"boot_id":"another","added":[[8080,8080]]}"#;
        std::fs::write(directory.path().join("reserved-ports.json"), other_boot).unwrap();
        restore_after_crash(directory.path()).unwrap();
        assert_eq!(setting(), "8080");
        assert!(is_empty(directory.path()));
    });
}

#[test]
fn the_range_for_snat_is_apart_from_the_hosts_own_connections() {
    in_namespace(|| {
        let error = check_snat(&(32_000..=33_000)).unwrap_err().to_string();
        assert!(error.contains("32000-33000") && error.contains("32768-60999"), "{error}");
        check_snat(&(20_000..=29_999)).unwrap();
        // A port in use only skips its block.
        let _in_use = UdpSocket::bind("0.0.0.0:25001").unwrap();
        check_snat(&(20_000..=29_999)).unwrap();
    });
}

/// Not every kernel has SCTP: lines as they were seen elsewhere.
#[test]
fn who_listens_with_sctp_is_seen() {
    let line = "       0        0 2   10  25   38412     0 465001935 192.168.60.142 127.0.0.1 ";
    let seen = parse_sctp(line);
    let addresses: Vec<String> = seen.iter().map(|bound| bound.address.to_string()).collect();
    assert_eq!(addresses, ["192.168.60.142", "127.0.0.1"]);
    assert!(seen.iter().all(|bound| (bound.port, bound.inode) == (38_412, 465_001_935)));
    assert!(seen.iter().all(|bound| bound.protocol == Protocol::Sctp));
    let line =
        "ffff88 ffff89 1   10  17   2905      0 200 0000:0000:0000:0000:0000:0000:0000:0000 ";
    assert!(parse_sctp(line)[0].address.is_unspecified());
    for other in
        [" ENDPT     SOCK   STY SST HBKT LPORT   UID INODE LADDRS", "", "0 0 2 10 25 38412"]
    {
        assert_eq!(parse_sctp(other), [], "{other}");
    }
}

fn published(address: Option<&str>, protocol: Protocol, first: u16, last: u16) -> Published {
    let address = address.map(|text| text.parse::<IpAddr>().unwrap());
    Published { address, protocol, ports: first..=last }
}

#[test]
fn nobody_else_gets_a_published_port() {
    in_namespace(|| {
        let reservation = reserve_ports(&published(None, Protocol::Tcp, 8080, 8082)).unwrap();
        let refused = |address: &str| TcpListener::bind(address).is_err();
        for address in ["0.0.0.0:8080", "127.0.0.1:8081", "[::]:8082", "[::1]:8080"] {
            assert!(refused(address), "{address}");
        }
        assert!(!refused("127.0.0.1:8083"));
        let error =
            reserve_ports(&published(None, Protocol::Tcp, 8082, 8082)).unwrap_err().to_string();
        assert!(error.contains("port 8082/tcp of this host is taken by "), "{error}");
        drop(reservation);
        assert!(is_free("0.0.0.0:8080"));
    });
}

#[test]
fn a_port_that_is_taken_is_refused_with_its_holder() {
    in_namespace(|| {
        let _theirs = UdpSocket::bind("127.0.0.1:53").unwrap();
        let error = reserve_ports(&published(None, Protocol::Udp, 50, 60)).unwrap_err();
        let ReserveError::Taken { port: 53, owner: Some(owner), .. } = error else {
            panic!("{error}");
        };
        assert_eq!(owner.pid, std::process::id());
        assert_eq!(owner_of_port(Protocol::Udp, None, 53), Some(owner));
        // Nothing of the failed attempt stays.
        assert_eq!(bound(Protocol::Udp).len(), 1);
        let error = reserve_ports(&published(None, Protocol::Udp, 1, 10_000)).unwrap_err();
        assert!(matches!(error, ReserveError::Taken { port: 53, .. }), "{error}");
    });
}

#[test]
fn only_at_an_address_of_the_host() {
    in_namespace(|| {
        for last in [80, 1080] {
            let foreign = published(Some("192.0.2.1"), Protocol::Tcp, 80, last);
            let error = reserve_ports(&foreign).unwrap_err().to_string();
            assert_eq!(error, "192.0.2.1 is no address of this host; see `ip address`", "{last}");
        }
        run("ip addr add 192.0.2.1/24 dev lo");
        let _held = reserve_ports(&published(Some("192.0.2.1"), Protocol::Tcp, 80, 80)).unwrap();
        TcpListener::bind("127.0.0.1:80").unwrap();
    });
}

#[test]
fn a_long_range_takes_no_sockets() {
    in_namespace(|| {
        let reservation = reserve_ports(&published(None, Protocol::Tcp, 40_000, 49_999)).unwrap();
        assert!(reservation.by_sysctl);
        assert_eq!(bound(Protocol::Tcp).len(), 0);
    });
}

#[test]
fn a_held_block_is_nobody_elses_and_a_port_in_use_skips_it() {
    in_namespace(|| {
        let block = |protocol, first: u16| PortBlock { protocol, first, last: first + 63 };
        let mut held = HeldBlocks::new();
        let left = held.sockets_left();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            held.hold(&block(protocol, 20_000)).unwrap();
        }
        assert_eq!(held.sockets_left(), left - 128);
        for address in ["0.0.0.0:20010", "[::]:20010", "127.0.0.1:20063", "[::1]:20000"] {
            TcpListener::bind(address).unwrap_err();
            UdpSocket::bind(address).unwrap_err();
        }
        let theirs = UdpSocket::bind("127.0.0.1:20100").unwrap();
        assert_eq!(held.hold(&block(Protocol::Udp, 20_064)), Err(Unheld::Taken(20_100)));
        held.hold(&block(Protocol::Tcp, 20_064)).unwrap();
        UdpSocket::bind("0.0.0.0:20064").expect("nothing of a skipped block stays");
        drop(theirs);
        held.hold(&block(Protocol::Udp, 20_064)).unwrap();
        held.release(&block(Protocol::Udp, 20_000));
        UdpSocket::bind("0.0.0.0:20010").unwrap();
        TcpListener::bind("0.0.0.0:20010").unwrap_err();
    });
}

#[test]
fn a_publication_has_a_port_of_a_held_block_as_long_as_it_lasts() {
    in_namespace(|| {
        let mut held = HeldBlocks::new();
        held.hold(&PortBlock { protocol: Protocol::Tcp, first: 20_000, last: 20_063 }).unwrap();
        let one = published(None, Protocol::Tcp, 20_005, 20_005);
        reserve_ports(&one).unwrap_err();
        assert!(held.lend(&one).is_empty());
        let reservation = soon(|| reserve_ports(&one));
        held.regain(|_, port| port == 20_005);
        TcpListener::bind("0.0.0.0:20005").unwrap_err();
        drop(reservation);
        soon(|| TcpListener::bind("0.0.0.0:20005"));
        held.regain(|_, _| false);
        TcpListener::bind("0.0.0.0:20005").unwrap_err();
    });
}

/// Tries for a second: programs that tests start beside have our sockets until they are executed.
fn soon<T, E: std::fmt::Debug>(mut attempt: impl FnMut() -> Result<T, E>) -> T {
    for _ in 0..100 {
        if let Ok(done) = attempt() {
            return done;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    attempt().unwrap()
}

/// Whether nobody has the address and port soon.
fn is_soon_free(protocol: Protocol, at: &str) -> bool {
    soon(|| if is_bound(protocol, at) { Err(at.to_owned()) } else { Ok(true) })
}

/// Whether a socket of the protocol cannot have the address and port.
fn is_bound(protocol: Protocol, at: &str) -> bool {
    match protocol {
        Protocol::Udp => UdpSocket::bind(at).is_err(),
        _ => TcpListener::bind(at).is_err(),
    }
}

#[test]
fn a_publication_at_one_address_leaves_a_port_held_at_the_others() {
    in_namespace(|| {
        run("ip addr add 192.0.2.1/24 dev lo");
        run("ip addr add 2001:db8::1/64 dev lo nodad");
        let all = ["192.0.2.1:20005", "127.0.0.2:20005", "[::1]:20005", "[2001:db8::1]:20005"];
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for address in ["192.0.2.1", "2001:db8::1", "0.0.0.0"] {
                let mut held = HeldBlocks::new();
                let block = PortBlock { protocol, first: 20_000, last: 20_063 };
                held.hold(&block).unwrap();
                let one = published(Some(address), protocol, 20_005, 20_005);
                let ports = held.lend(&one);
                let _reservation = sockets::reserve_ports(&one, &ports).unwrap();
                held.regain(|_, port| port == 20_005);
                for at in all {
                    assert!(is_bound(protocol, at), "{protocol} {address}: {at}");
                }
                let foreign = published(Some("198.51.100.9"), protocol, 20_005, 20_005);
                sockets::reserve_ports(&foreign, &held.lend(&foreign)).unwrap_err();
                // The publication outlasts the block, which may be held anew meanwhile.
                held.release(&block);
                held.regain(|_, port| port == 20_005);
                assert!(is_soon_free(protocol, "192.0.2.1:20006"), "{protocol} {address}");
                assert!(is_bound(protocol, all[0]), "{protocol} {address}");
                held.hold(&block).unwrap();
                held.release(&block);
                held.regain(|_, _| false);
                for at in all {
                    assert!(is_soon_free(protocol, at), "{protocol} {address}: {at} at the end");
                }
            }
        }
    });
}

#[test]
fn a_publication_of_the_proxy_leaves_a_port_held_at_ipv4_addresses() {
    in_namespace(|| {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut held = HeldBlocks::new();
            held.hold(&PortBlock { protocol, first: 20_000, last: 20_063 }).unwrap();
            let one = published(Some("::1"), protocol, 20_005, 20_005);
            let ports = held.lend(&one);
            let reservation = soon(|| sockets::reserve_ports(&one, &ports));
            assert_eq!(reservation.served.len(), 1);
            held.regain(|_, port| port == 20_005);
            let ipv4 = published(Some("127.0.0.1"), protocol, 20_005, 20_005);
            sockets::reserve_ports(&ipv4, &held.lend(&ipv4)).unwrap();
            assert!(is_bound(protocol, "0.0.0.0:20005"), "{protocol}");
            drop(reservation);
            held.regain(|_, _| false);
            assert!(is_bound(protocol, "127.0.0.1:20005"), "{protocol}");
            assert!(is_bound(protocol, "[::]:20005"), "{protocol}");
        }
    });
}

#[test]
fn a_long_range_over_a_held_block_leaves_it_held() {
    in_namespace(|| {
        let mut held = HeldBlocks::new();
        held.hold(&PortBlock { protocol: Protocol::Tcp, first: 20_000, last: 20_063 }).unwrap();
        let long = published(None, Protocol::Tcp, 19_000, 20_999);
        let reservation = sockets::reserve_ports(&long, &held.lend(&long)).unwrap();
        assert!(reservation.by_sysctl && is_bound(Protocol::Tcp, "127.0.0.1:20005"));
        let _theirs = TcpListener::bind("127.0.0.1:20064").unwrap();
        sockets::reserve_ports(&long, &held.lend(&long)).unwrap_err();
    });
}

#[test]
fn who_sends_to_a_held_port_from_the_host_is_refused() {
    in_namespace(|| {
        run("ip link add nic0 type veth peer name far0");
        run("ip addr add 192.0.2.1/24 dev nic0");
        run("ip addr add 2001:db8::1/64 dev nic0 nodad");
        run("ip link set nic0 up");
        let mut held = HeldBlocks::new();
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            held.hold(&PortBlock { protocol, first: 20_000, last: 20_063 }).unwrap();
        }
        for host in ["127.0.0.1", "[::1]", "192.0.2.1", "[2001:db8::1]"] {
            let at = format!("{host}:20005");
            let from = UdpSocket::bind(format!("{host}:0")).unwrap();
            from.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
            from.connect(&at).unwrap();
            from.send(b"anybody?").unwrap();
            let error = from.recv(&mut [0; 16]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{at}: {error}");
            let error = TcpStream::connect(&at).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "{at}: {error}");
            assert!(is_bound(Protocol::Udp, &at) && is_bound(Protocol::Tcp, &at), "{at}");
        }
    });
}
