//! Judges the findings of `machine`.

mod cut_through;
mod dnat;
mod registry;
mod underlay;

use std::fmt::Display;
use std::io;
use std::path::Path;

use fastpath::limits::PORTS_MAX;
use vswitch::config::SnatPorts;
use vswitch_api::status::Status;

use super::Row;
pub(super) use cut_through::cut_through;
pub(super) use registry::registry;
pub(super) use underlay::{Findings, underlay};
use vswitch_client::ClientError;

/// Oldest kernel with all that io_uring needs: `DEFER_TASKRUN`.
const KERNEL_GOOD: (u32, u32) = (6, 1);

/// Oldest kernel with UDP segmentation offload (USO).
const KERNEL_USO: (u32, u32) = (6, 2);

/// Bit numbers of `linux/capability.h`.
const CAP_NET_ADMIN: u32 = 12;
const CAP_SYS_ADMIN: u32 = 21;

/// MTU of most networks.
const MTU_USUAL: u32 = 1500;

/// Descriptors of the daemon that are not ports: log, sockets, rings, API connections.
const FILES_BESIDE_PORTS: u64 = 256;

pub(super) fn kernel(release: &str) -> Row {
    const CHECK: &str = "kernel";
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return Row::warn(
            CHECK,
            format!("unknown release {release:?}"),
            "Linux 6.1 or later is known to work",
        );
    };
    match (major, minor) {
        version if version >= KERNEL_USO => Row::ok(CHECK, format!("Linux {release}")),
        version if version >= KERNEL_GOOD => {
            Row::ok(CHECK, format!("Linux {release}; UDP segmentation offload needs 6.2"))
        }
        _ => Row::warn(
            CHECK,
            format!("Linux {release}"),
            "the epoll backend will run; the io_uring backend needs Linux 6.1",
        ),
    }
}

pub(super) fn io_uring(disabled: Option<&str>, probe: Result<(), String>) -> Row {
    const CHECK: &str = "io_uring";
    let error = match probe {
        Ok(()) => return Row::ok(CHECK, "the kernel has all that the engine needs"),
        Err(error) => error,
    };
    match disabled {
        Some("1") => Row::warn(
            CHECK,
            format!("kernel.io_uring_disabled is 1, and we may not: {error}"),
            "run as root, or set `sysctl kernel.io_uring_disabled=0`; until then epoll runs",
        ),
        Some("2") => Row::warn(
            CHECK,
            "kernel.io_uring_disabled is 2: nobody may use it",
            "set `sysctl kernel.io_uring_disabled=0`; until then the slower epoll backend runs",
        ),
        _ => Row::warn(
            CHECK,
            format!("refused: {error}"),
            "the slower epoll backend runs; in a container look at its seccomp profile",
        ),
    }
}

pub(super) fn tun(made: io::Result<String>) -> Row {
    const CHECK: &str = "tun";
    let error = match made {
        Ok(name) => return Row::ok(CHECK, format!("/dev/net/tun works: made and removed {name}")),
        Err(error) => error,
    };
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "load it with `modprobe tun`; in a container pass `--device /dev/net/tun`"
        }
        io::ErrorKind::PermissionDenied => "run as root (CAP_NET_ADMIN is needed)",
        _ => "load the driver with `modprobe tun`, and see `dmesg`",
    };
    Row::fail(CHECK, format!("cannot make a TAP: {error}"), advice)
}

pub(super) fn capabilities(effective: Option<u64>) -> Row {
    const CHECK: &str = "capabilities";
    let Some(effective) = effective else {
        return Row::warn(CHECK, "unknown: /proc/self/status has no CapEff", "is /proc mounted?");
    };
    let missing: Vec<&str> = [(CAP_NET_ADMIN, "CAP_NET_ADMIN"), (CAP_SYS_ADMIN, "CAP_SYS_ADMIN")]
        .iter()
        .filter(|(bit, _)| effective & (1 << bit) == 0)
        .map(|(_, name)| *name)
        .collect();
    if missing.is_empty() {
        Row::ok(CHECK, "CAP_NET_ADMIN and CAP_SYS_ADMIN")
    } else {
        Row::fail(CHECK, format!("missing: {}", missing.join(", ")), "run as root")
    }
}

