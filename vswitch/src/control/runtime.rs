//! Endpoints of a runtime that configures namespaces itself, such as Docker.
//!
//! The switch hands a TAP out in the host's namespace ([`Control::hand_out`]); the runtime moves it into the
//! container's namespace, names it, and gives it addresses and routes. The kernel tells when a TAP leaves the host's
//! namespace; then [`Control::note_move`] looks for it in the container's, and notes both in the document. A switch
//! that starts again puts a new TAP there by itself, since the runtime does not look. `control/model/runtime.rs` has
//! the states.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::Instant;
use vswitch_api::address::Family;
use vswitch_api::event::EventKind;
use vswitch_api::port::NetnsRef;
use wire::MacAddr;

use super::error::ControlError;
use super::limits::{MOVE_POLL, MOVE_WAIT_MAX};
use super::model::{AttachSpec, Binding, ConfiguredBy, Endpoint, EndpointKey, Lease, NetworkName};
use super::port::PortChange;
use super::runtime_state::RuntimeState;
use super::store::NetnsRecord;
use super::task::{blocking, task};
use super::{Control, unicast_mac};
use crate::host::container;
use crate::host::netns;

/// A request of a runtime for an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeRequest {
    pub(crate) name: String,
    pub(crate) network: NetworkName,
    /// Name of the TAP.
    pub(crate) tap: String,
    pub(crate) mac: Option<MacAddr>,
    pub(crate) ipv4: Option<Ipv4Addr>,
    pub(crate) ipv6: Option<Ipv6Addr>,
    pub(crate) family: Option<Family>,
    /// How the runtime finds it.
    pub(crate) label: Label,
}

/// A label that tells an endpoint or a network of a runtime from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Label {
    pub(crate) key: &'static str,
    pub(crate) text: String,
}

/// An endpoint that a runtime has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandedOut {
    pub(crate) label: Label,
    pub(crate) network: NetworkName,
    /// A container's namespace has its interface.
    pub(crate) is_inside: bool,
}

impl HandedOut {
    /// None if it has no label with this key.
    fn new(endpoint: &Endpoint, binding: &Binding, key: &'static str) -> Option<Self> {
        Some(Self {
            label: Label { key, text: endpoint.labels.get(key)?.clone() },
            network: endpoint.lease.network.clone(),
            is_inside: binding.netns.is_some(),
        })
    }
}

/// The result of one look for an interface in a container's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It is there, and noted.
    Inside,
    /// The endpoint is gone, or the runtime has taken the TAP back.
    Gone,
    /// Meanwhile the runtime has left that namespace.
    Moved,
}

impl Control {
    /// Makes an endpoint whose TAP is in the host's namespace, for a runtime to move.
    pub(crate) async fn hand_out(&self, request: RuntimeRequest) -> Result<Lease, ControlError> {
        let control = self.clone();
        let done = task(async move { control.run_hand_out(request).await }).await?;
        done.map_err(|error| self.count_limit_hit(error))
    }

    async fn run_hand_out(&self, request: RuntimeRequest) -> Result<Lease, ControlError> {
        let inner = &self.0;
        let network = inner.network_to_change(Some(request.network.as_str()))?;
        let Label { key, text } = request.label;
        let spec = AttachSpec {
            mac: request.mac.map(unicast_mac).transpose()?,
            ipv4: request.ipv4,
            ipv6: request.ipv6,
            family: request.family,
            settings: inner.model().default_settings(&network),
            labels: [(key.to_owned(), text)].into(),
            configured_by: ConfiguredBy::Runtime,
            runtime: Some(RuntimeState {
                tap: request.tap,
                boot_id: inner.boot_id.clone(),
                sandbox: None,
                further: Vec::new(),
                gives_default_route: false,
                published: Vec::new(),
            }),
            ..AttachSpec::new(EndpointKey { name: request.name.parse()?, network })
        };
        let mut change = PortChange::hand_out(Arc::clone(inner), spec);
        let attached = self.execute_attach(&mut change, String::new()).await;
        let lease = attached.map_err(|error| self.as_ports_max(error))?;
        tracing::info!(name = %lease.name, network = %lease.network, "handed out to a runtime");
        inner.feed.send(EventKind::Attach, &lease.key(), lease.addresses());
        Ok(lease)
    }

