//! What lists, counters and details show of connections that are cut through.

use serde_json::json;
use testkit::wait_for;
use vswitch_api::port_settings::limits::Ceiling;

use super::{PORT, SOON, Setup, goes_on};

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

#[test]
fn a_translated_connection_is_marked_where_it_is_tracked() {
    let mut setup = Setup::with(&["--cut-through", "--uplink", "auto"]);
    let published = format!("8080:{PORT}");
    let server = setup.host.container_with("server", &["-p", &published]);
    let client = setup.host.container("client");
    let _echo = setup.echo(&server);
    let mut ask = setup.ask(&client, "192.0.2.1", "8080");
    setup.wait_for_connections(1);
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
    setup.host.ok(&["unpublish", "server", &published]);
    assert_eq!(setup.connections().len(), 0);
    setup.host.down();
    assert_eq!(setup.cgroup.programs(), 0);
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