pub(super) fn ip_forward(ipv4: Option<&str>, ipv6: Option<&str>) -> Row {
    const CHECK: &str = "ip_forward";
    let is_on = |value: Option<&str>| value.is_some_and(|value| value != "0");
    let on: Vec<&str> = [(ipv4, "IPv4"), (ipv6, "IPv6")]
        .iter()
        .filter(|(value, _)| is_on(*value))
        .map(|(_, name)| *name)
        .collect();
    if on.is_empty() {
        return Row::ok(CHECK, "off; the switch does not need it");
    }
    Row::ok(CHECK, format!("on for {}; the switch does not need it", on.join(" and ")))
}

pub(super) fn congestion_control(name: Option<&str>) -> Row {
    const CHECK: &str = "tcp_congestion";
    match name {
        Some(name) => Row::ok(CHECK, format!("{name}; new network namespaces inherit it")),
        None => Row::ok(CHECK, "unknown"),
    }
}

pub(super) fn mtu(route: Option<(String, u32)>) -> Row {
    const CHECK: &str = "mtu";
    match route {
        None => Row::ok(CHECK, "no default route; containers still reach each other"),
        Some((device, mtu)) if mtu < MTU_USUAL => Row::warn(
            CHECK,
            format!("{mtu} on {device}, the default route's device"),
            format!("start with `vswitch up --mtu {mtu}` if containers use it"),
        ),
        Some((device, mtu)) => {
            Row::ok(CHECK, format!("{mtu} on {device}, the default route's device"))
        }
    }
}

/// The SNAT range must not overlap the host's ephemeral ports.
pub(super) fn snat_ports(ephemeral: Option<&str>) -> Row {
    const CHECK: &str = "snat_ports";
    let snat = SnatPorts::default();
    let mut numbers = ephemeral.unwrap_or_default().split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (numbers.next(), numbers.next()) else {
        return Row::ok(CHECK, format!("{snat}; the host's ephemeral ports are unknown"));
    };
    if last < *snat.range().start() || first > *snat.range().end() {
        return Row::ok(
            CHECK,
            format!("{snat}, apart from the host's ephemeral ports {first}-{last}"),
        );
    }
    Row::warn(
        CHECK,
        format!("{snat} overlaps the host's ephemeral ports {first}-{last}"),
        "choose another range with `vswitch up --snat-ports`, or set \
         `sysctl net.ipv4.ip_local_port_range=\"32768 60999\"`",
    )
}

/// A port that another program's rules translate looks free, since no socket has it.
pub(super) fn dnat(snat: &SnatPorts, rules: &str) -> Row {
    const CHECK: &str = "dnat";
    let range = snat.range();
    let meets = |ports: &std::ops::RangeInclusive<u16>| {
        ports.start() <= range.end() && range.start() <= ports.end()
    };
    let met: Vec<String> = dnat::ports(rules)
        .into_iter()
        .filter(meets)
        .map(|ports| match ports.start() == ports.end() {
            true => ports.start().to_string(),
            false => format!("{}-{}", ports.start(), ports.end()),
        })
        .collect();
    if met.is_empty() {
        return Row::ok(CHECK, format!("no rule of others translates a port of {snat}"));
    }
    Row::warn(
        CHECK,
        format!("rules of others translate ports of {snat}: {}", met.join(", ")),
        "choose a range without them with `vswitch up --snat-ports`: the switch may take these ports for containers",
    )
}

/// Rules that pass frames between NIC and switch.
pub(super) fn nftables(probe: Result<(), String>) -> Row {
    const CHECK: &str = "nftables";
    match probe {
        Ok(()) => Row::ok(CHECK, "the kernel accepts our rules (tried in a new namespace)"),
        Err(error) => Row::warn(
            CHECK,
            format!("refused: {error}"),
            "`modprobe nf_tables nft_fwd_netdev nft_dup_netdev`, or start with `vswitch up --uplink none`",
        ),
    }
}

/// Tables that a killed switch left in front of the device.
pub(super) fn left_over(tables: Result<Vec<impl Display>, String>) -> Row {
    const CHECK: &str = "left over";
    // The nftables check reports an error.
    let tables = tables.unwrap_or_default();
    if tables.is_empty() {
        return Row::ok(CHECK, "no nftables table of a dead switch");
    }
    let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
    let commands: Vec<String> =
        names.iter().map(|name| format!("`nft delete table {name}`")).collect();
    Row::warn(
        CHECK,
        format!("nftables tables of a dead switch: {}", names.join(", ")),
        format!("`vswitch down` with its --state-dir, or {}", commands.join(", ")),
    )
}

