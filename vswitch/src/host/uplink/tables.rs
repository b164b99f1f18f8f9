//! The nftables rules that belong to a state of the uplink and to what is published.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use tokio::sync::Mutex;
use wire::MacAddr;

use super::state::UplinkState;
use crate::host::nft::{Firewall, Forward, IngressRedirect, Nat, NftError, Rules};

/// What does not change as long as the uplink lives.
#[derive(Debug, Clone)]
pub(super) struct Fixed {
    pub(super) bridge: String,
    pub(super) subnets: Vec<IpNet>,
    pub(super) snat_ports: RangeInclusive<u16>,
    /// Name, index and MAC address of the uplink TAP; none with `--uplink kernel`.
    pub(super) tap: Option<(String, u32, MacAddr)>,
}

impl Fixed {
    /// The rules for a state.
    pub(super) fn rules(&self, state: &UplinkState, forwards: &[Forward]) -> Rules {
        let redirect = self.tap.clone().map(|(name, index, mac)| {
            // Loopback addresses are nobody's outside, and those of our subnets are not reached from there.
            let is_outside = |address: &&IpAddr| {
                !address.is_loopback() && !self.subnets.iter().any(|net| net.contains(*address))
            };
            let outside = || state.local.iter().filter(is_outside);
            IngressRedirect {
                device: (state.ifindex != 0).then(|| (state.device.clone(), state.ifindex)),
                tap: (name, index),
                tap_mac: mac,
                local4: outside().filter_map(v4).collect(),
                local6: outside().filter_map(v6).collect(),
                subnets: self.subnets.clone(),
                snat_ports: self.snat_ports.clone(),
                published: forwards.iter().map(|forward| forward.published.clone()).collect(),
            }
        });
        let masquerade = if redirect.is_none() { self.subnets.clone() } else { Vec::new() };
        let nat = Nat { forwards: forwards.to_vec(), masquerade };
        Rules { bridge: self.bridge.clone(), redirect, nat }
    }
}

fn v4(address: &IpAddr) -> Option<std::net::Ipv4Addr> {
    if let IpAddr::V4(address) = address { Some(*address) } else { None }
}

fn v6(address: &IpAddr) -> Option<std::net::Ipv6Addr> {
    if let IpAddr::V6(address) = address { Some(*address) } else { None }
}

/// The tables, for the task that follows the kernel and for who publishes ports: one at a time.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    fixed: Arc<Fixed>,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    firewall: Firewall,
    forwards: Vec<Forward>,
    state: UplinkState,
    loaded: Rules,
}

impl Shared {
    pub(super) async fn start(fixed: Fixed, state: UplinkState) -> Result<Self, NftError> {
        let loaded = fixed.rules(&state, &[]);
        let firewall = Firewall::start(loaded.clone()).await?;
        let inner = Inner { firewall, forwards: Vec::new(), state, loaded };
        Ok(Self { fixed: Arc::new(fixed), inner: Arc::new(Mutex::new(inner)) })
    }

    /// Loads the rules for another state, if they differ.
    pub(super) async fn adapt(&self, state: &UplinkState) -> Result<(), NftError> {
        let mut inner = self.inner.lock().await;
        let rules = self.fixed.rules(state, &inner.forwards);
        inner.state = state.clone();
        inner.load(rules).await
    }

    /// Loads the rules for other published ports.
    pub(super) async fn publish(&self, forwards: Vec<Forward>) -> Result<(), NftError> {
        let mut inner = self.inner.lock().await;
        let rules = self.fixed.rules(&inner.state, &forwards);
        inner.load(rules).await?;
        inner.forwards = forwards;
        Ok(())
    }
}

impl Inner {
    async fn load(&mut self, rules: Rules) -> Result<(), NftError> {
        if rules != self.loaded {
            self.firewall.load(rules.clone()).await?;
            self.loaded = rules;
        }
        Ok(())
    }
}
