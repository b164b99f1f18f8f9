//! The underlay of overlay networks: its UDP port and MTU, segmentation, and what was lost on the way in.

use std::net::SocketAddr;

use vswitch_api::overlay::UnderlayStatus;

use super::super::Row;

/// Findings about the underlay of a running switch.
#[derive(Debug)]
pub(in super::super) struct Findings {
    /// `/proc/net/udp` and `/proc/net/udp6`.
    pub(in super::super) sockets: String,
    /// All rules of nftables.
    pub(in super::super) rules: String,
    /// Sends that the kernel would not segment.
    pub(in super::super) refusals: u64,
    /// Datagrams that the kernel dropped before the switch read them.
    pub(in super::super) overflow: u64,
}

/// Least MTU of a network, and with it of what the outer headers leave.
const INNER_MTU_MIN: u32 = 1280;

/// Least MTU of the underlay that lets containers keep the usual 1,500 bytes.
const INNER_MTU_USUAL: u32 = 1500;

/// Judges the underlay; one row where there is none.
pub(in super::super) fn underlay(status: Option<&UnderlayStatus>, found: &Findings) -> Vec<Row> {
    let Some(status) = status else {
        return vec![Row::ok(
            "overlay",
            "off; `vswitch up --underlay` with an address of this host turns it on",
        )];
    };
    vec![port(status, found), mtu(status), segmentation(status, found), receive(found)]
}

fn port(status: &UnderlayStatus, found: &Findings) -> Row {
    const CHECK: &str = "vxlan_port";
    let local = status.address;
    if !has_socket(&found.sockets, local) {
        return Row::fail(
            CHECK,
            format!("no socket receives at {local} in this network namespace"),
            "run it where the switch runs; otherwise see `vswitch logs` and restart the switch",
        );
    }
    if drops_unknown_input(&found.rules) && !found.rules.contains(&local.port().to_string()) {
        return Row::warn(
            CHECK,
            format!("the switch receives at {local}, and a firewall drops what no rule accepts"),
            format!("let UDP port {} in from the other hosts", local.port()),
        );
    }
    Row::ok(CHECK, format!("the switch receives at {local}"))
}

fn mtu(status: &UnderlayStatus) -> Row {
    const CHECK: &str = "underlay_mtu";
    let Some(device) = &status.device else {
        return Row::fail(
            CHECK,
            format!("no device has {}", status.address.ip()),
            "give it to the device again, or start the switch with another --underlay",
        );
    };
    let found = format!("{} on {device} leaves {} for containers", status.device_mtu, status.mtu);
    let needed = INNER_MTU_USUAL + status.device_mtu - status.mtu;
    match status.mtu {
        left if left < INNER_MTU_MIN => Row::fail(
            CHECK,
            found,
            format!("IPv6 needs {INNER_MTU_MIN}: give {device} a larger MTU"),
        ),
        left if left < INNER_MTU_USUAL => Row::ok(
            CHECK,
            format!("{found}; with {needed} they would have the usual {INNER_MTU_USUAL}"),
        ),
        _ => Row::ok(CHECK, found),
    }
}

fn segmentation(status: &UnderlayStatus, found: &Findings) -> Row {
    const CHECK: &str = "underlay_segmentation";
    let device = status.device.as_deref().unwrap_or("the device");
    if !status.checksum {
        return Row::ok(
            CHECK,
            "none without checksums (`--vxlan-checksum off`): each packet leaves in a system call of its own",
        );
    }
    match found.refusals {
        0 => Row::ok(CHECK, "many packets leave in one system call"),
        count => Row::warn(
            CHECK,
            format!("the kernel would not segment {count} sends: packets leave one by one"),
            format!("look for IPsec on the way out by {device}, and at `ethtool -k {device}`"),
        ),
    }
}

fn receive(found: &Findings) -> Row {
    const CHECK: &str = "underlay_receive";
    match found.overflow {
        0 => Row::ok(CHECK, "the kernel dropped no datagram before the switch read it"),
        count => Row::warn(
            CHECK,
            format!("the kernel dropped {count} datagrams before the switch read them"),
            "give the switch more workers or processor time, or look for wrong checksums",
        ),
    }
}

