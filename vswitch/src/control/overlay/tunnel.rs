//! The tunnel port: its device, its sockets, and its start.

use std::net::SocketAddr;
use std::sync::Arc;

use fastpath::PortQueue;
use fastpath::udp::{UdpConf, UdpError, UdpTunnel};

use super::{OverlayError, follow};
use crate::config::{Config, NodeName, VxlanChecksum};
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::limits::{TUNNEL_PORT_PAUSE, TUNNEL_PORT_TRIES};
use crate::control::model::overhead;
use crate::host::{Netlink, underlay};

/// Sending sockets of a worker, each with a source port of its own: by these the underlay spreads flows (RFC 7348
/// section 5).
const TUNNEL_SENDERS: usize = 8;

/// The underlay of the configuration, as the host has it.
#[derive(Debug, Clone)]
pub(in crate::control) struct UnderlayDevice {
    local: SocketAddr,
    node: NodeName,
    name: String,
    index: u32,
    mtu: u32,
}

impl UnderlayDevice {
    /// The device with the underlay's address; none where the configuration has no underlay.
    pub(in crate::control) async fn find(
        config: &Config,
        netlink: &Netlink,
    ) -> Result<Option<Self>, ControlError> {
        let Some(address) = config.underlay.map(|it| it.get()) else { return Ok(None) };
        let device = underlay::device_of(netlink, address).await?;
        let device = device.ok_or(OverlayError::NotOurAddress(address))?;
        Ok(Some(Self {
            local: SocketAddr::new(address, config.vxlan_port.get()),
            node: node_name(config)?,
            name: device.name,
            index: device.index,
            mtu: device.mtu,
        }))
    }

    /// Largest inner IP packet that the device carries.
    pub(in crate::control) fn mtu_left(&self) -> u32 {
        self.mtu.saturating_sub(overhead(self.local.ip()))
    }
}

/// The configured name, or the host's.
fn node_name(config: &Config) -> Result<NodeName, OverlayError> {
    if let Some(name) = &config.node {
        return Ok(name.clone());
    }
    let name = nix::unistd::gethostname().unwrap_or_default();
    let name = name.to_string_lossy().into_owned();
    name.parse().map_err(|_| OverlayError::NodeName(name))
}

/// Opens the sockets. Those of a switch that was killed close a moment after it: the kernel ends its io_uring later.
async fn open(conf: &UdpConf<'_>) -> Result<UdpTunnel, OverlayError> {
    let mut tries = TUNNEL_PORT_TRIES;
    loop {
        match UdpTunnel::open(conf) {
            Err(UdpError::Taken { .. }) if tries > 1 => tries -= 1,
            opened => return Ok(opened?),
        }
        tokio::time::sleep(TUNNEL_PORT_PAUSE).await;
    }
}

impl Control {
    /// Opens the tunnel port and shows it to the datapath; nothing without an underlay.
    pub(in crate::control) async fn start_tunnel(
        &self,
        underlay: Option<UnderlayDevice>,
    ) -> Result<(), ControlError> {
        let inner = &self.0;
        let Some(underlay) = underlay else {
            inner.note_no_underlay();
            return Ok(());
        };
        let UnderlayDevice { local, node, name, index, mtu } = underlay;
        let workers = inner.dataplane.workers();
        let checksum = inner.config.vxlan_checksum == VxlanChecksum::On;
        let conf = UdpConf { local, device: None, workers, senders: TUNNEL_SENDERS, checksum };
        let sockets = open(&conf).await?;
        let slot = inner.model().add_tunnel(local, node, (name.clone(), mtu))?;
        let queues = sockets.queues.into_iter().map(PortQueue::Datagrams).collect();
        inner.dataplane.add_queues(slot, queues).await?;
        let peers: Vec<_> = inner.model().vteps().map(|(_, vtep)| vtep.address).collect();
        for peer in peers {
            inner.read_path_mtu(peer);
        }
        inner.note_underlay_fault(Some(&name), mtu);
        inner.commit_snapshot();
        tracing::info!(%local, device = name, mtu, "receiving VXLAN");
        tokio::spawn(follow::run(Arc::clone(inner), index));
        Ok(())
    }
}
