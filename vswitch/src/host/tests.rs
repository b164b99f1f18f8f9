use std::path::{Path, PathBuf};

use ipnet::IpNet;
use vswitch_api::port::NetnsRef;

use super::netns::{self, NetnsError};
use super::routes::{HostRoute, overlapping};

fn route(destination: &str) -> HostRoute {
    HostRoute { destination: destination.parse().unwrap(), device: Some(2) }
}

fn subnet(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn a_route_inside_around_or_equal_is_in_the_way() {
    for other in ["10.99.0.0/16", "10.99.7.0/24", "10.0.0.0/8", "10.99.0.1/32"] {
        let routes = [route("192.0.2.0/24"), route(other)];
        assert_eq!(overlapping(subnet("10.99.0.1/16"), &routes), Some(&routes[1]), "{other}");
    }
    for other in ["10.98.0.0/16", "10.100.0.0/14", "fd00::/64"] {
        assert_eq!(overlapping(subnet("10.99.0.1/16"), &[route(other)]), None, "{other}");
    }
    assert!(overlapping(subnet("fd00:1::1/64"), &[route("fd00::/16")]).is_some());
}

#[test]
fn default_routes_are_in_nobodys_way() {
    for other in ["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"] {
        assert_eq!(overlapping(subnet("10.99.0.1/16"), &[route(other)]), None, "{other}");
    }
    assert_eq!(overlapping(subnet("fd00:1::1/64"), &[route("::/0")]), None);
}

fn refusal(netns: &NetnsRef) -> NetnsError {
    netns::open(netns).expect_err("it should be refused")
}

#[test]
fn what_is_no_namespace_is_refused() {
    let missing = PathBuf::from("/proc/none");
    assert!(matches!(refusal(&NetnsRef::Path(missing)), NetnsError::NoPath(_)));
    let file = PathBuf::from("/proc/self/status");
    assert!(matches!(refusal(&NetnsRef::Path(file)), NetnsError::NotANamespace(_)));
    let relative = PathBuf::from("ns/net");
    assert!(matches!(refusal(&NetnsRef::Path(relative)), NetnsError::Relative(_)));
    assert!(matches!(refusal(&NetnsRef::Pid(0)), NetnsError::NoProcess(0)));
    assert!(matches!(refusal(&NetnsRef::Pid(u32::MAX)), NetnsError::NoProcess(_)));
    assert!(matches!(refusal(&NetnsRef::Name("vs-no-such".into())), NetnsError::NoName(_)));
    for bad in ["", ".", "..", "a/b", "../x"] {
        assert!(matches!(refusal(&NetnsRef::Name(bad.into())), NetnsError::BadName(_)), "{bad}");
    }
}

#[test]
fn our_own_namespace_is_refused() {
    let pid = NetnsRef::Pid(std::process::id());
    assert!(matches!(refusal(&pid), NetnsError::Own(_)));
}

#[test]
fn a_namespace_is_found_by_a_process_in_it() {
    let own = netns::id_of(Path::new("/proc/self/ns/net")).unwrap();
    let found = netns::find(own, Path::new("/run/netns/vs-no-such")).unwrap().unwrap();
    assert_eq!(netns::id_of(&found), Some(own));
    assert_eq!(netns::open_path(&found).unwrap().id, own);
}

#[test]
fn a_fifo_does_not_hold_us_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fifo");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(matches!(refusal(&NetnsRef::Path(path)), NetnsError::NotANamespace(_)));
}