/// Whether a table of `/proc/net/udp` has a socket at this address and port.
fn has_socket(table: &str, local: SocketAddr) -> bool {
    let address = match local.ip() {
        std::net::IpAddr::V4(ip) => hex(&ip.octets()),
        std::net::IpAddr::V6(ip) => hex(&ip.octets()),
    };
    let own = format!("{address}:{:04X}", local.port());
    table.lines().any(|line| line.split_whitespace().nth(1) == Some(own.as_str()))
}

/// The kernel prints each four bytes as a number of the machine.
fn hex(octets: &[u8]) -> String {
    let words = octets.chunks_exact(4);
    words
        .map(|word| format!("{:08X}", u32::from_ne_bytes([word[0], word[1], word[2], word[3]])))
        .collect()
}

/// Whether a chain of the input hook drops what no rule of it accepts.
fn drops_unknown_input(rules: &str) -> bool {
    rules.lines().any(|line| line.contains("hook input") && line.contains("policy drop"))
}

#[cfg(test)]
mod tests {
    use super::super::super::Health;
    use super::*;

    fn status() -> UnderlayStatus {
        UnderlayStatus {
            node: "n1".into(),
            address: "192.0.2.1:4789".parse().unwrap(),
            device: Some("eth0".into()),
            device_mtu: 1500,
            mtu: 1450,
            peers: 1,
            checksum: true,
        }
    }

    fn found() -> Findings {
        let socket = format!("{}:12B5", hex(&[192, 0, 2, 1]));
        Findings {
            sockets: format!("  sl  local_address rem_address\n  7: {socket} 00000000:0000 07\n"),
            rules: String::new(),
            refusals: 0,
            overflow: 0,
        }
    }

    fn health(status: &UnderlayStatus, found: &Findings) -> Vec<Health> {
        underlay(Some(status), found).into_iter().map(|row| row.status).collect()
    }

    #[test]
    fn a_switch_without_overlay_is_in_order() {
        let rows = underlay(None, &found());
        assert_eq!((rows.len(), rows[0].status), (1, Health::Ok));
    }

    #[test]
    fn a_good_underlay_is_told_what_a_larger_mtu_gives() {
        assert_eq!(health(&status(), &found()), [Health::Ok; 4]);
        let rows = underlay(Some(&status()), &found());
        assert!(rows[1].detail.contains("with 1550"), "{}", rows[1].detail);
    }

    #[test]
    fn each_fault_has_a_row() {
        let closed = Findings { sockets: String::new(), ..found() };
        assert_eq!(health(&status(), &closed)[0], Health::Fail);
        let other = UnderlayStatus { address: "192.0.2.1:4790".parse().unwrap(), ..status() };
        assert_eq!(health(&other, &found())[0], Health::Fail, "another port");
        let rules = "type filter hook input priority filter; policy drop;\ntcp dport 22 accept\n";
        let walled = Findings { rules: rules.into(), ..found() };
        assert_eq!(health(&status(), &walled)[0], Health::Warn);
        let open = Findings { rules: format!("{rules}udp dport 4789 accept\n"), ..found() };
        assert_eq!(health(&status(), &open)[0], Health::Ok);
        let gone = UnderlayStatus { device: None, ..status() };
        assert_eq!(health(&gone, &found())[1], Health::Fail);
        let narrow = UnderlayStatus { device_mtu: 1300, mtu: 1250, ..status() };
        assert_eq!(health(&narrow, &found())[1], Health::Fail);
        assert_eq!(health(&status(), &Findings { refusals: 1, ..found() })[2], Health::Warn);
        assert_eq!(health(&status(), &Findings { overflow: 1, ..found() })[3], Health::Warn);
        let zero = underlay(Some(&UnderlayStatus { checksum: false, ..status() }), &found());
        assert!(zero[2].detail.contains("--vxlan-checksum off"), "{}", zero[2].detail);
    }

    #[test]
    fn an_ipv6_address_is_found() {
        let local: SocketAddr = "[2001:db8::1]:4789".parse().unwrap();
        let std::net::IpAddr::V6(ip) = local.ip() else { unreachable!() };
        let table = format!("sl local\n 1: {}:12B5 0:0 07\n", hex(&ip.octets()));
        assert!(has_socket(&table, local) && !has_socket(&table, status().address));
    }
}
