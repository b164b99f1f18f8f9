//! DNAT: the server behind an external endpoint, published or mapped.

use super::Nat;
use crate::address::Address;
use crate::drop_reason::NatDrop;
use crate::owner::OwnerId;
use crate::table::external_addrs::{ExternalEndpoint, Origin};
use crate::table::flow::{Flow, FlowFlags};
use crate::table::hash::Key;
use crate::tuple::Transport;
use crate::zone::InternalEndpoint;

/// The server behind an external endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct DnatTarget {
    pub(super) server: InternalEndpoint,
    pub(super) owner: OwnerId,
    pub(super) external: ExternalEndpoint,
}

impl Nat {
    /// The server at an external endpoint, for a client that appears as `seen_as`.
    pub(super) fn dnat_target(
        &mut self,
        key: &Key,
        seen_as: Address,
    ) -> Result<Option<DnatTarget>, NatDrop> {
        let port = key.ports.dst();
        if key.transport == Transport::Echo || !self.policy.is_external(key.dst) {
            return Ok(None);
        }
        if let Some(target) = self.policy.target(key.transport, key.src, key.dst, port) {
            if !target.is_allowed {
                return Err(NatDrop::NotAllowed);
            }
            let addr_idx = self.externals.number(key.dst).ok_or(NatDrop::TableFull)?;
            let external = ExternalEndpoint { addr_idx, port, origin: Origin::Published };
            return Ok(Some(DnatTarget { server: target.server, owner: target.owner, external }));
        }
        let Some(addr_idx) = self.externals.find(key.dst) else { return Ok(None) };
        let ports = self.externals.port_pool_mut(addr_idx, key.transport);
        let number = ports.and_then(|ports| ports.mapping(port));
        let is_live = |number: &u32| !self.is_mapping_revoked(self.mappings.at(*number));
        let Some(number) = number.filter(is_live) else { return Ok(None) };
        let known = self.mappings.at(number);
        let pinhole = known.pinhole_key(&self.secrets, seen_as);
        if !self.filter.has(self.filter_key(key.transport, addr_idx, port, seen_as))
            && !self.pinholes.has(pinhole, self.now)
        {
            return Err(NatDrop::Unsolicited);
        }
        let external = ExternalEndpoint { addr_idx, port, origin: Origin::Mapped(number) };
        Ok(Some(DnatTarget { server: known.internal, owner: known.owner, external }))
    }
}

/// The server's external endpoint.
pub(super) fn set_dnat(flow: &mut Flow, external: ExternalEndpoint) {
    flow.aliases[1] = external.addr_idx;
    let is_mapped = external.mapping().is_some();
    flow.flags.set(if is_mapped { FlowFlags::SERVER_MAPPED } else { FlowFlags::PUBLISHED });
}
