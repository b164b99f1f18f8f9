//! The nftables rules for a state of the uplinks and the published ports.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::devices::TapId;
use super::state::{LinkState, UplinkState};
use super::{Config, HostNetwork, Mode};
use crate::host::limits::{PORTLESS_KEPT, PORTLESS_MAX};
use crate::host::nft::{
    AllowedForward, Firewall, Forward, Forwards, IngressRedirect, Nat, NftError, PortBlock,
    Protocol, RedirectLink, Rules, TablesParts,
};
use crate::host::own_flows::Flow;
use crate::host::stale_flows::StaleFlows;

/// Settings that stay the same as long as the uplink lives.
#[derive(Debug, Clone)]
pub(super) struct Fixed {
    pub(super) config: Config,
    /// IPv4 and IPv6: the port of the proxy for devices that are no uplinks.
    pub(super) relayed: [Option<u16>; 2],
}

impl Fixed {
    /// The rules for a state.
    pub(super) fn rules(
        &self,
        state: &UplinkState,
        networks: &[HostNetwork],
        forwards: &Forwards,
        blocks: &BTreeSet<PortBlock>,
    ) -> Rules {
        let subnets: Vec<_> = networks.iter().flat_map(|it| it.subnets).collect();
        let is_own = self.config.mode != Mode::Kernel;
        let redirect = is_own.then(|| {
            // Loopback addresses and container subnets are not reachable from the uplink.
            let is_outside = |address: &&IpAddr| {
                !address.is_loopback() && !subnets.iter().any(|net| net.contains(*address))
            };
            let outside = || state.local.iter().filter(is_outside);
            IngressRedirect {
                links: state.links.iter().filter_map(redirect_link).collect(),
                local4: outside().filter_map(v4).collect(),
                local6: outside().filter_map(v6).collect(),
                subnets: subnets.clone(),
                snat_ports: self.config.snat_ports.clone(),
                snat_blocks: blocks.clone(),
                portless: BTreeSet::new(),
                published: forwards.clone(),
            }
        });
        let to_world = networks.iter().filter(|it| redirect.is_none() && !it.is_internal);
        let masquerade = to_world.flat_map(|it| it.subnets).collect();
        let gateways = networks
            .iter()
            .flat_map(|it| it.gateways.iter().map(|&gateway| (it.device.clone(), gateway)));
        let present = state.links.iter().filter(|link| link.ifindex != 0);
        let nat = Nat {
            forwards: forwards.clone(),
            masquerade,
            gateways: gateways.collect(),
            for_others: if is_own { state.forwarding } else { [false; 2] },
            relayed: [0, 1].map(|n| self.relayed[n].filter(|_| is_own && !state.forwarding[n])),
            switched: present.map(|link| link.device.clone()).collect(),
            tracks_host: [false; 2],
        };
        let devices = networks.iter().map(|it| it.device.clone()).collect();
        let allowed = networks.iter().flat_map(|it| {
            it.reachable_from
                .iter()
                .map(|from| AllowedForward { from: from.clone(), to: it.device.clone() })
        });
        let allowed = allowed.collect();
        Rules { bridge: self.config.bridge.clone(), devices, allowed, redirect, nat }
    }
}

fn redirect_link(link: &LinkState) -> Option<RedirectLink> {
    let tap = link.tap.as_ref()?;
    Some(RedirectLink {
        device: (link.ifindex != 0).then(|| (link.device.clone(), link.ifindex)),
        tap: (tap.name.clone(), tap.ifindex),
    })
}

fn v4(address: &IpAddr) -> Option<std::net::Ipv4Addr> {
    if let IpAddr::V4(address) = address { Some(*address) } else { None }
}

fn v6(address: &IpAddr) -> Option<std::net::Ipv6Addr> {
    if let IpAddr::V6(address) = address { Some(*address) } else { None }
}

/// The tables, for the task that follows the kernel and for publications: one at a time.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    fixed: Arc<Fixed>,
    inner: Arc<Mutex<Inner>>,
    stale_flows: StaleFlows,
}

#[derive(Debug)]
struct Inner {
    firewall: Firewall,
    networks: Vec<HostNetwork>,
    forwards: Forwards,
    state: UplinkState,
    /// Claimed blocks of SNAT ports.
    blocks: BTreeSet<PortBlock>,
    /// Remotes and protocols without ports that containers use, and when each was told last.
    portless: BTreeMap<Flow, Instant>,
    /// Those that the host itself uses.
    of_host: BTreeSet<Flow>,
    loaded: Rules,
}

