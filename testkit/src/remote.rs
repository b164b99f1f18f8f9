//! A router on the host's LAN, and another host behind it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{HostNet, Netns, READY_MAX, join};

/// IPv4 address of the far host.
pub const FAR4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
/// IPv6 address of the far host.
pub const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 2));

/// A router (the LAN of a [`HostNet`]) and a host behind it, both with IPv4 and IPv6.
#[derive(Debug)]
pub struct Remote {
    far: Netns,
}

impl Remote {
    /// Makes the host's LAN a router with a host behind it.
    #[track_caller]
    pub fn new(host: &HostNet) -> Self {
        let (lan, far) = (host.lan(), Netns::new("far"));
        join(lan, "down0", &far, "up0");
        lan.run_lines(&[
            "ip addr add 198.51.100.1/24 dev down0",
            "ip addr add 2001:db8:f::1/64 dev down0 nodad",
            // Without such an address the kernel asks for no neighbour on behalf of others.
            "ip addr add fe80::1/64 dev down0 nodad",
        ]);
        lan.set_sysctl("net/ipv4/ip_forward", "1");
        lan.set_sysctl("net/ipv6/conf/all/forwarding", "1");
        far.run_lines(&[
            "ip addr add 198.51.100.2/24 dev up0",
            "ip addr add 2001:db8:f::2/64 dev up0 nodad",
            "ip route add default via 198.51.100.1",
            "ip route add default via 2001:db8:f::1",
        ]);
        let remote = Self { far };
        remote.plug_in(host);
        remote
    }

    /// Gives the router its addresses on the host's link.
    #[track_caller]
    pub fn plug_in(&self, host: &HostNet) {
        host.netns().run_lines(&["ip addr add fe80::1/64 dev nic0 nodad"]);
        host.lan().run_lines(&[
            "ip addr add 192.0.2.254/24 dev nic1",
            "ip addr add 2001:db8::254/64 dev nic1 nodad",
        ]);
        for address in [FAR4, FAR6] {
            host.netns().ping_soon(address, READY_MAX);
        }
    }

    /// Namespace of the host behind the router.
    pub fn far(&self) -> &Netns {
        &self.far
    }
}
