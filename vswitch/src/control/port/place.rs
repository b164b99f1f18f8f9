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
const LEFT_OVER_GONE_MAX: Duration = Duration::from_secs(3);
const LEFT_OVER_POLL: Duration = Duration::from_millis(25);

/// Who says where.
#[derive(Debug)]
pub(super) enum Source {
    /// Somebody asks, perhaps for an interface name too.
    Asked(NetnsRef, Option<IfName>),
    /// The document has it; it must be the very same namespace.
    Kept(NetnsRecord, IfName),
}

/// A namespace that is open, and the name that is set aside in it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) netns: OpenNetns,
    pub(super) record: NetnsRecord,
    pub(super) ifname: String,
}

/// Finds the place, and notes it in the model for the port of that name.
pub(super) async fn locate(
    inner: &Inner,
    port: &Name,
    source: Source,
) -> Result<Place, ControlError> {
    match source {
        Source::Asked(reference, ifname) => {
            let opening = reference.clone();
            let netns = blocking(move || netns::open(&opening)).await??;
            let look = container::look(netns.clone()).await?;
            let record = NetnsRecord {
                reference,
                path: netns.path.clone(),
                id: netns.id,
                cookie: look.cookie,
                boot_id: inner.boot_id.clone(),
            };
            let ifname = ifname.as_ref().map(IfName::as_str);
            let ifname = inner.model().place(port, &record, ifname, &look.ifnames)?;
            Ok(Place { netns, record, ifname })
        }
        Source::Kept(record, ifname) => {
            let netns = open_again(inner, &record).await?;
            let record = NetnsRecord { path: netns.path.clone(), ..record };
            let ifname = come_back(inner, port, &netns, &record, ifname.as_str()).await?;
            Ok(Place { netns, record, ifname })
        }
    }
}

/// Opens the namespace of the document, by whatever path leads there now.
async fn open_again(inner: &Inner, kept: &NetnsRecord) -> Result<OpenNetns, ControlError> {
    let gone = NetnsError::Gone(netns::describe(&kept.reference));
    if kept.boot_id != inner.boot_id {
        return Err(gone.into());
    }
    let (id, known) = (kept.id, kept.path.clone());
    let found =
        blocking(move || netns::find(id, &known).map(|path| netns::open_path(&path)).transpose());
    match found.await?? {
        Some(netns) if netns.id == kept.id => Ok(netns),
        _ => Err(gone.into()),
    }
}

/// Sets the former interface name aside, once it is free.
async fn come_back(
    inner: &Inner,
    port: &Name,
    netns: &OpenNetns,
    record: &NetnsRecord,
    ifname: &str,
) -> Result<String, ControlError> {
    let mut waited = Duration::ZERO;
    loop {
        let look = container::look(netns.clone()).await?;
        if look.cookie != record.cookie {
            return Err(NetnsError::Gone(netns::describe(&record.reference)).into());
        }
        match inner.model().place(port, record, Some(ifname), &look.ifnames) {
            Err(ControlError::Host(HostError::IfnameTaken(_))) if waited < LEFT_OVER_GONE_MAX => {}
            placed => return placed,
        }
        tokio::time::sleep(LEFT_OVER_POLL).await;
        waited += LEFT_OVER_POLL;
    }
}