impl Shared {
    pub(super) async fn start(
        fixed: Fixed,
        networks: Vec<HostNetwork>,
        state: UplinkState,
    ) -> Result<Self, NftError> {
        let blocks = BTreeSet::new();
        let loaded = fixed.rules(&state, &networks, &Forwards::default(), &blocks);
        let firewall = Firewall::start(loaded.clone()).await?;
        let (forwards, portless, of_host) = (Forwards::default(), BTreeMap::new(), BTreeSet::new());
        let inner =
            Inner { firewall, networks, forwards, state, blocks, portless, of_host, loaded };
        Ok(Self::with(fixed, inner))
    }

    fn with(fixed: Fixed, inner: Inner) -> Self {
        let stale_flows = StaleFlows::new(fixed.relayed);
        Self { fixed: Arc::new(fixed), inner: Arc::new(Mutex::new(inner)), stale_flows }
    }

    /// Gives up the tables without deleting them. Nobody else may use them.
    pub(super) fn into_parts(
        self,
    ) -> Result<(Fixed, Vec<HostNetwork>, UplinkState, TablesParts), NftError> {
        let in_use = |_| NftError::Socket(std::io::ErrorKind::ResourceBusy.into());
        let inner = Arc::try_unwrap(self.inner).map_err(in_use)?;
        let Inner { firewall, networks, state, .. } = inner.into_inner();
        Ok((Arc::unwrap_or_clone(self.fixed), networks, state, firewall.into_parts()?))
    }

    /// Takes over a firewall with the rules that are loaded, and adapts it to a state.
    pub(super) async fn from_parts(
        fixed: Fixed,
        (firewall, loaded): (Firewall, Rules),
        state: UplinkState,
        networks: Vec<HostNetwork>,
        forwards: Forwards,
    ) -> Result<Self, NftError> {
        let blocks = loaded.redirect.as_ref().map(|it| it.snat_blocks.clone()).unwrap_or_default();
        let rules = fixed.rules(&state, &networks, &forwards, &blocks);
        let (portless, of_host) = (BTreeMap::new(), BTreeSet::new());
        let mut inner =
            Inner { firewall, networks, forwards, state, blocks, portless, of_host, loaded };
        inner.load(rules).await?;
        Ok(Self::with(fixed, inner))
    }

    /// Loads the rules for another state, if they differ.
    pub(super) async fn adapt(&self, state: &UplinkState) -> Result<(), NftError> {
        let mut inner = self.inner.lock().await;
        let rules = self.fixed.rules(state, &inner.networks, &inner.forwards, &inner.blocks);
        let former = std::mem::replace(&mut inner.state, state.clone());
        inner.load(rules).await?;
        if former.forwarding != state.forwarding {
            // The kernel translates otherwise from now on, and would go on with flows as they began.
            let is_udp = |one: &&Arc<Forward>| one.published.protocol == Protocol::Udp;
            let udp: Vec<_> = inner.forwards.iter().filter(is_udp).cloned().collect();
            self.stale_flows.note(&udp, &[], state.local.clone());
        }
        Ok(())
    }

    /// Flows of the kernel to ports that closed or opened.
    pub(super) fn stale_flows(&self) -> &StaleFlows {
        &self.stale_flows
    }

    /// Loads the rules again, whatever the kernel has of them: they name a device that was made again.
    pub(super) async fn reload(&self) -> Result<(), NftError> {
        let inner = self.inner.lock().await;
        inner.firewall.load(inner.loaded.clone()).await
    }

    /// The state directory of the switch.
    pub(super) fn state_dir(&self) -> &Path {
        &self.fixed.config.state_dir
    }

    /// The devices of all networks.
    pub(super) async fn host_ports(&self) -> Vec<String> {
        self.inner.lock().await.networks.iter().map(|network| network.device.clone()).collect()
    }

    /// The TAPs of the uplinks, with their MTU.
    pub(super) async fn taps(&self) -> Vec<(TapId, u32)> {
        let inner = self.inner.lock().await;
        let links = inner.state.links.iter();
        links.filter_map(|link| Some((link.tap.clone()?, link.mtu))).collect()
    }

