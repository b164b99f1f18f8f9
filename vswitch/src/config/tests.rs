use std::path::Path;

use super::file::parse;
use super::{
    Ageing, BackendChoice, Config, Dns, IdlePolicy, IfName, KEYS, MetricsAddr, Mtu, NodeName,
    SchedulingChoice, Settings, SnatPorts, SocketPath, Subnet4, Subnet6, Underlay, Uplink,
    UplinkExclude, VxlanChecksum, Workers,
};

const FILE: &str = r#"
bridge = "lab0"
subnet = "10.1.0.0/16"
subnet6 = "fd00:1::/64"
workers = 2
cpus = "0-1"
scheduling = "normal"
idle = "sleep"
backend = "epoll"
mtu = 9000
socket = "/tmp/v.sock"
state_dir = "/tmp/v"
ageing_s = 60
fdb_entries_max = 100
uplink = "eth0"
snat_ports = "10000-10063"
metrics = ":9101"
dhcp = true
ra = true
dns = "192.0.2.1, [2001:db8::1]:5353"
underlay = "192.0.2.7"
vxlan_port = 8472
vxlan_checksum = "off"
node = "n1"
registry = "etcd://192.0.2.9,192.0.2.10:2380/blue?user=vswitch&password-file=/etc/vswitch/password"
cut_through = true
cut_through_cgroup = "/sys/fs/cgroup/machine.slice"
"#;

#[test]
fn reads_every_key() {
    let config = Config::new(parse(Path::new("f"), FILE).unwrap());
    assert_eq!(config.bridge.as_str(), "lab0");
    assert_eq!(config.subnet.unwrap().to_string(), "10.1.0.0/16");
    assert_eq!(config.subnet6.unwrap().to_string(), "fd00:1::/64");
    assert_eq!(config.workers.get(), 2);
    assert_eq!(config.cpus.as_slice(), [0, 1]);
    assert_eq!(config.scheduling, SchedulingChoice::Normal);
    assert_eq!(config.idle, IdlePolicy::Sleep);
    assert_eq!(config.backend, BackendChoice::Epoll);
    assert_eq!(config.mtu.get(), 9000);
    assert_eq!(config.metrics.unwrap().to_string(), "127.0.0.1:9101");
    assert!(config.dhcp && config.ra);
    assert_eq!(config.dns.to_string(), "192.0.2.1,[2001:db8::1]:5353");
    assert_eq!(config.socket.path(), Path::new("/tmp/v.sock"));
    assert_eq!(config.state_dir.path(), Path::new("/tmp/v"));
    assert_eq!(config.ageing.get(), 60);
    assert_eq!(config.fdb_entries_max.get(), 100);
    assert_eq!(config.uplink.to_string(), "eth0");
    assert_eq!(config.snat_ports.range(), 10_000..=10_063);
    assert_eq!(config.underlay.unwrap().to_string(), "192.0.2.7");
    assert_eq!(config.vxlan_port.get(), 8472);
    assert_eq!(config.vxlan_checksum, VxlanChecksum::Off);
    assert_eq!(config.node.unwrap().as_str(), "n1");
    let registry = config.registry.unwrap();
    assert_eq!(registry.to_string(), "etcd://192.0.2.9:2379,192.0.2.10:2380/blue");
    assert_eq!(registry.secret_file.as_deref(), Some(Path::new("/etc/vswitch/password")));
    assert!(config.cut_through);
    let cgroup = config.cut_through_cgroup.unwrap();
    assert_eq!(cgroup.path(), Path::new("/sys/fs/cgroup/machine.slice"));
}

#[test]
fn has_defaults_for_everything() {
    let config = Config::new(parse(Path::new("f"), "").unwrap());
    assert_eq!(config.bridge, IfName::default());
    assert_eq!((config.subnet, config.subnet6), (None, None));
    assert_eq!(Subnet4::default().to_string(), "10.99.0.0/16");
    assert_eq!(config.mtu.get(), 1500);
    assert_eq!(config.ageing.get(), 300);
    assert_eq!(config.socket.path(), Path::new(vswitch_api::DEFAULT_SOCKET));
    assert_eq!(config.state_dir.path(), Path::new(vswitch_api::DEFAULT_STATE_DIR));
    assert_eq!((config.uplink, config.workers.get()), (Uplink::Auto, Workers::default().get()));
}