/// Docker's FORWARD chain drops frames between devices that it does not know.
pub(super) fn docker(is_there: bool) -> Row {
    const CHECK: &str = "docker";
    match is_there {
        false => Row::ok(CHECK, "no docker0"),
        true => Row::ok(
            CHECK,
            "docker0 exists: with --uplink kernel its FORWARD chain drops our frames until `iptables \
             -I DOCKER-USER -i br0 -j ACCEPT` and `iptables -I DOCKER-USER -o br0 -m conntrack --ctstate \
             RELATED,ESTABLISHED,DNAT -j ACCEPT`; other uplinks need nothing",
        ),
    }
}

/// One descriptor a port with one worker, and one for each SNAT port of TCP and UDP. The daemon raises its limit to the highest.
pub(super) fn open_files((current, maximum): (Option<u64>, Option<u64>), snat: &SnatPorts) -> Row {
    const CHECK: &str = "open_files";
    let number = |limit: Option<u64>| limit.map_or("unlimited".to_owned(), |n| n.to_string());
    let mut found = format!("limit {}, at most {}", number(current), number(maximum));
    let Some(maximum) = maximum else { return Row::ok(CHECK, found) };
    let ports = PORTS_MAX as u64 + FILES_BESIDE_PORTS;
    let snat_ports = 2 * snat.range().len() as u64;
    let sockets = vswitch::snat_sockets(maximum);
    if maximum < ports {
        let enough = maximum.saturating_sub(FILES_BESIDE_PORTS);
        found = format!("{found}: enough for about {enough} ports");
    }
    if sockets < snat_ports {
        found = format!("{found}; {sockets} SNAT ports of {snat_ports}, TCP and UDP together");
    } else if maximum >= ports {
        return Row::ok(CHECK, found);
    }
    let needed = ports.max(vswitch::snat_open_files(snat_ports));
    let advice = format!("raise it with `ulimit -Hn {needed}`, or LimitNOFILE={needed} in a unit");
    Row::warn(CHECK, found, advice)
}

/// The kernel's neighbour table is shared by all network namespaces; each container has at least its
/// gateway in it. Only the initial namespace shows `max`.
pub(super) fn neighbours(max: Option<&str>, ports: usize) -> Row {
    const CHECK: &str = "neighbours";
    const SETTING: &str = "net.ipv4.neigh.default.gc_thresh3";
    let Some(max) = max.and_then(|max| max.parse::<usize>().ok()) else {
        return Row::ok(CHECK, format!("{SETTING} is not visible in this network namespace"));
    };
    let found = format!("{max} addresses for all namespaces ({SETTING}), {ports} ports");
    if ports < max {
        return Row::ok(CHECK, found);
    }
    let enough = (4 * ports).next_power_of_two();
    let advice = format!("raise it with `sysctl {SETTING}={enough}`; the same for net.ipv6");
    Row::warn(CHECK, found, advice)
}

/// Devices and routing rules of the host that a running switch does not use.
pub(super) fn uplinks(status: Option<&Status>) -> Row {
    const CHECK: &str = "uplinks";
    let Some(status) = status else { return Row::ok(CHECK, "unknown: no switch answers") };
    let names: Vec<&str> = status.uplinks.iter().map(|uplink| uplink.name.as_str()).collect();
    let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    if status.uplink_hints.is_empty() {
        return Row::ok(CHECK, found);
    }
    Row::warn(
        CHECK,
        format!("{found}; {}", status.uplink_hints.join("; ")),
        "name devices with `vswitch up --uplink`; `--uplink kernel` follows every rule and device",
    )
}

pub(super) fn daemon(socket: &Path, answer: Result<Status, ClientError>) -> Row {
    const CHECK: &str = "daemon";
    match answer {
        Ok(status) => Row::ok(
            CHECK,
            format!(
                "{} answers at {}: version {}, {} backend",
                status.bridge,
                socket.display(),
                status.version,
                status.backend
            ),
        ),
        Err(ClientError::NoDaemon(_)) => Row::warn(
            CHECK,
            format!("no switch answers at {}", socket.display()),
            "start one with `vswitch up --bridge br0 --detach`",
        ),
        Err(error @ ClientError::PermissionDenied(_)) => {
            Row::warn(CHECK, error.to_string(), "run as root")
        }
        Err(error) => Row::warn(CHECK, error.to_string(), "see the log of the daemon"),
    }
}

#[cfg(test)]
mod tests;
