//! Queries of the kernel.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit};
use tun_tap::{Iface, Mode};

/// A sysctl below `/proc/sys`; those of `net` are of the caller's network namespace.
pub(super) fn setting(path: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/sys/{path}")).ok().map(|text| text.trim().to_owned())
}

/// Makes a TAP and removes it; returns its name.
pub(super) fn make_tap() -> std::io::Result<String> {
    Iface::without_packet_info("vswdoc%d", Mode::Tap).map(|tap| tap.name().to_owned())
}

/// Effective capabilities of this process, from `/proc/self/status`.
pub(super) fn effective_capabilities() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let hex = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(hex.trim(), 16).ok()
}

/// The device of the default route, and its MTU.
pub(super) fn default_route_mtu() -> Option<(String, u32)> {
    let ipv4 = fs::read_to_string("/proc/self/net/route").unwrap_or_default();
    let ipv6 = fs::read_to_string("/proc/self/net/ipv6_route").unwrap_or_default();
    let device = default_device(&ipv4).or_else(|| default_device6(&ipv6))?.to_owned();
    // /sys shows the namespace where it was mounted; /proc/sys/net shows ours.
    let mtu = setting(&format!("net/ipv6/conf/{device}/mtu"))
        .or_else(|| fs::read_to_string(format!("/sys/class/net/{device}/mtu")).ok())?;
    Some((device, mtu.trim().parse().ok()?))
}

/// The device of the default route in a `/proc/net/route`: destination and mask are zero.
pub(super) fn default_device(table: &str) -> Option<&str> {
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_default = fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000");
        is_default.then(|| fields[0])
    })
}

/// The device of the default route in a `/proc/net/ipv6_route`. Without a default route the kernel has an
/// unreachable one on `lo`.
pub(super) fn default_device6(table: &str) -> Option<&str> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let device = *fields.get(9)?;
        let is_default = fields[0].bytes().all(|byte| byte == b'0') && fields[1] == "00";
        (is_default && device != "lo").then_some(device)
    })
}

/// All rules that may translate ports, as nft and iptables print them; empty without these programs.
pub(super) fn nat_rules() -> String {
    let programs: [&[&str]; 3] = [
        &["nft", "-nn", "list", "ruleset"],
        &["iptables-save", "-t", "nat"],
        &["ip6tables-save", "-t", "nat"],
    ];
    let output = |words: &&[&str]| {
        let output = std::process::Command::new(words[0]).args(&words[1..]).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    programs.iter().filter_map(output).collect()
}

/// The tables of UDP sockets.
pub(super) fn udp_sockets() -> String {
    let table =
        |name: &str| fs::read_to_string(format!("/proc/self/net/{name}")).unwrap_or_default();
    table("udp") + &table("udp6")
}

/// True if there is a `docker0`.
pub(super) fn has_docker() -> bool {
    // /sys shows the namespace where it was mounted; /proc/sys/net shows ours.
    setting("net/ipv6/conf/docker0/mtu")
        .or_else(|| setting("net/ipv4/conf/docker0/forwarding"))
        .is_some()
}

/// Soft and hard limit of open files (`RLIMIT_NOFILE`); `None` is no limit.
pub(super) fn open_files() -> (Option<u64>, Option<u64>) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    (current, maximum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_route_is_found() {
        let table = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth1\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
";
        assert_eq!(default_device(table), Some("eth0"));
        assert_eq!(default_device("Iface\n"), None);
        assert_eq!(default_device(""), None);
    }

    #[test]
    fn the_ipv6_default_route_is_not_on_lo() {
        let zero = "00000000000000000000000000000000";
        let line = |device: &str, length: &str| {
            format!("{zero} {length} {zero} 00 {zero} 00000400 1 0 00000003 {device}\n")
        };
        assert_eq!(default_device6(&(line("lo", "00") + &line("eth0", "00"))), Some("eth0"));
        assert_eq!(default_device6(&line("eth0", "40")), None);
        assert_eq!(default_device6("nonsense\n\n"), None);
    }

    #[test]
    fn this_process_can_be_examined() {
        assert!(setting("kernel/osrelease").is_some());
        assert!(setting("kernel/no_such_setting").is_none());
        assert!(effective_capabilities().is_some());
    }
}
