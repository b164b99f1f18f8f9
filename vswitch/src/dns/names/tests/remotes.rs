//! Names of endpoints on other nodes.

use super::*;

/// `web` is here on both networks, `far` and a second `web` are elsewhere on `front`.
fn with_remotes() -> Names {
    let names = names();
    for address in ["10.99.0.50", "fd00:0::50"] {
        names.set_remote(FRONT, ip(address), &["Far", "Data", ""]);
    }
    names.set_remote(FRONT, ip("10.99.0.51"), &["web"]);
    names
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn they_are_found_like_those_of_ports() {
    let names = with_remotes();
    for name in ["far", "far.front"] {
        assert_eq!(ipv4(&names, 1, name), ["10.99.0.50"]);
        let found = names.lookup(port(4), name, Asked::Aaaa);
        assert_eq!(found, Found::Addresses(vec![ip("fd00::50")]));
        let found = names.lookup(port(4), name, Asked::Any);
        assert_eq!(found, Found::Addresses(vec![ip("10.99.0.50"), ip("fd00::50")]));
        assert_eq!(names.lookup(port(4), name, Asked::Other), Found::NoData);
    }
    // Own networks only.
    assert_eq!(ipv4(&names, 2, "far"), ["10.99.0.50"]);
    assert_eq!(ipv4(&names, 3, "far"), ["NoName"]);
    assert_eq!(ipv4(&names, 3, "far.front"), ["NoName"]);
    let ptr = |from, name| names.lookup(port(from), name, Asked::Ptr);
    assert_eq!(ptr(1, "50.0.99.10.in-addr.arpa"), Found::Name("far.front".to_owned()));
    assert_eq!(ptr(3, "50.0.99.10.in-addr.arpa"), Found::NoName);
    assert_eq!(names.port_of("far"), None);
    // Only IPv4.
    names.remove_remote(FRONT, ip("fd00::50"));
    assert_eq!(names.lookup(port(4), "far", Asked::Aaaa), Found::NoData);
}

#[test]
fn those_of_ports_come_first_and_all_take_turns() {
    let names = with_remotes();
    for _ in 0..3 {
        assert_eq!(ipv4(&names, 1, "web"), ["10.99.0.2", "10.99.0.51"]);
    }
    names.set_remote(FRONT, ip("10.99.0.52"), &["db", "data"]);
    names.set_remote(FRONT, ip("fd00::52"), &["db", "data"]);
    names.set_remote(FRONT, ip("10.99.0.53"), &["dc", "data"]);
    let answers: Vec<_> = (0..6).map(|_| ipv4(&names, 4, "data")).collect();
    for (at, answer) in answers.iter().enumerate() {
        assert_eq!((answer.len(), answer[0].as_str()), (4, "10.99.0.4"));
        let second = ["10.99.0.52", "10.99.0.53", "10.99.0.50"][at % 3];
        assert_eq!(answer[1], second, "{answers:?}");
    }
    let mut sorted = answers[1].clone();
    sorted.sort();
    assert_eq!(sorted, ["10.99.0.4", "10.99.0.50", "10.99.0.52", "10.99.0.53"]);
}

/// An endpoint that moves here has its port before it is no longer remote.
#[test]
fn an_address_that_is_here_and_remote_is_told_once() {
    let names = with_remotes();
    names.set_remote(FRONT, ip("10.99.0.4"), &["cache", "other"]);
    assert_eq!(ipv4(&names, 1, "cache"), ["10.99.0.4"]);
    assert_eq!(ipv4(&names, 1, "other"), ["10.99.0.4"]);
    names.remove_endpoint(port(4));
    assert_eq!(ipv4(&names, 1, "cache"), ["10.99.0.4"]);
    names.remove_remote(FRONT, ip("10.99.0.4"));
    assert_eq!(ipv4(&names, 1, "cache"), ["Elsewhere"]);
    assert_eq!(ipv4(&names, 1, "other"), ["Elsewhere"]);
}

#[test]
fn changes_of_them_are_seen_at_once() {
    let names = with_remotes();
    names.set_remote(FRONT, ip("10.99.0.50"), &["new"]);
    assert_eq!(ipv4(&names, 1, "new"), ["10.99.0.50"]);
    assert_eq!(ipv4(&names, 1, "far"), ["NoData"]);
    names.set_remote(FRONT, ip("10.99.0.50"), &[""; 2]);
    assert_eq!(ipv4(&names, 1, "new"), ["Elsewhere"]);
    let ptr = |name| names.lookup(port(1), name, Asked::Ptr);
    assert_eq!(ptr("50.0.99.10.in-addr.arpa"), Found::NoName);
    names.remove_remote(FRONT, ip("fd00::50"));
    names.remove_remote(FRONT, ip("fd00::50"));
    names.remove_remote(NetworkIndex(7), ip("fd00::50"));
    assert_eq!(ipv4(&names, 1, "far"), ["Elsewhere"]);
    // A port with the name keeps it, and the other way round.
    names.remove_remote(FRONT, ip("10.99.0.51"));
    assert_eq!(ipv4(&names, 1, "web"), ["10.99.0.2"]);
    names.set_remote(FRONT, ip("10.99.0.51"), &["cache"]);
    names.remove_endpoint(port(4));
    assert_eq!(ipv4(&names, 1, "cache"), ["10.99.0.51"]);
    // The same address on another network is another one.
    names.set_remote(BACK, ip("10.99.0.51"), &["there"]);
    names.remove_network(FRONT);
    assert_eq!(ipv4(&names, 2, "there"), ["10.99.0.51"]);
    names.set_network(FRONT, network("front", 0, false));
    names.set_endpoint(port(1), endpoint(FRONT, "web", &[], 2));
    assert_eq!(ipv4(&names, 1, "cache"), ["Elsewhere"]);
    names.remove_network(BACK);
    names.remove_network(FRONT);
    assert!(names.list().is_empty());
}

#[test]
fn the_list_has_them_after_those_of_ports() {
    let names = with_remotes();
    names.set_remote(FRONT, ip("10.99.0.3"), &["early", "data"]);
    let row = |name| {
        let rows = names.list().into_iter();
        let row = rows.filter(|row| row.network == "front").find(|row| row.name == name).unwrap();
        (row.containers, row.addresses)
    };
    let data = ["10.99.0.4", "fd00::4", "10.99.0.3", "10.99.0.50", "fd00::50"];
    let containers = ["cache", "early", "far"].map(str::to_owned).to_vec();
    assert_eq!(row("data"), (containers, data.map(ip).to_vec()));
    assert_eq!(row("far").0, ["far"]);
}

/// 100,000 endpoints on other nodes that share an alias: neither a change nor an answer visits all of them.
#[test]
fn the_hundred_thousandth_costs_microseconds() {
    let names = names();
    let address = |n: u32| IpAddr::from((0x0a32_0000 + n).to_be_bytes());
    let own = |n: u32| format!("remote-{n}");
    let set = |n: u32| names.set_remote(FRONT, address(n), &[own(n).as_str(), "all"]);
    (0..99_999).for_each(set);
    let mut times = Vec::new();
    for n in 0..200 {
        let begin = fastpath::Clock.now();
        set(99_999);
        names.remove_remote(FRONT, address(99_999));
        let own = ipv4(&names, 1, &own(n));
        let mut left = 20;
        let answer = names.try_addresses(port(1), "all", Asked::A, |_| {
            left -= 1;
            (left > 0).then_some(())
        });
        times.push(fastpath::Clock.now() - begin);
        assert_eq!((own.len(), answer), (1, None));
    }
    times.sort();
    assert!(times[100] < Duration::from_micros(200), "{times:?}");
    // An answer has no more than fits a message.
    assert_eq!(ipv4(&names, 1, "all").len(), 4096);
    (0..100_000).for_each(|n| names.remove_remote(FRONT, address(n)));
    assert_eq!(names.list(), super::names().list());
}