    /// Queues of each TAP.
    pub(super) fn queues(&self) -> usize {
        self.fixed.config.queues
    }

    /// Loads the rules for other published ports.
    pub(super) async fn publish(&self, forwards: Forwards) -> Result<(), NftError> {
        let mut inner = self.inner.lock().await;
        let rules = self.fixed.rules(&inner.state, &inner.networks, &forwards, &inner.blocks);
        inner.load(rules).await?;
        inner.forwards = forwards;
        Ok(())
    }

    /// Flows without ports that are handed over.
    pub(super) async fn portless(&self) -> Vec<Flow> {
        self.inner.lock().await.portless.keys().copied().collect()
    }

    /// Hands over what comes from remotes by protocols without ports that containers use, and leaves to the host what
    /// it uses itself, and what no container has used for [`PORTLESS_KEPT`]. Gives those that were told and are handed
    /// over now.
    pub(super) async fn hand_over(
        &self,
        mut told: Vec<Flow>,
        of_host: BTreeSet<Flow>,
    ) -> Result<Vec<Flow>, NftError> {
        let mut inner = self.inner.lock().await;
        let portless = &mut inner.portless;
        portless.retain(|flow, told| !of_host.contains(flow) && told.elapsed() < PORTLESS_KEPT);
        told.retain(|flow| {
            let has_room = portless.len() < PORTLESS_MAX || portless.contains_key(flow);
            let is_handed = has_room && !of_host.contains(flow);
            if is_handed {
                portless.insert(*flow, Instant::now());
            }
            is_handed
        });
        inner.of_host = of_host;
        // Also what the kernel refused the last time.
        if !inner.is_portless_loaded() {
            inner.reload(&self.fixed).await?;
        }
        Ok(told)
    }

    /// Addresses of the host.
    pub(super) async fn local(&self) -> Vec<IpAddr> {
        self.inner.lock().await.state.local.clone()
    }

    /// Loads the rules for other networks.
    pub(super) async fn set_networks(&self, networks: Vec<HostNetwork>) -> Result<(), NftError> {
        let mut inner = self.inner.lock().await;
        let rules = self.fixed.rules(&inner.state, &networks, &inner.forwards, &inner.blocks);
        inner.load(rules).await?;
        inner.networks = networks;
        Ok(())
    }

    /// Adds claimed blocks, and takes out those that are given back.
    pub(super) async fn change_blocks(
        &self,
        added: &[PortBlock],
        removed: &[PortBlock],
    ) -> Result<(), NftError> {
        if added.is_empty() && removed.is_empty() {
            return Ok(());
        }
        let mut inner = self.inner.lock().await;
        inner.firewall.change_blocks(added.to_vec(), removed.to_vec()).await?;
        let change = |blocks: &mut BTreeSet<PortBlock>| {
            blocks.retain(|block| !removed.contains(block));
            blocks.extend(added.iter().cloned());
        };
        change(&mut inner.blocks);
        if let Some(redirect) = &mut inner.loaded.redirect {
            change(&mut redirect.snat_blocks);
        }
        Ok(())
    }
}

impl Inner {
    fn is_portless_loaded(&self) -> bool {
        let redirect = self.loaded.redirect.as_ref();
        self.loaded.nat.tracks_host == self.tracks_host()
            && redirect.is_none_or(|it| it.portless.iter().eq(self.portless.keys()))
    }

    /// Whether the kernel has to track what the host sends, by IPv4 and IPv6.
    fn tracks_host(&self) -> [bool; 2] {
        [true, false].map(|v4| {
            self.portless.keys().chain(&self.of_host).any(|(remote, _)| remote.is_ipv4() == v4)
        })
    }

    async fn reload(&mut self, fixed: &Fixed) -> Result<(), NftError> {
        let rules = fixed.rules(&self.state, &self.networks, &self.forwards, &self.blocks);
        self.load(rules).await
    }

    async fn load(&mut self, mut rules: Rules) -> Result<(), NftError> {
        if let Some(redirect) = &mut rules.redirect {
            redirect.portless = self.portless.keys().copied().collect();
        }
        rules.nat.tracks_host = self.tracks_host();
        if rules != self.loaded {
            self.firewall.load(rules.clone()).await?;
            self.loaded = rules;
        }
        Ok(())
    }
}
