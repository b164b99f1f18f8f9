//! Where a port goes: its namespace, and the interface's name in it.

use std::time::Duration;

use vswitch_api::port::NetnsRef;

use super::super::error::ControlError;
use super::super::inner::Inner;
use super::super::name::Name;
use super::super::store::NetnsRecord;
use super::blocking;
use crate::config::IfName;
use crate::host::container;
use crate::host::netns::{self, OpenNetns};
use crate::host::{HostError, NetnsError};

/// After a crash the interface of before may still be inside for a moment.
const STALE_INTERFACE_WAIT_MAX: Duration = Duration::from_secs(3);
const STALE_INTERFACE_POLL: Duration = Duration::from_millis(25);

/// Who says where.
#[derive(Debug)]
pub(super) enum Source {
    /// Somebody asks, perhaps for an interface name too.
    Requested(NetnsRef, Option<IfName>),
    /// The document has it; it must be the very same namespace.
    Stored(NetnsRecord, IfName),
}

/// A namespace that is open, and the name that is set aside in it.
#[derive(Debug)]
pub(super) struct NetnsBinding {
    pub(super) netns: OpenNetns,
    pub(super) record: NetnsRecord,
    pub(super) ifname: String,
}

/// Finds the place, and notes it in the model for the port of that name.
pub(super) async fn locate(
    inner: &Inner,
    port: &Name,
    source: Source,
) -> Result<NetnsBinding, ControlError> {
    match source {
        Source::Requested(reference, ifname) => {
            let opening = reference.clone();
            let netns = blocking(move || netns::open(&opening)).await??;
            let info = container::inspect(netns.clone()).await?;
            let record = NetnsRecord {
                reference,
                path: netns.path.clone(),
                id: netns.id,
                cookie: info.cookie,
                boot_id: inner.boot_id.clone(),
            };
            let ifname = ifname.as_ref().map(IfName::as_str);
            let ifname = inner.model().bind_interface(port, &record, ifname, &info.ifnames)?;
            Ok(NetnsBinding { netns, record, ifname })
        }
        Source::Stored(record, ifname) => {
            let netns = reopen(inner, &record).await?;
            let record = NetnsRecord { path: netns.path.clone(), ..record };
            let ifname = reclaim_ifname(inner, port, &netns, &record, ifname.as_str()).await?;
            Ok(NetnsBinding { netns, record, ifname })
        }
    }
}

/// Opens the namespace of the document, by whatever path leads there now.
async fn reopen(inner: &Inner, stored: &NetnsRecord) -> Result<OpenNetns, ControlError> {
    let gone = NetnsError::Gone(netns::describe(&stored.reference));
    if stored.boot_id != inner.boot_id {
        return Err(gone.into());
    }
    let (id, known) = (stored.id, stored.path.clone());
    let found =
        blocking(move || netns::find(id, &known).map(|path| netns::open_path(&path)).transpose());
    match found.await?? {
        Some(netns) if netns.id == stored.id => Ok(netns),
        _ => Err(gone.into()),
    }
}

/// Sets the former interface name aside, once it is free.
async fn reclaim_ifname(
    inner: &Inner,
    port: &Name,
    netns: &OpenNetns,
    record: &NetnsRecord,
    ifname: &str,
) -> Result<String, ControlError> {
    let mut waited = Duration::ZERO;
    loop {
        let info = container::inspect(netns.clone()).await?;
        if info.cookie != record.cookie {
            return Err(NetnsError::Gone(netns::describe(&record.reference)).into());
        }
        match inner.model().bind_interface(port, record, Some(ifname), &info.ifnames) {
            Err(ControlError::Host(HostError::IfnameTaken(_)))
                if waited < STALE_INTERFACE_WAIT_MAX => {}
            result => return result,
        }
        tokio::time::sleep(STALE_INTERFACE_POLL).await;
        waited += STALE_INTERFACE_POLL;
    }
}
