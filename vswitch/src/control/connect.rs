//! Containers on several networks: connect, disconnect, and which network gives the default route.
//!
//! A container is the attachments of one name, each on a network of its own, all in one namespace. One of
//! them is the *gateway endpoint*: its network gives the default route and has new publications. When it is
//! disconnected, the next one takes over route ([`Control::route_container`]) and publications
//! ([`super::handover`]).

use std::sync::Arc;

use vswitch_api::event::EventKind;
use vswitch_api::network::EndpointRequest;
use vswitch_api::port::PortDetail;

use super::error::ControlError;
use super::model::{AttachSpec, EndpointKey};
use super::name::Name;
use super::port::PortChange;
use super::task::{blocking, task};
use super::unicast_mac;
use super::{Control, NetworkError};
use crate::host::container;
use crate::host::netns;

impl Control {
    /// Connects a running container to a further network. The answer comes when frames pass.
    pub(crate) async fn connect(
        &self,
        network: &str,
        request: EndpointRequest,
    ) -> Result<PortDetail, ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let control = self.clone();
        let connected = task(async move {
            let name: Name = request.name.parse()?;
            let inner = &control.0;
            let record = inner.model().namespace_of(&name)?;
            let container = inner.model().container_named(&name).cloned();
            let key = EndpointKey { name: name.clone(), network };
            if inner.model().active_endpoint(&key).is_ok() {
                let (name, network) = (key.name.to_string(), key.network.to_string());
                return Err(NetworkError::Connected { name, network }.into());
            }
            let aliases = request.aliases.iter().map(|alias| Name::alias(alias));
            let spec = AttachSpec {
                mac: request.mac.map(unicast_mac).transpose()?,
                ipv4: request.ipv4,
                ipv6: request.ipv6,
                family: request.family,
                further_addresses: request.further_addresses,
                settings: inner.model().default_settings(&key.network),
                aliases: aliases.collect::<Result<_, _>>()?,
                configure: request.configure,
                gw_priority: request.gw_priority,
                container: container.clone(),
                ..AttachSpec::new(key)
            };
            let ifname = request.ifname.as_deref().map(str::parse).transpose();
            let ifname = ifname.map_err(ControlError::Ifname)?;
            let described = netns::describe(&record.reference);
            let mut change = PortChange::join(Arc::clone(inner), spec, ifname, record);
            let attached = control.execute_attach(&mut change, described.clone()).await;
            let lease = attached.map_err(|error| control.as_ports_max(error))?;
            tracing::info!(%name, network = %lease.network, "connected");
            inner.feed.send(EventKind::Attach, &lease.key(), lease.addresses());
            if let Some(container) = container {
                control.follow_container(&container).await;
            }
            control.attached(&lease.key(), described).await
        });
        connected.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Disconnects a container from a network. Its publications go to the next gateway endpoint.
    pub(crate) async fn disconnect(&self, network: &str, name: &str) -> Result<(), ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let key = EndpointKey { name: name.parse()?, network };
        if matches!(self.0.model().active_endpoint(&key), Err(ControlError::UnknownPort(_))) {
            let (name, network) = (key.name.to_string(), key.network.to_string());
            return Err(NetworkError::NotConnected { name, network }.into());
        }
        let control = self.clone();
        task(async move { control.detach_endpoint(key).await }).await?
    }

    /// Brings the routes in a container's namespace in line with its networks, where it has, or had, several.
    pub(super) async fn route_container(&self, name: &Name) {
        self.advertise_container(name).await;
        let _routing = self.0.routing.lock().await;
        let Some((record, interfaces)) = self.0.model().container_routes(name) else { return };
        let path = record.path.clone();
        let opened = blocking(move || netns::open_path(&path)).await;
        let result = match opened {
            Ok(Ok(netns)) if netns.id == record.id => container::route(netns, interfaces).await,
            // The namespace is gone, and its routes with it.
            Ok(_) => return,
            Err(error) => return tracing::warn!(%name, %error, "its routes stay as they are"),
        };
        if let Err(error) = result {
            tracing::warn!(%name, %error, "its routes stay as they are");
        }
    }
}
