//! Errors of networks. Each is one line with the offending value.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::config::ValueError;
use crate::control::limits::{ADDRESS_POOLS_MAX, REACHABLE_FROM_MAX};
use crate::datapath::limits::NETWORKS_MAX;

/// A network cannot be created, removed or joined.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The container is not on the network.
    #[error("{name} is not connected to network {network}")]
    NotConnected {
        /// Name of the container.
        name: String,
        /// Name of the network.
        network: String,
    },
    /// The container is on the network already.
    #[error("{name} is connected to network {network} already")]
    Connected {
        /// Name of the container.
        name: String,
        /// Name of the network.
        network: String,
    },
    /// The name has another meaning where a network is named.
    #[error("{0} cannot be the name of a network: it has another meaning")]
    NameReserved(String),
    /// The network has endpoints.
    #[error("{network} is in use; attachments on it: {endpoints}")]
    InUse {
        /// Its name.
        network: String,
        /// Their number.
        endpoints: usize,
    },
    /// The first network lives as long as the switch.
    #[error("{0} is the switch's own network, which `vswitch down` removes")]
    Own(String),
    /// All networks are in use.
    #[error("the switch has all of its {NETWORKS_MAX} networks")]
    Max,
    /// The limit of open files permits no further host port.
    #[error(
        "no further network: the limit of open files (RLIMIT_NOFILE) permits no more host devices"
    )]
    OpenFiles,
    /// No subnet of the pool is free.
    #[error("no subnet of the pool is free")]
    SubnetsMax,
    /// A value of the request is malformed.
    #[error(transparent)]
    Value(ValueError),
    /// The network would have two subnets of a family.
    #[error("{0} is a second subnet of its family; a network has one of each")]
    SecondSubnet(IpNet),
    /// The network would have two gateways of a family.
    #[error("{0} is a second gateway of its family; a subnet has one")]
    SecondGateway(IpAddr),
    /// The network would have two ranges of a family.
    #[error("{0} is a second range of its family; a subnet has one")]
    SecondRange(IpNet),
    /// Another network has addresses of the subnet.
    #[error("subnet {subnet} overlaps that of network {network}")]
    SubnetInUse {
        /// The subnet.
        subnet: IpNet,
        /// The other network.
        network: String,
    },
    /// The host routes addresses of the subnet elsewhere.
    #[error("subnet {subnet} overlaps the host's route {route}")]
    SubnetRouted {
        /// The subnet.
        subnet: IpNet,
        /// The route.
        route: IpNet,
    },
    /// An IPAM client took addresses of the subnet.
    #[error("subnet {subnet} overlaps the address pool {pool} of a container engine")]
    SubnetInPool {
        /// The subnet.
        subnet: IpNet,
        /// The pool.
        pool: IpNet,
    },
    /// No IPAM client has the pool.
    #[error("there is no address pool {0}")]
    UnknownPool(IpNet),
    /// The IPAM client does not have the address.
    #[error("address {address} of the pool {pool} is not taken")]
    NotTaken {
        /// The address.
        address: IpAddr,
        /// The pool.
        pool: IpNet,
    },
    /// IPAM clients have all pools.
    #[error("all of the {ADDRESS_POOLS_MAX} address pools are taken")]
    PoolsMax,
    /// The network has no host port.
    #[error("{0} cannot be its host device: a network whose subnet overlaps others has none")]
    NoHostPort(String),
    /// Containers of the network cannot be told apart from others by their addresses.
    #[error("{0} cannot be reached from another network, or reach it: its subnet overlaps others")]
    Overlaps(String),
    /// Too many networks would reach the network.
    #[error("a network is reachable from at most {REACHABLE_FROM_MAX} others")]
    ReachableFromMax,
    /// The gateway is no host address of the subnet.
    #[error("{gateway} cannot be the gateway: it is no host address of {subnet}")]
    GatewayOutside {
        /// The address.
        gateway: IpAddr,
        /// The subnet.
        subnet: IpNet,
    },
    /// The range lies outside the subnet.
    #[error("range {range} is not in the subnet {subnet}")]
    RangeOutside {
        /// The range.
        range: IpNet,
        /// The subnet.
        subnet: IpNet,
    },
    /// Gateway, network and broadcast address are all that the range has.
    #[error("range {0} has no address for a container")]
    RangeEmpty(IpNet),
    /// The switch has another uplink.
    #[error("the switch has the uplink {has}, so no network can have {asked}")]
    OtherUplink {
        /// The requested uplink.
        asked: String,
        /// That of the switch.
        has: String,
    },
}
