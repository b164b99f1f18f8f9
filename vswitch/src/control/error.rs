//! Errors of control. Each is one line with the offending value.

use std::io;
use std::net::IpAddr;

use fastpath::limits::PORTS_MAX;
use vswitch_api::address::Family;
use vswitch_api::port_settings::limits::MacCount;
use vswitch_api::publish::PortSpec;
use wire::MacAddr;

use super::ipam::PoolError;
use super::limits::{
    ALIASES_MAX, ALLOW_FROM_MAX, EVENT_CLIENTS_MAX, FURTHER_ADDRESSES_MAX, LABELS_BYTES_MAX,
    LABELS_MAX, PUBLICATIONS_MAX, RESERVATIONS_MAX, STATICS_MAX, WAITING_MAX,
};
use super::name::NameError;
use super::network::NetworkError;
use super::overlay::OverlayError;
use super::store::StoreError;
use crate::config::ValueError;
use crate::dataplane::DataplaneError;
use crate::dns::DnsError;
use crate::engine::EngineError;
use crate::host::HostError;

/// An error of control.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The text cannot be a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An attachment has the name.
    #[error("there is already an attachment named {0}")]
    NameTaken(String),
    /// A host port or an uplink has the name.
    #[error("{0} is the name of a host port or an uplink")]
    NameOfBridge(String),
    /// DNS refuses.
    #[error(transparent)]
    Dns(#[from] DnsError),
    /// An overlay network or a peer is refused.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The registry refuses, or is away.
    #[error(transparent)]
    Registry(#[from] crate::overlay::NodeError),
    /// No such attachment.
    #[error("there is no attachment named {0}")]
    UnknownPort(String),
    /// Its container has ended.
    #[error("{0} waits for its container, which does not run")]
    Waiting(String),
    /// It is not attached again yet.
    #[error("{name} is not attached again yet: {reason}")]
    Faulty {
        /// Its name.
        name: String,
        /// The last failure.
        reason: String,
    },
    /// Too many attachments wait.
    #[error("{WAITING_MAX} attachments wait for their containers already, so {0} does not")]
    WaitingMax(String),
    /// A container engine refuses, or its container cannot be attached.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// No such network.
    #[error("there is no network named {0}")]
    UnknownNetwork(String),
    /// A network has the name.
    #[error("there is already a network named {0}")]
    NetworkExists(String),
    /// A network cannot be created, removed or joined.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Endpoints of several networks have the name.
    #[error("{name} is attached to several networks: write {}", full_names.join(" or "))]
    AmbiguousName {
        /// The name.
        name: String,
        /// Its names with a network.
        full_names: Vec<String>,
    },
    /// The address is not reserved.
    #[error("network {network} has no reservation of {address}")]
    NotReserved {
        /// Name of the network.
        network: String,
        /// The address.
        address: IpAddr,
    },
    /// Too many addresses.
    #[error("{0} would have more than {FURTHER_ADDRESSES_MAX} further addresses")]
    AddressesMax(String),
    /// Too many aliases.
    #[error("{0} would have more than {ALIASES_MAX} aliases")]
    AliasesMax(String),
    /// Too many labels, or too long ones.
    #[error("{0} would have more than {LABELS_MAX} labels, or {LABELS_BYTES_MAX} bytes of them")]
    LabelsMax(String),
    /// Another change of the attachment runs.
    #[error("{0} is being {1}")]
    Busy(String, &'static str),
    /// The pool refuses the address.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// An endpoint has the address.
    #[error("address {address} is in use by {owner}")]
    AddressInUse {
        /// The address.
        address: IpAddr,
        /// Name of its owner, or the words for a reservation.
        owner: String,
    },
    /// The MAC address is a group address, or zero.
    #[error("{0} cannot be the MAC address of an interface: it is {1}")]
    MacNotUnicast(MacAddr, &'static str),
    /// An interface of the network has the MAC address.
    #[error("MAC address {mac} is in use by {owner}")]
    MacInUse {
        /// The address.
        mac: MacAddr,
        /// Name of its owner.
        owner: String,
    },
    /// The text is not an interface name.
    #[error(transparent)]
    Ifname(ValueError),
    /// The guard names an address of another port.
    #[error("address {address} is not one of {port}, and a guard permits its port's own only")]
    GuardAddress {
        /// The address.
        address: IpAddr,
        /// The port.
        port: String,
    },
    /// The request excludes the family of one of its own addresses.
    #[error("address {address} is not of the requested family, {family}")]
    OtherFamily {
        /// The address.
        address: IpAddr,
        /// The only family.
        family: Family,
    },
    /// A host port does not have the setting.
    #[error("{bridge} is a host port, which has no {what}")]
    HostSettings {
        /// Its name.
        bridge: String,
        /// The setting.
        what: &'static str,
    },
    /// The number is not a VLAN id.
    #[error("{0} is not a VLAN id: 0 for untagged, or 1 to 4094")]
    Vlan(u16),
    /// The network has no such static entry.
    #[error("network {network} has no static entry for {mac} in VLAN {vlan}")]
    NoStatic {
        /// Name of the network.
        network: String,
        /// The address.
        mac: MacAddr,
        /// VLAN id.
        vlan: u16,
    },
    /// The limit of MAC addresses is below the number in use.
    #[error("{port} has {in_use} MAC addresses in use, more than the limit of {limit}")]
    MacsInUse {
        /// Name of the port.
        port: String,
        /// The requested limit.
        limit: MacCount,
        /// Learnt addresses of the port.
        in_use: usize,
    },
    /// All ports are in use; the switch or the limit of open files permits no more.
    #[error("{}", ports_max(*.0))]
    PortsMax(usize),
    /// All static entries are in use.
    #[error("the network has all of its {STATICS_MAX} static entries in use")]
    StaticsMax,
    /// Too many reserved addresses.
    #[error("the network has all of its {RESERVATIONS_MAX} reservations in use")]
    ReservationsMax,
    /// The host refuses the uplink.
    #[error("uplink unavailable: {0}")]
    UplinkUnavailable(String),
    /// Another program on the host has the port.
    #[error("{0}")]
    HostPortTaken(String),
    /// The address is not the host's.
    #[error("{0} is no address of this host, so nothing can be published at it")]
    NotOurAddress(IpAddr),
    /// More ports with other numbers in the container than the kernel can translate.
    #[error("{0}")]
    Shifted(String),
    /// The host refuses a publication.
    #[error("cannot publish: {0}")]
    PublishFailed(String),
    /// The network is internal.
    #[error("{0} has no uplink, so nothing can be published on it")]
    NoUplink(String),
    /// The kernel cannot restrict the senders.
    #[error(
        "{0} cannot be published for some senders only: --uplink kernel has no rules of senders"
    )]
    AllowFromKernel(PortSpec),
    /// Another attachment has the host's ports.
    #[error("{ports} cannot be published: {owner} has published a port of it already")]
    PortPublished {
        /// The requested ports.
        ports: PortSpec,
        /// Name of the attachment that has the port.
        owner: String,
    },
    /// The attachment has no such publication.
    #[error("{port} does not publish {}", ports.to_string().trim_start_matches("0:"))]
    NotPublished {
        /// The named ports.
        ports: PortSpec,
        /// Name of the attachment.
        port: String,
    },
    /// No free host ports were found.
    #[error("no free ports were found for {0}")]
    NoFreePort(PortSpec),
    /// The attachment has too many publications.
    #[error("{0} would have more than {PUBLICATIONS_MAX} publications")]
    PublicationsMax(String),
    /// The publication has too many prefixes.
    #[error("{0} would be open to more than {ALLOW_FROM_MAX} prefixes")]
    AllowFromMax(PortSpec),
    /// Too many clients listen to events.
    #[error("{EVENT_CLIENTS_MAX} clients listen to events already")]
    EventClientsMax,
    /// The daemon ends.
    #[error("the switch is shutting down")]
    Ending,
    /// The kernel refuses random numbers.
    #[error("the kernel gives no random numbers: {0}")]
    Random(String),
    /// The host refused the change.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The workers refused the change.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The document cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task of the daemon panicked.
    #[error("an operation of the switch failed unexpectedly: {0}")]
    Task(String),
}

impl ControlError {
    /// The process that has the state directory locked.
    pub(super) fn owner_of_lock(&self) -> Option<u32> {
        match self {
            Self::Store(StoreError::Locked { owner, .. }) => owner.parse().ok(),
            _ => None,
        }
    }

    /// Whether the limit of open files caused the error.
    pub(super) fn is_for_open_files(&self) -> bool {
        self.is_errno(libc::EMFILE)
    }

    /// Whether the kernel's error number caused the error.
    pub(crate) fn is_errno(&self, number: i32) -> bool {
        let mut causes = std::iter::successors(std::error::Error::source(self), |e| e.source());
        causes.any(|cause| {
            let error = cause.downcast_ref::<io::Error>();
            error.and_then(io::Error::raw_os_error) == Some(number)
        })
    }
}

/// The message that names the limit of ports. The first host port is one more.
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