    /// The network with a label.
    pub(crate) fn network_labelled(&self, label: &Label) -> Option<NetworkName> {
        self.0.model().network_labelled(label.key, &label.text)
    }

    /// The endpoint with a label, and the name of its TAP in the host's namespace.
    pub(crate) fn handed_out(&self, label: &Label) -> Option<(Lease, String)> {
        let model = self.0.model();
        let key = model.endpoint_labelled(label.key, &label.text)?;
        let endpoint = model.active_endpoint(&key).ok()?;
        Some((endpoint.lease.clone(), endpoint.runtime.as_ref()?.tap.clone()))
    }

    /// An endpoint of a runtime for which `is_it` holds.
    pub(crate) fn find_handed_out(
        &self,
        key: &'static str,
        is_it: impl Fn(&Endpoint) -> bool,
    ) -> Option<HandedOut> {
        let model = self.0.model();
        let (found, binding) = model.active().find(|(it, _)| it.runtime.is_some() && is_it(it))?;
        HandedOut::new(found, binding, key)
    }

    /// The endpoints of a network that have a label.
    pub(crate) fn handed_out_on(&self, network: &NetworkName, key: &'static str) -> Vec<HandedOut> {
        let model = self.0.model();
        let of_it =
            model.active().filter(|(it, _)| it.lease.network == *network && it.runtime.is_some());
        of_it.filter_map(|(found, binding)| HandedOut::new(found, binding, key)).collect()
    }

    /// Networks with a label, each with its text.
    pub(crate) fn networks_with(&self, key: &str) -> Vec<(NetworkName, String)> {
        let model = self.0.model();
        let found = model.networks().filter_map(|it| Some((&it.spec, it.spec.labels.get(key)?)));
        found.map(|(spec, text)| (spec.name.clone(), text.clone())).collect()
    }

    /// A label of a network.
    pub(crate) fn network_label(&self, network: &NetworkName, key: &str) -> Option<String> {
        self.0.model().network_named(network)?.spec.labels.get(key).cloned()
    }

    /// Removes labels of a network.
    pub(crate) async fn remove_network_labels(
        &self,
        network: &NetworkName,
        keys: &[&str],
    ) -> Result<(), ControlError> {
        self.0.model().remove_network_labels(network, keys);
        self.0.save().await
    }

    /// Subnets of a network, IPv4 first.
    pub(crate) fn subnets(&self, network: &NetworkName) -> Result<[IpNet; 2], ControlError> {
        Ok(self.0.model().network(Some(network.as_str()))?.spec.subnets())
    }

    /// The key of an endpoint now: its name may change at any time.
    pub(super) fn key_of(&self, label: &Label) -> Result<EndpointKey, ControlError> {
        let found = self.0.model().endpoint_labelled(label.key, &label.text);
        found.ok_or_else(|| ControlError::UnknownPort(label.text.clone()))
    }

    /// Notes where the runtime keeps the namespace of an endpoint.
    pub(crate) async fn join_sandbox(
        &self,
        label: &Label,
        sandbox: PathBuf,
    ) -> Result<(), ControlError> {
        self.0.check_not_ending()?;
        let key = self.key_of(label)?;
        if !self.0.model().change_runtime(&key, |state| state.sandbox = Some(sandbox)) {
            return Err(ControlError::UnknownPort(key.to_string()));
        }
        self.0.save().await
    }