#[test]
fn flags_win_over_the_file() {
    let flags = Settings { mtu: Some("1400".parse().unwrap()), ..Settings::default() };
    let merged = flags.or(parse(Path::new("f"), FILE).unwrap());
    assert_eq!(merged.mtu.unwrap().get(), 1400);
    assert_eq!(merged.bridge.unwrap().as_str(), "lab0");
}

#[test]
fn an_error_names_file_key_and_value_on_one_line() {
    for (text, parts) in [
        ("mtu = 70000", &["f.toml: mtu: ", "70000", "65521"][..]),
        ("mtu = \"1500\"", &["f.toml: mtu: ", "1500", "whole number"]),
        ("cpus = \"3-1\"", &["f.toml: cpus: ", "\"3-1\""]),
        ("workers = 0", &["f.toml: workers: ", "\"0\""]),
        ("workers = -1", &["f.toml: workers: ", "\"-1\""]),
        ("dhcp = 1", &["f.toml: dhcp: ", "1", "neither true nor false"]),
        ("bridge = 7", &["f.toml: bridge: ", "7", "quotes"]),
        ("bridge = \"much-too-long-for-a-device\"", &["f.toml: bridge: ", "15 bytes"]),
        ("subnet = \"10.0.0.1/16\"", &["f.toml: subnet: ", "10.0.0.0/16"]),
        ("subnet = \"10.0.0.0/30\"", &["f.toml: subnet: ", "8 to 29"]),
        ("vxlan_checksum = \"no\"", &["f.toml: vxlan_checksum: ", "\"no\"", "`on`", "`off`"]),
        ("idle = \"never\"", &["f.toml: idle: ", "never", "adaptive"]),
        ("backend = \"dpdk\"", &["f.toml: backend: ", "dpdk"]),
        ("uplink = \"a/b\"", &["f.toml: uplink: ", "a/b", "none"]),
        ("snat_ports = \"5000\"", &["f.toml: snat_ports: ", "5000", "20000-29999"]),
        ("brigde = \"br0\"", &["f.toml: unknown key \"brigde\"", "bridge"]),
        ("mtu = 1500\nmtu = 1500", &["f.toml, line 2: "]),
        ("\n\nmtu = = 1", &["f.toml, line 3: "]),
        ("[network]\nmtu = 1500", &["unknown key \"network\""]),
        ("registry = \"192.0.2.9\"", &["f.toml: registry: ", "192.0.2.9", "etcd://", "file://"]),
    ] {
        let error = parse(Path::new("f.toml"), text).unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
        for part in parts {
            assert!(error.contains(part), "{text:?}: {error:?} lacks {part:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Settings::from_file(Path::new("/no/such.toml")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /no/such.toml: "), "{error}");
}

#[test]
fn interface_names_are_those_of_linux() {
    for good in ["br0", "a", "x.100", "fifteen-bytes-0", "eth_0", "@"] {
        assert_eq!(good.parse::<IfName>().unwrap().as_str(), good);
    }
    for bad in [
        "",
        ".",
        "..",
        "sixteen-bytes-00",
        "a/b",
        "a b",
        "a:1",
        "a%d",
        "lo",
        "all",
        "default",
        "ä",
        "a\n",
    ] {
        let error = bad.parse::<IfName>().unwrap_err().to_string();
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn subnets_are_those_that_can_hold_containers() {
    for good in ["10.0.0.0/8", "192.168.1.8/29", "203.0.113.0/24"] {
        good.parse::<Subnet4>().unwrap();
    }
    for bad in [
        "",
        "10.0.0.0",
        "10.0.0.0/7",
        "10.0.0.0/30",
        "10.0.0.1/24",
        "127.0.0.0/8",
        "224.0.0.0/8",
        "0.0.0.0/8",
        "240.0.0.0/8",
        "169.254.0.0/16",
        "fd00::/64",
        "10.0.0.0/33",
    ] {
        let error = bad.parse::<Subnet4>().unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
    for good in ["fd00::/64", "2001:db8:1::/112", "fd00:0:0:1::/80"] {
        good.parse::<Subnet6>().unwrap();
    }
    for bad in [
        "",
        "fd00::",
        "fd00::/63",
        "fd00::/113",
        "fd00::1/64",
        "fe80::/64",
        "ff02::/64",
        "::/64",
        "::ffff:0:0/96",
        "10.0.0.0/24",
    ] {
        let error = bad.parse::<Subnet6>().unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")), "{error}");
    }
    assert_eq!("10.1.2.0/24".parse::<Subnet4>().unwrap().gateway().to_string(), "10.1.2.1");
    assert_eq!("fd00:1::/64".parse::<Subnet6>().unwrap().gateway().to_string(), "fd00:1::1");
}

#[test]
fn a_random_subnet_is_a_unique_local_one() {
    for random in [0, 1, u64::MAX, 0x1234_5678_9abc_def0] {
        let subnet = Subnet6::unique_local(random);
        assert_eq!(subnet.net().addr().segments()[0] & 0xff00, 0xfd00, "{subnet}");
        assert_eq!(subnet.to_string().parse::<Subnet6>().unwrap(), subnet);
    }
}

#[test]
fn numbers_keep_their_range() {
    for (text, good) in [("1279", false), ("1280", true), ("65521", true), ("65522", false)] {
        assert_eq!(text.parse::<Mtu>().is_ok(), good, "{text}");
    }
    for (text, good) in [("0", false), ("1", true), ("16", true), ("17", false), ("x", false)] {
        assert_eq!(text.parse::<Workers>().is_ok(), good, "{text}");
    }
    for (text, good) in [("0", false), ("1", true), ("1000000", true), ("1000001", false)] {
        assert_eq!(text.parse::<Ageing>().is_ok(), good, "{text}");
    }
}

#[test]
fn paths_are_absolute_and_a_socket_fits_its_address() {
    assert!("v.sock".parse::<SocketPath>().unwrap().path().is_absolute());
    assert!("".parse::<SocketPath>().is_err());
    let fits = format!("/{}", "x".repeat(106));
    assert!(fits.parse::<SocketPath>().is_ok());
    let error = format!("{fits}x").parse::<SocketPath>().unwrap_err().to_string();
    assert!(error.contains("108 bytes"), "{error}");
}

#[test]
fn an_uplink_is_a_device_or_a_word() {
    for (text, uplink) in [
        ("auto", Uplink::Auto),
        ("kernel", Uplink::Kernel),
        ("none", Uplink::None),
        ("eth0", Uplink::Devices(vec!["eth0".parse().unwrap()])),
        ("eth1,eth0", Uplink::Devices(vec!["eth1".parse().unwrap(), "eth0".parse().unwrap()])),
    ] {
        assert_eq!(text.parse::<Uplink>().unwrap(), uplink);
        assert_eq!(uplink.to_string(), text);
    }
    for text in ["", "lo", "a/b", "much-too-long-for-a-device", "eth0,", "eth0,auto", "eth0,eth0"] {
        let error = text.parse::<Uplink>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")) && error.contains("kernel"), "{error}");
    }
    let left_out: UplinkExclude = "eth2, wlan*".parse().unwrap();
    assert!(left_out.globs()[1].matches("wlan0") && left_out.to_string() == "eth2,wlan*");
    assert!("eth2,,wlan*".parse::<UplinkExclude>().is_err());
}

#[test]
fn translated_ports_are_a_range_of_some_length() {
    assert_eq!(SnatPorts::default().to_string(), "20000-29999");
    assert_eq!("1024-1087".parse::<SnatPorts>().unwrap().range(), 1024..=1087);
    for text in
        ["", "20000", "20000-", "1023-20000", "20000-20062", "30000-20000", "1-70000", "a-b"]
    {
        let error = text.parse::<SnatPorts>().unwrap_err().to_string();
        assert!(error.contains(&format!("{text:?}")), "{error}");
    }
}

#[test]
fn as_many_workers_translate_as_there_are() {
    let workers = |text: &str| Config::new(parse(Path::new("f"), text).unwrap()).workers.get();
    for uplink in ["auto", "kernel"] {
        let line = format!("uplink = \"{uplink}\"");
        assert_eq!(workers(&line), Workers::default().get());
        assert_eq!(workers(&format!("{line}\nworkers = 2")), 2);
    }
}

#[test]
fn a_port_alone_serves_metrics_on_loopback() {
    let parse = |text: &str| text.parse::<MetricsAddr>().map(|address| address.to_string());
    for (text, address) in [
        ("9101", "127.0.0.1:9101"),
        (":9101", "127.0.0.1:9101"),
        ("0.0.0.0:9101", "0.0.0.0:9101"),
        ("[::1]:9101", "[::1]:9101"),
    ] {
        assert_eq!(parse(text).unwrap(), address);
    }
    for text in ["", ":", ":0", "0", "65536", "localhost:9101", "127.0.0.1", "::1", ":+9101", "+1"]
    {
        assert!(parse(text).unwrap_err().to_string().contains(&format!("{text:?}")), "{text}");
    }
}

#[test]
fn dns_asks_the_hosts_servers_or_others_or_is_off() {
    let parse = |text: &str| text.parse::<Dns>().map(|dns| dns.to_string());
    for text in ["host", "off", "192.0.2.1", "192.0.2.1:5353,2001:db8::1", "fe80::1"] {
        assert_eq!(parse(text).unwrap(), text);
    }
    for text in ["192.0.2.1:53", "[2001:db8::1]:53"] {
        assert!(!parse(text).unwrap().contains(":53"), "{text}");
    }
    for text in ["", "dns.example", "192.0.2.1:0", "0.0.0.0", "::", "[::1]", "192.0.2.1:65536"] {
        assert!(parse(text).unwrap_err().to_string().contains(&format!("{text:?}")), "{text}");
        assert!(parse(&format!("192.0.2.1,{text}")).is_err(), "{text}");
    }
}

#[test]
fn the_packaged_file_shows_all_keys() {
    let text = include_str!("../../../packaging/vswitch.toml");
    for key in KEYS {
        let shown = format!("# {key} = ");
        assert!(text.lines().any(|line| line.starts_with(&shown)), "{key}");
    }
}

#[test]
fn an_underlay_is_an_address_that_other_hosts_can_send_to() {
    let parse = |text: &str| text.parse::<Underlay>().map(|it| it.to_string());
    assert_eq!(parse("192.0.2.1").as_deref(), Ok("192.0.2.1"));
    assert_eq!(
        parse("::ffff:192.0.2.1").as_deref(),
        Ok("192.0.2.1"),
        "one spelling of one address"
    );
    assert_eq!(parse("2001:db8::1").as_deref(), Ok("2001:db8::1"));
    for (text, reason) in [
        ("eth0", "write an address"),
        ("192.0.2.1:4789", "write an address"),
        ("0.0.0.0", "all addresses"),
        ("::", "all addresses"),
        ("224.0.0.1", "not unicast"),
        ("255.255.255.255", "not unicast"),
        ("fe80::1", "link-local"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn names_of_nodes_are_those_of_the_registry() {
    for name in ["n1", "host-1.example_a", &"x".repeat(64)] {
        assert!(name.parse::<NodeName>().is_ok(), "{name}");
    }
    for name in ["", "-a", "a/b", "a b", &"x".repeat(65)] {
        assert!(name.parse::<NodeName>().is_err(), "{name}");
    }
}

#[test]
fn a_registry_needs_an_underlay() {
    let registry = || Some("etcd://n:sesame@192.0.2.9".parse().unwrap());
    let load = |settings| Config::load(settings, None);
    let error = load(Settings { registry: registry(), ..Settings::default() }).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("etcd://192.0.2.9:2379/vswitch") && error.contains("--underlay"),
        "{error}"
    );
    let underlay = Some("192.0.2.1".parse().unwrap());
    let config = load(Settings { registry: registry(), underlay, ..Settings::default() }).unwrap();
    assert!(!format!("{config:?}").contains("sesame"), "a configuration in a log");
}
