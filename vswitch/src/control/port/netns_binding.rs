//! Binding of an endpoint: its namespace, and the interface's name in it.

use tokio::time::Instant;
use vswitch_api::port::NetnsRef;

use super::super::error::ControlError;
use super::super::inner::Inner;
use super::super::limits::DETACH_WAIT_MAX;
use super::super::model::EndpointKey;
use super::super::store::NetnsRecord;
use super::super::task::blocking;
use crate::config::IfName;
use crate::host::container;
use crate::host::netns::{self, OpenNetns};
use crate::host::{HostError, NetnsError};

/// The source of a binding.
#[derive(Debug, Clone)]
pub(in crate::control) enum Source {
    /// A request, perhaps with an interface name.
    Requested(NetnsRef, Option<IfName>),
    /// The container of an engine, as its first process is called, perhaps with an interface name.
    Found(NetnsRef, OpenNetns, Option<IfName>),
    /// A new run of a container, with the former name of its interface.
    Resumed(NetnsRef, OpenNetns, Option<String>),
    /// A container that is on another network, perhaps with an interface name.
    Joined(NetnsRecord, Option<IfName>),
    /// The document; the namespace must be the very same.
    Stored(NetnsRecord, IfName),
}

/// An open namespace, and the interface name that is reserved in it.
#[derive(Debug)]
pub(super) struct NetnsBinding {
    pub(super) netns: OpenNetns,
    pub(super) record: NetnsRecord,
    pub(super) ifname: String,
}

/// Opens the namespace, and binds the endpoint to it in the model.
pub(super) async fn locate(
    inner: &Inner,
    key: &EndpointKey,
    source: Source,
) -> Result<NetnsBinding, ControlError> {
    match source {
        Source::Requested(reference, ifname) => {
            let opening = reference.clone();
            let netns = blocking(move || netns::open(&opening)).await??;
            bind(inner, key, reference, netns, ifname.as_ref().map(IfName::as_str)).await
        }
        Source::Found(reference, netns, ifname) => {
            bind(inner, key, reference, netns, ifname.as_ref().map(IfName::as_str)).await
        }
        Source::Resumed(reference, netns, ifname) => {
            let (again, from) = (reference.clone(), netns.clone());
            match bind(inner, key, reference, netns, ifname.as_deref()).await {
                // The engine has given the name to an interface of its own.
                Err(ControlError::Host(HostError::IfnameTaken(_))) => {
                    bind(inner, key, again, from, None).await
                }
                result => result,
            }
        }
        Source::Joined(record, ifname) => {
            let netns = reopen(inner, &record).await?;
            let info = container::inspect(netns.clone()).await?;
            let record = NetnsRecord { path: netns.path.clone(), ..record };
            let ifname = ifname.as_ref().map(IfName::as_str);
            let ifname = inner.model().bind_netns(key, &record, ifname, &info.ifnames)?;
            Ok(NetnsBinding { netns, record, ifname })
        }
        Source::Stored(record, ifname) => {
            let netns = reopen(inner, &record).await?;
            let record = NetnsRecord { path: netns.path.clone(), ..record };
            let ifname = reclaim_ifname(inner, key, &netns, &record, ifname.as_str()).await?;
            Ok(NetnsBinding { netns, record, ifname })
        }
    }
}

/// Binds the endpoint to an open namespace.
async fn bind(
    inner: &Inner,
    key: &EndpointKey,
    reference: NetnsRef,
    netns: OpenNetns,
    ifname: Option<&str>,
) -> Result<NetnsBinding, ControlError> {
    let deadline = Instant::now() + DETACH_WAIT_MAX;
    loop {
        let settled = inner.settled.notified();
        let info = container::inspect(netns.clone()).await?;
        let record = NetnsRecord {
            reference: reference.clone(),
            path: netns.path.clone(),
            id: netns.id,
            cookie: info.cookie,
            boot_id: inner.boot_id.clone(),
        };
        let bound = inner.model().bind_netns(key, &record, ifname, &info.ifnames);
        match bound {
            Ok(ifname) => return Ok(NetnsBinding { netns, record, ifname }),
            Err(error) if inner.wait_for_owner(&error, settled, deadline).await? => {}
            Err(error) => return Err(error),
        }
    }
}

/// Opens the namespace of the document, by a path that leads there now.
async fn reopen(inner: &Inner, stored: &NetnsRecord) -> Result<OpenNetns, ControlError> {
    let gone = NetnsError::Gone(netns::describe(&stored.reference));
    if stored.boot_id != inner.boot_id {
        return Err(gone.into());
    }
    let (id, known) = (stored.id, stored.path.clone());
    let found =
        blocking(move || netns::find(id, &known)?.map(|path| netns::open_path(&path)).transpose());
    match found.await?? {
        Some(netns) if netns.id == stored.id => Ok(netns),
        _ => Err(gone.into()),
    }
}

/// Reserves the former interface name. An interface there with the endpoint's MAC address is that of a killed switch,
/// which the kernel removes with a delay.
async fn reclaim_ifname(
    inner: &Inner,
    key: &EndpointKey,
    netns: &OpenNetns,
    record: &NetnsRecord,
    ifname: &str,
) -> Result<String, ControlError> {
    let info = container::inspect(netns.clone()).await?;
    if info.cookie != record.cookie {
        return Err(NetnsError::Gone(netns::describe(&record.reference)).into());
    }
    let mut model = inner.model();
    let bound = model.bind_netns(key, record, Some(ifname), &info.ifnames);
    match bound {
        Err(ControlError::Host(HostError::IfnameTaken(_)))
            if info.macs.get(ifname).copied() == model.mac_of(key) =>
        {
            Err(HostError::LeftOver(ifname.to_owned()).into())
        }
        result => result,
    }
}
