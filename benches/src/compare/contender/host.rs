//! No switch at all: both ends in one namespace, over its loopback, as two containers with `--network host`
//! have it. No switch between two namespaces can be expected to be faster: the limit of every row.
//!
//! With an uplink, the server listens at the host's own address, and nothing is translated.

use anyhow::{Context as _, Result};
use testkit::Netns;

use super::uplink::Uplink;
use super::{About, Contender, Endpoint, HOST, Kind, Outside};
use crate::limits::FEW_ROUNDS;

/// All of 127.0.0.0/8 is the host itself.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

#[derive(Debug, Default)]
pub(crate) struct HostNetwork {
    uplink: Option<Uplink>,
    host: Option<Netns>,
    ports: usize,
}

impl Contender for HostNetwork {
    fn name(&self) -> &str {
        HOST
    }

    fn kind(&self) -> Kind {
        Kind::Kernel
    }

    fn ports_max(&self) -> usize {
        ADDRESSES.len()
    }

    fn rounds_max(&self) -> usize {
        FEW_ROUNDS
    }

    fn start(&mut self) -> Result<()> {
        self.host = Some(Netns::create("host")?);
        self.ports = 0;
        Ok(())
    }

    fn port(&mut self) -> Result<Endpoint> {
        let host = self.host.as_ref().context("the namespace is not there")?;
        let loopback = ADDRESSES.get(self.ports).context("there are only two ends")?;
        self.ports += 1;
        let address = self.uplink.as_ref().map_or(*loopback, Uplink::host_address);
        Ok(Endpoint::new(host.path(), address))
    }

    fn go_out(&mut self) -> Result<Outside> {
        let host = self.host.as_ref().context("the namespace is not there")?;
        let uplink = self.uplink.insert(Uplink::new(host)?);
        Ok(Outside { published_at: None, ..uplink.outside() })
    }

    fn stop(&mut self) {
        self.uplink = None;
        self.host = None;
    }

    fn describe(&self) -> Result<About> {
        let mut about = About::new();
        about.insert("network".into(), "one namespace for both ends, loopback".into());
        Ok(about)
    }
}
