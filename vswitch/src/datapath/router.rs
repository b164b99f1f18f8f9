//! Rooms 6 to 8 at the gateway's MAC address.

mod conf;
mod table;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use conf::{Beyond, Neighbours, RouteAction, RouterConf, Routes, UplinkConf};
use table::Table;

use super::{Key, NetworkIndex};

/// A network's router as the datapath reads it.
#[derive(Debug)]
pub(super) struct Router {
    /// The destination of frames that are to be routed.
    pub(super) key: Key,
    table: Table,
}

impl Router {
    pub(super) fn new(network: NetworkIndex, conf: &RouterConf) -> Self {
        Self { key: Key::new(network, 0, conf.gateway_mac), table: Table::new(conf) }
    }
}
