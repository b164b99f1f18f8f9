//! The kernel's bridge with veth pairs, in a namespace without any rule; with an uplink, the two rules of
//! nftables that translate; over two hosts, a bridge on each with a device of the kernel's VXLAN.

use anyhow::{Context as _, Result};
use testkit::Netns;

use super::underlay::{self, Underlay};
use super::uplink::{DEVICE, Uplink};
use super::{About, Contender, Endpoint, KERNEL_BRIDGE, Kind, Link, Outside, address, sysctl};
use crate::sandboxes::Sandboxes;
use crate::shell;
use crate::workload::{PUBLISHED, published_as};

/// The address of the bridge itself.
const GATEWAY: &str = "10.99.255.1";

#[derive(Debug, Default)]
pub(crate) struct KernelBridge {
    uplink: Option<Uplink>,
    host: Option<Netns>,
    /// The hosts instead of `host`, where there are two.
    underlay: Option<Underlay>,
    sandboxes: Sandboxes,
}

impl Contender for KernelBridge {
    fn name(&self) -> &str {
        KERNEL_BRIDGE
    }

    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn start(&mut self) -> Result<()> {
        let host = self.host.insert(Netns::create("bridge")?);
        shell::ip_batch(
            host.path(),
            &format!("link add br0 type bridge\naddr add {GATEWAY}/16 dev br0\nlink set br0 up\n"),
        )
    }

    fn prepare(&mut self, ports: usize) -> Result<()> {
        self.sandboxes.prepare(ports)
    }

    fn port(&mut self) -> Result<Endpoint> {
        let (n, netns) = self.sandboxes.take()?;
        let host = match &self.underlay {
            Some(underlay) => &underlay.hosts[n % 2],
            None => self.host.as_ref().context("the bridge is not up")?,
        };
        let address = address(n);
        shell::ip_batch(
            host.path(),
            &format!(
                "link add v{n} type veth peer name eth0 netns {}\nlink set v{n} master br0 up\n",
                netns.name()
            ),
        )?;
        if self.underlay.is_some() {
            let mtu = underlay::INNER_MTU;
            shell::ip_batch(netns.path(), &format!("link set eth0 mtu {mtu}\n"))?;
        }
        shell::bring_up(netns.path(), "eth0", &address)?;
        if self.uplink.is_some() {
            shell::ip_batch(netns.path(), &format!("route add default via {GATEWAY}\n"))?;
            let rules = rules(&address);
            shell::run(shell::in_netns(host.path(), "nft").arg(rules))
                .context("package nftables")?;
        }
        Ok(Endpoint::new(netns.path(), address))
    }

    fn gateway(&self) -> Option<&str> {
        Some(GATEWAY)
    }

    fn go_out(&mut self) -> Result<Outside> {
        let host = self.host.as_ref().context("the bridge is not up")?;
        let mut forward = shell::in_netns(host.path(), "sysctl");
        shell::run(forward.args(["-q", "-w", "net.ipv4.ip_forward=1"]))?;
        Ok(self.uplink.insert(Uplink::new(host)?).outside())
    }

    fn overlay_refusal(&self) -> Option<String> {
        None
    }

    fn span_hosts(&mut self, link: Link) -> Result<()> {
        let underlay = self.underlay.insert(Underlay::new(link)?);
        let [near, far] = underlay::ADDRESSES;
        for (host, local, remote) in
            [(&underlay.hosts[0], near, far), (&underlay.hosts[1], far, near)]
        {
            let (vni, device) = (underlay::VNI, underlay::DEVICE);
            shell::ip_batch(
                host.path(),
                &format!(
                    "link add br0 type bridge\nlink set br0 up\n\
                     link add vx0 type vxlan id {vni} dstport 4789 local {local} remote {remote} dev {device} udpcsum\n\
                     link set vx0 master br0 up\n"
                ),
            )?;
        }
        Ok(())
    }

    fn twin(&self) -> Option<Box<dyn Contender>> {
        Some(Box::new(Self::default()))
    }

    fn stop(&mut self) {
        self.sandboxes.clear();
        self.uplink = None;
        self.underlay = None;
        self.host = None;
    }

    fn describe(&self) -> Result<About> {
        let host = self.host.as_ref().context("the bridge is not up")?;
        let mut about = About::new();
        let filtered = sysctl(host.path(), "net/bridge/bridge-nf-call-iptables");
        about.insert("bridge_nf_call_iptables".into(), filtered.into());
        let rules = if self.uplink.is_some() { "masquerade and dnat" } else { "none" };
        about.insert("rules".into(), rules.into());
        Ok(about)
    }
}

/// What makes a host of the namespace that hides its containers, and publishes ports of one of them.
fn rules(address: &str) -> String {
    let ports = PUBLISHED.map(|port| format!("{} : {address} . {port}", published_as(port)));
    format!(
        "table ip nat {{\n\
         chain in {{ type nat hook prerouting priority dstnat; \
         iifname {DEVICE} dnat to tcp dport map {{ {} }}; }}\n\
         chain out {{ type nat hook postrouting priority srcnat; oifname {DEVICE} masquerade; }}\n\
         }}",
        ports.join(", ")
    )
}