    /// Notes that the runtime takes the TAP out of the container's namespace.
    pub(crate) async fn leave_sandbox(&self, label: &Label) -> Result<(), ControlError> {
        let Ok(key) = self.key_of(label) else { return Ok(()) };
        self.0.leave_cut_through(&key).await;
        self.0.model().leave_netns(&key);
        self.0.commit_snapshot();
        self.0.save().await
    }

    /// Notes whether the container's default route leads to an endpoint.
    pub(crate) async fn set_default_route(
        &self,
        label: &Label,
        gives: bool,
    ) -> Result<(), ControlError> {
        let Ok(key) = self.key_of(label) else { return Ok(()) };
        self.0.model().change_runtime(&key, |state| state.gives_default_route = gives);
        self.0.save().await
    }

    /// Removes an endpoint. One that is gone is none to remove.
    pub(crate) async fn remove_handed_out(&self, label: &Label) -> Result<(), ControlError> {
        while let Ok(key) = self.key_of(label) {
            let (control, was) = (self.clone(), key.clone());
            match task(async move { control.detach_endpoint(key).await }).await? {
                // It was renamed just now.
                Err(ControlError::UnknownPort(_))
                    if self.key_of(label).is_ok_and(|it| it != was) => {}
                // The end of its namespace was faster.
                Err(ControlError::UnknownPort(_)) => return Ok(()),
                // Another request is at it: its end is this one's, too.
                Err(ControlError::Busy(..)) => self.0.wait_while_changing(&was).await?,
                result => return result,
            }
        }
        Ok(())
    }

    /// Follows a TAP that has left the host's namespace.
    pub(crate) async fn note_move(&self, tap: &str) {
        let Some(key) = self.0.model().runtime_endpoint_of(tap) else { return };
        let deadline = Instant::now() + MOVE_WAIT_MAX;
        let mut pause = MOVE_POLL;
        let mut reason = String::new();
        while Instant::now() < deadline {
            match self.find_inside(tap).await {
                Ok(Found::Inside) => return self.save_soon(),
                Ok(Found::Gone) => return,
                Ok(Found::Moved) => {}
                Err(error) => reason = error.to_string(),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(200));
        }
        tracing::warn!(name = %key, reason,
            "its interface is not found in its namespace: a restart of the switch will not bring it back");
    }

    /// Notes the interface in the container's namespace, once it is up.
    async fn find_inside(&self, tap: &str) -> Result<Found, ControlError> {
        let inner = &self.0;
        let (sandbox, mac, queues) = {
            let model = inner.model();
            let Some(key) = model.runtime_endpoint_of(tap) else { return Ok(Found::Gone) };
            let endpoint = model.active_endpoint(&key)?;
            let sandbox = endpoint.runtime.as_ref().and_then(|state| state.sandbox.clone());
            let Some(sandbox) = sandbox else { return Ok(Found::Gone) };
            let queues = endpoint.binding.as_ref().map_or(1, |binding| binding.queues);
            (sandbox, endpoint.lease.mac, queues)
        };
        let path = sandbox.clone();
        let netns = blocking(move || netns::open_path(&path)).await??;
        let id = netns.id;
        let inside = container::find_interface(netns, mac, queues).await?;
        let record = NetnsRecord {
            reference: NetnsRef::Path(sandbox.clone()),
            path: sandbox,
            id,
            cookie: inside.cookie,
            boot_id: inner.boot_id.clone(),
        };
        let mut model = inner.model();
        if !model.enter_netns(tap, record, inside) {
            return Ok(Found::Moved);
        }
        // With the namespace, in which connections may be cut through.
        inner.publish_snapshot(&mut model);
        Ok(Found::Inside)
    }

    /// TAPs of endpoints that a container has, or is about to have, without a known interface in it.
    pub(crate) fn unfollowed(&self) -> Vec<String> {
        self.0.model().unfollowed_taps()
    }

    /// Writes the document without anybody's wait.
    fn save_soon(&self) {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Err(error) = inner.save().await {
                tracing::error!(%error, "the document is not written");
            }
        });
    }
}
