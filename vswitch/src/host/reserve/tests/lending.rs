//! Publications at ports of held blocks: each order of coming and going.

use std::net::{TcpListener, TcpStream};

use socket2::SockRef;

use super::*;

const AT: [&str; 4] = ["127.0.0.2:20005", "192.0.2.1:20005", "[::1]:20005", "[2001:db8::1]:20005"];

fn add_addresses() {
    run("ip addr add 192.0.2.1/24 dev lo");
    run("ip addr add 2001:db8::1/64 dev lo nodad");
}

fn block(protocol: Protocol) -> PortBlock {
    PortBlock { protocol, first: 20_000, last: 20_063 }
}

fn at(address: Option<&str>, protocol: Protocol) -> Published {
    published(address, protocol, 20_005, 20_005)
}

fn publish(held: &mut HeldBlocks, one: &Published) -> PortReservation {
    soon(|| {
        let ports = held.lend(one);
        sockets::reserve_ports(one, &ports)
    })
}

/// Holds what the publications leave; programs that tests start beside may have our sockets for a moment.
fn regain(held: &mut HeldBlocks, all: &[&Published]) {
    held.regain(all.iter().copied());
    soon(|| {
        held.retry();
        if held.lacks_any() { Err("a port is not held") } else { Ok(()) }
    });
}

#[test]
fn a_connection_that_outlasts_its_publication_delays_only_the_ipv6_socket() {
    in_namespace(|| {
        for address in [None, Some("::1"), Some("::")] {
            let mut held = HeldBlocks::new();
            soon(|| held.hold(&block(Protocol::Tcp)));
            let one = at(address, Protocol::Tcp);
            let mut reservation = publish(&mut held, &one);
            let (_, listener) = reservation.served.pop().unwrap();
            let listener = TcpListener::from(listener);
            listener.set_nonblocking(false).unwrap();
            let _client = TcpStream::connect("[::1]:20005").unwrap();
            let (outlasting, _) = listener.accept().unwrap();
            drop((listener, reservation));
            for _ in 0..2 {
                held.regain([]);
                assert!(held.lacks_any(), "{address:?}");
                assert!(is_bound(Protocol::Tcp, "127.0.0.1:20005"), "{address:?}");
            }
            // A publication that comes meanwhile has its address.
            let ipv4 = at(Some("127.0.0.1"), Protocol::Tcp);
            assert_eq!(held.lend(&ipv4), BTreeSet::from([20_005]), "{address:?}");
            SockRef::from(&outlasting).set_linger(Some(Duration::ZERO)).unwrap();
            drop(outlasting);
            regain(&mut held, &[]);
            assert!(is_bound(Protocol::Tcp, "[::1]:20005"), "{address:?}");
            assert!(is_bound(Protocol::Tcp, "127.0.0.1:20005"), "{address:?}");
        }
    });
}

#[test]
fn a_publication_of_the_proxy_and_one_at_an_address_come_and_go_in_each_order() {
    in_namespace(|| {
        add_addresses();
        let cases = [
            ("192.0.2.1", "::1"),
            ("::1", "192.0.2.1"),
            ("192.0.2.1", "::"),
            ("::", "192.0.2.1"),
            ("2001:db8::1", "::1"),
            ("::1", "2001:db8::1"),
            ("2001:db8::1", "::"),
        ];
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for ((first, second), goes_first) in
                cases.iter().flat_map(|case| [(*case, true), (*case, false)])
            {
                let case = format!("{protocol} {first} {second} {goes_first}");
                let mut held = HeldBlocks::new();
                let left = held.sockets_left();
                soon(|| held.hold(&block(protocol)));
                let [one, two] = [first, second].map(|address| at(Some(address), protocol));
                let reserved = publish(&mut held, &one);
                regain(&mut held, &[&one]);
                let reserved = [reserved, publish(&mut held, &two)];
                regain(&mut held, &[&one, &two]);
                for at in AT.iter().filter(|at| !at.contains("2001") || case.contains("2001")) {
                    assert!(is_bound(protocol, at), "{case}: {at}");
                }
                let [one_reserved, two_reserved] = reserved;
                let (stays, reserved, is_proxied) = if goes_first {
                    drop(one_reserved);
                    (&two, two_reserved, second.starts_with("::"))
                } else {
                    drop(two_reserved);
                    (&one, one_reserved, first.starts_with("::"))
                };
                regain(&mut held, &[stays]);
                let ours = |at: &&&str| !is_proxied || !at.contains('[');
                for at in AT.iter().filter(ours) {
                    assert!(is_bound(protocol, at), "{case}: {at} after one has gone");
                }
                drop(reserved);
                regain(&mut held, &[]);
                AT.iter().for_each(|at| assert!(is_bound(protocol, at), "{case}: {at} at the end"));
                held.release(&block(protocol));
                assert_eq!(held.sockets_left(), left, "{case}");
                AT.iter().for_each(|at| assert!(is_soon_free(protocol, at), "{case}: {at}"));
            }
        }
    });
}
