//! Overlay networks of a registry, as control has them.
//!
//! [`crate::overlay`] keeps this node's entries in the registry, and tells of the others'. Here
//!
//! - what it tells becomes networks ([`networks`]), VTEPs, remote endpoints and their names ([`follow`]);
//! - an endpoint of this node gets its addresses from it, and is announced before its attach ends ([`endpoints`]);
//! - the host gets an address of its own on a network while this node has endpoints there ([`host`]).
//!
//! Networks and blocks are in the document, so that a start without the registry attaches all that was there.

mod endpoints;
mod follow;
mod host;
mod networks;
mod options;
mod outstanding;

use std::net::SocketAddr;

use tokio::time::{Instant, sleep};
use vswitch_registry::record::{self, Node};
use vswitch_registry::{RegistrationError, RegistryError, RegistryUrl};

pub(in crate::control) use outstanding::Outstanding;

use super::OverlayError;
use crate::control::Control;
use crate::control::error::ControlError;
use crate::control::limits::{REGISTER_PAUSE, REGISTER_WAIT_MAX};
use crate::control::model::{Model, Network, RegisteredSpec};
use crate::overlay::{NodeError, Overlay, OverlayConf, Remembered};

/// The name of the registry's fault; no device has a space in its name.
const REGISTRY: &str = "the registry";

impl Control {
    /// Takes part in the registry's networks; nothing without a registry.
    ///
    /// # Errors
    /// On the first start with the registry, whose values somebody has just chosen: another node has the name or the VTEP,
    /// or the registry refuses this node. Later that is a fault and no error, as is a registry that is away: containers live.
    pub(in crate::control) async fn start_registry(&self) -> Result<(), ControlError> {
        let inner = &self.0;
        let Some(url) = &inner.config.registry else {
            inner.note_no_registry();
            return Ok(());
        };
        let (node, remembered) = {
            let model = inner.model();
            let tunnel = model.underlay("a network of the registry")?;
            let (name, local) = (tunnel.node.to_string(), tunnel.local);
            (Node { name, address: local.ip(), port: local.port() }, remembered(&model))
        };
        let is_first_start = remembered.networks.is_empty();
        let (overlay, changes) = Overlay::start(conf(url, node, remembered)?);
        if is_first_start && let Err(error) = register(&overlay).await {
            let _ = overlay.close().await;
            return Err(error.into());
        }
        let kept = {
            let model = inner.model();
            let networks = model.registered_networks().into_iter();
            let kept = networks.map(|name| (name.to_string(), model.kept_addresses(&name)));
            kept.collect::<Vec<_>>()
        };
        for (network, address) in
            kept.iter().flat_map(|(name, all)| all.iter().map(move |it| (name, it)))
        {
            overlay.keep(network, *address).await?;
        }
        // The first one that is set stays.
        let _ = inner.registry.set(overlay);
        tracing::info!(%url, "overlay networks are those of the registry");
        tokio::spawn(follow::run(self.clone(), changes));
        tokio::spawn(follow::retry(self.clone()));
        Ok(())
    }

    /// Ends this node's part, so that others forget it at once.
    pub(in crate::control) async fn stop_registry(&self) {
        let Some(overlay) = self.0.registry.get() else { return };
        if let Err(error) = overlay.close().await {
            tracing::warn!(%error, "other nodes forget this one later");
        }
    }
}

/// Waits for the first answer of the registry, and for the end of a former record of this node's name or VTEP. A registry
/// that is away is no error.
async fn register(overlay: &Overlay) -> Result<(), NodeError> {
    let deadline = Instant::now() + REGISTER_WAIT_MAX;
    loop {
        match overlay.registered().await {
            Err(error) if is_taken(&error) && Instant::now() < deadline => {
                tracing::info!(%error, "waiting for the end of that record");
                sleep(REGISTER_PAUSE).await;
            }
            Err(error) if is_taken(&error) || is_refusal(&error) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "not registered yet; it is tried again");
                return Ok(());
            }
            Ok(()) => return Ok(()),
        }
    }
}

/// Whether another node has the name or the VTEP.
const fn is_taken(error: &NodeError) -> bool {
    matches!(
        error,
        NodeError::Registration(
            RegistrationError::NameTaken { .. } | RegistrationError::VtepTaken { .. }
        )
    )
}

/// Whether the registry answers and refuses this node, until somebody changes something.
fn is_refusal(error: &NodeError) -> bool {
    match error {
        NodeError::NodeNotInFile { .. } | NodeError::Format(_) => true,
        NodeError::Registration(RegistrationError::Registry(error))
        | NodeError::Registry(error) => matches!(error, RegistryError::Denied { .. }),
        _ => false,
    }
}

fn conf(
    url: &RegistryUrl,
    node: Node,
    remembered: Remembered,
) -> Result<OverlayConf, ControlError> {
    let registry = vswitch_registry::open(url).map_err(NodeError::from)?;
    Ok(OverlayConf { remembered, ..OverlayConf::new(node, registry, url.to_string()) })
}

/// Networks and blocks of the registry in the document.
fn remembered(model: &Model) -> Remembered {
    let mut remembered = Remembered::default();
    for network in model.networks() {
        let Some((record, registered)) = record_of(network) else { continue };
        let blocks = registered.blocks.iter().map(|block| (record.name.clone(), *block));
        remembered.blocks.extend(blocks);
        remembered.networks.push(record);
    }
    remembered
}

/// The registry's record of a network.
fn record_of(network: &Network) -> Option<(record::Network, &RegisteredSpec)> {
    let overlay = network.spec.overlay.as_ref()?;
    let registered = overlay.registered.as_ref()?;
    let record = record::Network {
        name: network.spec.name.to_string(),
        vni: overlay.vni.get(),
        subnets: registered.subnets.clone(),
        mtu: overlay.mtu.and_then(|mtu| u16::try_from(mtu).ok()),
        options: registered.options.clone(),
    };
    Some((record, registered))
}

/// The address of a node's VTEP.
fn vtep_of(node: &Node) -> SocketAddr {
    SocketAddr::new(node.address, node.port)
}

impl crate::control::inner::Inner {
    /// The node's part in the registry, for a change of a network of it.
    fn registry_for(&self, network: &str) -> Result<&Overlay, OverlayError> {
        self.registry.get().ok_or_else(|| OverlayError::NetworkOfRegistry(network.to_owned()))
    }

    /// Shows that networks of the registry are alone now.
    fn note_no_registry(&self) {
        let mut model = self.model();
        let registered = model.networks().filter(|network| network.spec.is_registered());
        let names: Vec<_> = registered.map(|it| it.spec.name.to_string()).collect();
        if !names.is_empty() {
            let fault = format!(
                "the switch has no --registry, so that nothing joins the networks {} of it, or is reached on other nodes",
                names.join(", ")
            );
            tracing::warn!(fault, "the registry");
            model.set_host_fault(REGISTRY, Some(fault));
        }
    }
}
