//! The kernel's bridge with veth pairs, in a namespace without any rule.

use anyhow::{Context as _, Result};

use super::{About, Contender, Endpoint, KERNEL_BRIDGE, Kind, address, sysctl};
use crate::netns::{Netns, Sandboxes};
use crate::shell;

/// The address of the bridge itself.
const GATEWAY: &str = "10.99.255.1";

#[derive(Debug, Default)]
pub(crate) struct KernelBridge {
    host: Option<Netns>,
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
        let host = self.host.insert(Netns::new("bridge")?);
        shell::ip_batch(
            host.path(),
            &format!("link add br0 type bridge\naddr add {GATEWAY}/16 dev br0\nlink set br0 up\n"),
        )
    }

    fn prepare(&mut self, ports: usize) -> Result<()> {
        self.sandboxes.prepare(ports)
    }

    fn port(&mut self) -> Result<Endpoint> {
        let host = self.host.as_ref().context("the bridge is not up")?;
        let (n, netns) = self.sandboxes.take()?;
        let address = address(n);
        shell::ip_batch(
            host.path(),
            &format!(
                "link add v{n} type veth peer name eth0 netns {}\nlink set v{n} master br0 up\n",
                netns.name()
            ),
        )?;
        shell::ip_batch(
            netns.path(),
            &format!("addr add {address}/16 dev eth0\nlink set eth0 up\n"),
        )?;
        Ok(Endpoint { netns: netns.path().to_owned(), address })
    }

    fn gateway(&self) -> Option<&str> {
        Some(GATEWAY)
    }

    fn twin(&self) -> Option<Box<dyn Contender>> {
        Some(Box::new(Self::default()))
    }

    fn stop(&mut self) {
        self.sandboxes.clear();
        self.host = None;
    }

    fn describe(&self) -> Result<About> {
        let host = self.host.as_ref().context("the bridge is not up")?;
        let mut about = About::new();
        let filtered = sysctl(host.path(), "net/bridge/bridge-nf-call-iptables");
        about.insert("bridge_nf_call_iptables".into(), filtered.into());
        about.insert("rules".into(), "none".into());
        Ok(about)
    }

    fn pids(&self) -> Vec<u32> {
        Vec::new()
    }
}
