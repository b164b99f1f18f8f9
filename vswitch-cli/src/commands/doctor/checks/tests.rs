use super::super::Health::{Fail, Ok as Good, Warn};
use super::*;

#[test]
fn kernels() {
    assert_eq!(kernel("6.18.5-generic").status, Good);
    assert!(kernel("6.1.0-13-amd64").detail.contains("6.2"));
    assert_eq!(kernel("7.0").status, Good);
    assert_eq!(kernel("5.15.0").status, Warn);
    assert_eq!(kernel("").status, Warn);
}

#[test]
fn io_uring_is_worth_a_warning() {
    assert_eq!(io_uring(Some("0"), Ok(())).status, Good);
    assert_eq!(io_uring(None, Ok(())).status, Good);
    for setting in [Some("0"), Some("1"), Some("2"), None] {
        let row = io_uring(setting, Err("Operation not permitted".into()));
        assert_eq!(row.status, Warn, "{setting:?}");
        assert!(row.advice.unwrap().contains("epoll"));
    }
}

#[test]
fn without_taps_there_is_no_switch() {
    assert_eq!(tun(Ok("vswdoc0".into())).status, Good);
    let advice = |kind: io::ErrorKind| {
        let row = tun(Err(kind.into()));
        assert_eq!(row.status, Fail);
        row.advice.unwrap()
    };
    assert!(advice(io::ErrorKind::NotFound).contains("modprobe tun"));
    assert!(advice(io::ErrorKind::PermissionDenied).contains("root"));
}

#[test]
fn capabilities_are_named() {
    assert_eq!(capabilities(Some(u64::MAX)).status, Good);
    assert_eq!(capabilities(Some(1 << 12 | 1 << 21)).status, Good);
    let row = capabilities(Some(1 << 12));
    assert_eq!((row.status, row.detail.as_str()), (Fail, "missing: CAP_SYS_ADMIN"));
    assert_eq!(capabilities(Some(0)).detail, "missing: CAP_NET_ADMIN, CAP_SYS_ADMIN");
    assert_eq!(capabilities(None).status, Warn);
}

#[test]
fn forwarding_is_not_needed() {
    assert_eq!(ip_forward(Some("0"), Some("0")).detail, "off; the switch does not need it");
    let row = ip_forward(Some("1"), Some("1"));
    assert_eq!(row.status, Good);
    assert!(row.detail.starts_with("on for IPv4 and IPv6"));
    assert_eq!(congestion_control(None).status, Good);
}

#[test]
fn a_narrow_way_out_is_said() {
    assert_eq!(mtu(Some(("eth0".into(), 1500))).status, Good);
    assert_eq!(mtu(None).status, Good);
    let row = mtu(Some(("wg0".into(), 1420)));
    assert_eq!(row.status, Warn);
    assert!(row.advice.unwrap().contains("--mtu 1420"));
}

#[test]
fn ports_that_containers_appear_from_are_not_the_hosts() {
    assert_eq!(snat_ports(Some("32768\t60999")).status, Good);
    assert_eq!(snat_ports(None).status, Good);
    for overlapping in ["1024 65535", "29999 60999", "15000 20000"] {
        let row = snat_ports(Some(overlapping));
        assert_eq!(row.status, Warn, "{overlapping}");
        assert!(row.advice.unwrap().contains("--snat-ports"));
    }
}

#[test]
fn without_nftables_the_network_is_internal() {
    assert_eq!(nftables(Ok(())).status, Good);
    let row = nftables(Err("Operation not supported".into()));
    assert!(row.status == Warn && row.advice.unwrap().contains("--uplink none"));
}

#[test]
fn docker_is_only_in_the_way_of_the_kernel() {
    assert_eq!(docker(false).detail, "no docker0");
    assert!(docker(true).detail.contains("DOCKER-USER"));
}

#[test]
fn files_are_for_ports() {
    let snat = SnatPorts::default();
    assert_eq!(open_files((Some(1024), Some(1_048_576)), &snat).status, Good);
    assert_eq!(open_files((None, None), &snat).status, Good);
    let few: SnatPorts = "20000-20099".parse().unwrap();
    let row = open_files((Some(1024), Some(4096)), &few);
    assert_eq!(row.status, Warn);
    assert!(row.detail.ends_with("enough for about 3840 ports"), "{}", row.detail);
}

#[test]
fn files_are_for_snat_ports() {
    let row = open_files((Some(1024), Some(20_000)), &SnatPorts::default());
    assert_eq!(row.status, Warn);
    let end = "; 10000 SNAT ports of 20000, TCP and UDP together";
    assert!(row.detail.ends_with(end), "{}", row.detail);
    assert!(row.advice.unwrap().ends_with("LimitNOFILE=40000 in a unit"));
    assert_eq!(open_files((None, Some(40_000)), &SnatPorts::default()).status, Good);
}

#[test]
fn neighbours_are_for_ports() {
    assert_eq!(neighbours(Some("1024"), 1000).status, Good);
    assert_eq!(neighbours(None, 5000).status, Good);
    let row = neighbours(Some("1024"), 1024);
    assert_eq!(row.status, Warn);
    assert!(row.detail.contains("1024 ports"), "{}", row.detail);
    assert!(row.advice.unwrap().contains("gc_thresh3=4096"));
}

#[test]
fn no_daemon_is_no_failure() {
    let socket = Path::new("/run/s");
    let row = daemon(socket, Err(ClientError::NoDaemon(socket.into())));
    assert_eq!((row.status, row.detail.as_str()), (Warn, "no switch answers at /run/s"));
    assert!(row.advice.unwrap().contains("vswitch up"));
}

#[test]
fn what_is_left_over_is_named_with_the_commands() {
    assert_eq!(left_over(Ok::<Vec<&str>, _>(Vec::new())).status, Good);
    assert_eq!(left_over(Err::<Vec<&str>, _>("no nftables".into())).status, Good);
    let row = left_over(Ok(vec!["netdev vswitch-br7", "ip vswitch-br7"]));
    assert_eq!(row.status, Warn);
    assert!(row.detail.contains("netdev vswitch-br7, ip vswitch-br7"), "{}", row.detail);
    assert!(row.advice.unwrap().contains("`nft delete table ip vswitch-br7`"));
}

#[test]
fn unused_devices_and_rules_are_named() {
    assert_eq!(uplinks(None).status, Good);
    let hints = |hints: &[&str]| {
        let status = serde_json::json!({
            "version": "1", "pid": 1, "backend": "epoll", "backend_reason": "", "workers": 1, "cpus": [],
            "scheduling": "normal", "scheduling_reason": "", "idle": "sleep", "idle_state": "sleeping",
            "idle_reason": "", "bridge": "br0", "networks": 1, "ports": 0, "uptime_s": 1,
            "state_dir": "/", "uplinks": [], "uplink_hints": hints,
        });
        uplinks(Some(&serde_json::from_value(status).unwrap()))
    };
    assert_eq!(hints(&[]).status, Good);
    let row = hints(&["wg0 is no Ethernet device"]);
    assert!(row.status == Warn && row.detail.contains("wg0"), "{row:?}");
}
