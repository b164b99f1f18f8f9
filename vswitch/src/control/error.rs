//! Why control refused or failed. Each error is one line with the offending value.

use std::io;
use std::net::IpAddr;

use fastpath::limits::PORTS_MAX;
use vswitch_api::port_settings::limits::MacCount;
use vswitch_api::publish::PortSpec;
use wire::MacAddr;

use super::ipam::PoolError;
use super::limits::{ALIASES_MAX, ALLOW_FROM_MAX, LABELS_BYTES_MAX, LABELS_MAX, PUBLICATIONS_MAX};
use super::name::NameError;
use super::store::StoreError;
use crate::config::ValueError;
use crate::dataplane::DataplaneError;
use crate::host::HostError;

/// Why control refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Not a name for an attachment.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A name that an attachment has.
    #[error("there is already an attachment named {0}")]
    NameTaken(String),
    /// The name of the host's own port.
    #[error("{0} is the name of the bridge")]
    NameOfBridge(String),
    /// No such attachment.
    #[error("there is no attachment named {0}")]
    UnknownPort(String),
    /// No such network.
    #[error("there is no network named {0}")]
    UnknownNetwork(String),
    /// A network has the name.
    #[error("there is already a network named {0}")]
    NetworkExists(String),
    /// A network with endpoints cannot be removed.
    #[error("network {0} is in use by {1}; detach it first")]
    NetworkInUse(String, String),
    /// Endpoints of several networks have the name.
    #[error("{0} is attached to several networks; name the network")]
    AmbiguousName(String),
    /// The address is not reserved.
    #[error("network {network} has no reservation of {address}")]
    NotReserved {
        /// Name of the network.
        network: String,
        /// The address.
        address: IpAddr,
    },
    /// Too many aliases.
    #[error("{0} would have more than {ALIASES_MAX} aliases")]
    AliasesMax(String),
    /// Too many labels, or too long ones.
    #[error("{0} would have more than {LABELS_MAX} labels, or {LABELS_BYTES_MAX} bytes of them")]
    LabelsMax(String),
    /// It is being attached or detached at this moment.
    #[error("{0} is being {1}")]
    Busy(String, &'static str),
    /// An address that cannot be had.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// An address that somebody has.
    #[error("address {address} is in use by {owner}")]
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// Who has it.
        owner: String,
    },
    /// A group address, or zero.
    #[error("{0} cannot be the MAC address of an interface: it is {1}")]
    MacNotUnicast(MacAddr, &'static str),
    /// A MAC address that somebody has.
    #[error("MAC address {mac} is in use by {owner}")]
    MacInUse {
        /// The address.
        mac: MacAddr,
        /// Who has it.
        owner: String,
    },
    /// Not an interface name.
    #[error(transparent)]
    Ifname(ValueError),
    /// A guard for an address of somebody else.
    #[error("address {address} is not one of {port}, and a guard lets through its port's own only")]
    GuardAddress {
        /// The address.
        address: IpAddr,
        /// The port.
        port: String,
    },
    /// A setting that the host's own port does not have.
    #[error("{bridge} is the host's own port, which has no {what}")]
    HostSettings {
        /// Its name.
        bridge: String,
        /// The setting.
        what: &'static str,
    },
    /// Not a VLAN.
    #[error("{0} is not a VLAN id: 0 for untagged, or 1 to 4094")]
    Vlan(u16),
    /// No static entry for that address.
    #[error("network {network} has no static entry for {mac} in VLAN {vlan}")]
    NoStatic {
        /// Name of the network.
        network: String,
        /// The address.
        mac: MacAddr,
        /// VLAN id.
        vlan: u16,
    },
    /// Fewer MAC addresses than the port has.
    #[error("{port} has {in_use} MAC addresses in use: a limit of {limit} is below that")]
    MacsInUse {
        /// Name of the port.
        port: String,
        /// The limit asked for.
        limit: MacCount,
        /// Addresses that are known behind it.
        in_use: usize,
    },
    /// All ports are in use, as many as the switch or the limit of open files allows.
    #[error("{}", ports_max(*.0))]
    PortsMax(usize),
    /// All static entries are in use.
    #[error("the network has all of its {0} static entries in use")]
    StaticsMax(usize),
    /// The host refuses the way out.
    #[error("uplink unavailable: {0}")]
    UplinkUnavailable(String),
    /// Something else on the host has a port.
    #[error("{0}")]
    HostPortTaken(String),
    /// Nobody could connect to it.
    #[error("{0} is no address of this host, so nothing can be published at it")]
    NotOurAddress(IpAddr),
    /// More ports with other numbers in the container than the kernel can translate.
    #[error("{0}")]
    Shifted(String),
    /// The host does not hand ports over.
    #[error("cannot publish: {0}")]
    PublishFailed(String),
    /// An internal network.
    #[error("{0} has no uplink, so nothing can be published on it")]
    NoUplink(String),
    /// Senders that the kernel would not be told of.
    #[error(
        "{0} cannot be published for some senders only: with --uplink kernel the kernel hands over"
    )]
    AllowFromKernel(PortSpec),
    /// The host's ports belong to somebody.
    #[error("{ports} cannot be published: {owner} has published a port of it already")]
    PortPublished {
        /// What was asked for.
        ports: PortSpec,
        /// Name of the attachment that has the port.
        owner: String,
    },
    /// Nothing to withdraw.
    #[error("{port} does not publish {ports}")]
    NotPublished {
        /// What was named.
        ports: PortSpec,
        /// Name of the attachment.
        port: String,
    },
    /// Nothing was found for ports that nobody named.
    #[error("no free ports were found for {0}")]
    NoFreePort(PortSpec),
    /// An attachment with too many publications.
    #[error("{0} would have more than {PUBLICATIONS_MAX} publications")]
    PublicationsMax(String),
    /// A publication for too many.
    #[error("{0} would be open to more than {ALLOW_FROM_MAX} prefixes")]
    AllowFromMax(PortSpec),
    /// The daemon is about to end.
    #[error("the switch is shutting down")]
    Ending,
    /// No random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(String),
    /// The host refused.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The workers refused.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The desired state cannot be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the daemon died.
    #[error("an operation of the switch failed unexpectedly: {0}")]
    Task(String),
}

impl ControlError {
    /// Whether the process has as many files open as it may.
    pub(super) fn is_for_open_files(&self) -> bool {
        let mut causes = std::iter::successors(std::error::Error::source(self), |e| e.source());
        causes.any(|cause| {
            let error = cause.downcast_ref::<io::Error>();
            error.and_then(io::Error::raw_os_error) == Some(libc::EMFILE)
        })
    }
}

/// Which limit it is that makes it so many ports. The host's own is one more.
fn ports_max(ports: usize) -> String {
    let limit = if ports + 1 < PORTS_MAX {
        "as many as the limit of open files lets (RLIMIT_NOFILE)".to_owned()
    } else {
        format!("PORTS_MAX is {PORTS_MAX} with the host's own")
    };
    format!("the switch has all of its {ports} ports in use: {limit}")
}

impl From<crate::host::NetnsError> for ControlError {
    fn from(error: crate::host::NetnsError) -> Self {
        Self::Host(error.into())
    }
}
