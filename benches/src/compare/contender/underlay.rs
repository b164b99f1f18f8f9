//! Two hosts and the link between them: a veth pair whose ends are namespaces, with the addresses of RFC 5737.

use anyhow::{Context as _, Result};
use testkit::Netns;

use crate::shell;

/// Each host's end of the link.
pub(crate) const DEVICE: &str = "nic0";

/// Addresses of the two hosts.
pub(crate) const ADDRESSES: [&str; 2] = ["198.51.100.1", "198.51.100.2"];

/// What VXLAN over IPv4 leaves of the link's 1,500 bytes.
pub(crate) const INNER_MTU: u32 = 1_450;

/// The VXLAN network identifier of the overlay.
pub(crate) const VNI: u32 = 42;

/// What the devices at both ends do for the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// As a NIC without tunnel offload: frames leave as they go over a wire, and GRO joins them. A veth segments in
    /// the sender's context what a NIC would segment itself.
    Nic,
    /// As a veth pair is by itself: whole GSO frames pass, those in a tunnel as well.
    Veth,
}

/// The hosts; they go away with it.
#[derive(Debug)]
pub(crate) struct Underlay {
    pub(crate) hosts: [Netns; 2],
}

impl Underlay {
    pub(crate) fn new(link: Link) -> Result<Self> {
        let hosts = [Netns::create("near")?, Netns::create("far")?];
        let far = hosts[1].name();
        shell::ip_batch(
            hosts[0].path(),
            &format!("link add {DEVICE} type veth peer name {DEVICE} netns {far}\n"),
        )?;
        for (host, address) in hosts.iter().zip(ADDRESSES) {
            if link == Link::Nic {
                let mut ethtool = shell::in_netns(host.path(), "ethtool");
                ethtool.args(["-K", DEVICE, "tx-udp_tnl-segmentation", "off"]);
                ethtool.args(["tx-udp_tnl-csum-segmentation", "off", "tx", "off", "gro", "on"]);
                shell::run(&mut ethtool).context("package ethtool")?;
            }
            let script = format!("addr add {address}/24 dev {DEVICE}\nlink set {DEVICE} up\n");
            shell::ip_batch(host.path(), &script)?;
        }
        Ok(Self { hosts })
    }
}
