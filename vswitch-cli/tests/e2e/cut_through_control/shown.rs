//! What lists, counters and details show of connections that are cut through.

use std::time::Instant;

use serde_json::json;
use testkit::{Process, wait_for};
use vswitch_api::port_settings::limits::Ceiling;

use super::{PORT, SOON, Setup, goes_on};
use crate::harness::Container;

#[test]
fn a_connection_is_listed_with_names_addresses_and_bytes_in_both_families() {
    let setup = Setup::new();
    let (client, server, _running) = setup.joined();
    let _six = setup.ask(&client, &server.v6().to_string(), PORT);
    setup.wait_for_connections(2);
    let mut all = setup.connections();
    all.sort_by_key(|it| it.client.address.is_ipv6());
    for (connection, addresses) in
        all.iter().zip([(client.v4(), server.v4()), (client.v6(), server.v6())])
    {
        let (from, to) = (&connection.client, &connection.server);
        assert_eq!((from.container.as_str(), to.container.as_str()), ("client", "server"));
        assert_eq!((from.address.ip(), to.address.ip()), addresses);
        assert_eq!((to.address.port().to_string().as_str(), from.network.as_str()), (PORT, "br0"));
        assert_eq!((from.peer, to.peer), (to.address, from.address));
    }
    let table = setup.host.ok(&["cut-through"]);
    assert!(table.contains(&format!("server {}:{PORT}", server.v4())), "{table}");
    let other = setup.host.ok(&["cut-through", "--filter", "container=other"]);
    assert_eq!(other.lines().count(), 1, "{other}");
    assert_eq!(setup.status().connections, 2);
    for (name, counts) in [("client", 2), ("server", 2)] {
        let shown = setup.host.inspect(name).cut_through.expect("cut-through");
        assert_eq!((shown.allowed, shown.connections), (true, counts));
        assert!(shown.sent_bytes > 0 && shown.received_bytes > 0);
    }
    assert!(setup.host.ok(&["inspect", "client"]).contains("2 connections, "));
    let counted = setup.host.stats().cut_through;
    assert!(counted.connections >= 2 && counted.sends > 0 && counted.bytes > 0, "{counted:?}");
}

fn published() -> String {
    format!("8080:{PORT}")
}

/// A server, and a client that has a connection to its published port, which is cut through; and their processes.
#[track_caller]
fn translated(setup: &Setup) -> (Container, Container, [Process; 2]) {
    let server = setup.host.container_with("server", &["-p", &published()]);
    let client = setup.host.container("client");
    let echo = setup.echo(&server);
    let ask = setup.ask(&client, "192.0.2.1", "8080");
    setup.wait_for_connections(1);
    (server, client, [ask, echo])
}

#[test]
fn a_translated_connection_is_marked_where_it_is_tracked() {
    let mut setup = Setup::with(&["--cut-through", "--uplink", "auto"]);
    let (server, _client, [mut ask, _echo]) = translated(&setup);
    let row = setup.connections().remove(0);
    assert_eq!(row.client.peer.to_string(), "192.0.2.1:8080");
    assert_eq!((row.server.container.as_str(), row.server.address.ip()), ("server", server.v4()));
    let tracked = setup.host.json(&["conntrack", "ls"]);
    let marked = |it: &&serde_json::Value| it["cut_through"] == json!(true);
    let rows = tracked.as_array().expect("rows");
    assert_eq!(rows.iter().filter(marked).count(), 1, "{tracked}");
    assert!(setup.host.ok(&["conntrack", "ls"]).contains("[CUT-THROUGH]"));
    goes_on(&mut ask);
    // It ends with its publication.
    setup.host.ok(&["unpublish", "server", &published()]);
    assert_eq!(setup.connections().len(), 0);
    setup.host.down();
    assert_eq!(setup.cgroup.programs(), 0);
}

/// With a refresh each second instead of each minute, a busy connection is never idle for long to those who track it.
#[test]
fn a_tracked_connection_is_refreshed_in_both_directions() {
    let options = ["--cut-through", "--uplink", "auto"];
    let mut setup = Setup::with_guards("order,bound,ring", &options);
    let (_server, _client, [mut ask, _echo]) = translated(&setup);
    let refreshes = || setup.host.stats().cut_through.held_refresh;
    let (begin, before) = (Instant::now(), refreshes());
    // Of the client, and of the server: frames and bytes.
    let tracked = || {
        let rows = setup.host.json(&["conntrack", "ls"]);
        let row = rows.as_array().expect("rows").iter().find(|row| row["cut_through"] == true);
        let row = row.unwrap_or_else(|| panic!("one is cut through: {rows}"));
        let number = |key: &str| row[key].as_u64().expect("a number");
        assert!(number("idle_s") <= 5, "{row}");
        let replies = [number("reply_frames"), number("reply_bytes")];
        [[number("frames") - replies[0], number("bytes") - replies[1]], replies]
    };
    let at_first = tracked();
    wait_for("sends of both directions pass the switch", SOON, || refreshes() >= before + 6);
    let counted = refreshes() - before;
    let at_most = 2 * (begin.elapsed().as_secs() + 2);
    assert!(counted <= at_most, "{counted} of {at_most}");
    for (now, then) in tracked().into_iter().zip(at_first) {
        let (frames, bytes) = (now[0] - then[0], now[1] - then[1]);
        // Acknowledgements alone have 66 bytes at most.
        assert!(frames >= 3 && bytes > 80 * frames, "{frames} frames of {bytes} bytes");
    }
    goes_on(&mut ask);
    assert_eq!(setup.connections().len(), 1);
    setup.host.down();
}

#[test]
fn a_rate_limit_keeps_new_connections_on_the_normal_path_and_older_ones_run_on() {
    let setup = Setup::new();
    let (client, server, _running) = setup.joined();
    setup.host.ok(&["port", "set", "server", "--rate-out", "1G"]);
    let shown = setup.host.inspect("server");
    assert_ne!(shown.settings.limits.rate_out, Ceiling::Default);
    let shown = shown.cut_through.expect("cut-through");
    assert_eq!((shown.allowed, shown.connections), (false, 1));
    let text = setup.host.ok(&["inspect", "server"]);
    assert!(
        text.contains("1 connections, ") && text.contains("new ones pass the switch"),
        "{text}"
    );
    let sent = setup.host.inspect("client").port.traffic.rx_frames;
    let mut second = setup.ask(&client, &server.v4().to_string(), PORT);
    wait_for("the second one passes the switch", SOON, || {
        setup.host.inspect("client").port.traffic.rx_frames > sent + 200
    });
    goes_on(&mut second);
    assert_eq!(setup.connections().len(), 1);
    // Without the limit the next one is cut through.
    setup.host.ok(&["port", "set", "server", "--rate-out", "off"]);
    let _third = setup.ask(&client, &server.v4().to_string(), PORT);
    setup.wait_for_connections(2);
}

#[test]
fn isolation_ends_what_it_forbids() {
    let setup = Setup::new();
    let (_client, _server, _running) = setup.joined();
    setup.host.ok(&["port", "set", "server", "--isolation", "isolated"]);
    setup.host.ok(&["port", "set", "client", "--isolation", "isolated"]);
    assert_eq!(setup.connections().len(), 0);
}
