//! The service port: DNS at the gateway's addresses, from a namespace that only the switch has.
//!
//! # Theory of operation
//!
//! A container's resolver is its gateway. Its frames to the gateway's MAC address, to one of the gateway's IP
//! addresses, and to port 53 of UDP or TCP go to the service port instead of the host's; the server's frames go back
//! to the container. So neither the host's port 53 is taken, nor does the LAN reach the server.
//!
//! ```text
//! a container's query      own address, port p  ->  gateway, 53
//! at the service port      client, port p       ->  server, 53
//! the server's answer      server, 53           ->  client, port p
//! at the container         gateway, 53          ->  own address, port p
//! ```
//!
//! The client's address stands for the port, the gateway and the own address ([`ServiceClient`]): networks with the
//! same subnet do not meet, and no source address claims to be another port. Both directions are a formula and the
//! snapshot. There is no state, no timeout, and no worker that a frame belongs to. Ports stay; checksums change by
//! the addresses' difference, partial ones stay partial, GSO frames stay whole.
//!
//! A plain query for a container's name does not go there: the worker that reads it writes the answer into its buffer
//! (`datapath/service/direct.rs`), and the client sees no difference.
//!
//! Dropped are queries from an address that is not the port's, and first fragments of queries, since the others have
//! no port (a query fits into the least MTU). From the service's namespace come answers only; fragments of an answer
//! pass, and its last one, too. Answers to a port that is gone are dropped.
//!
//! A network without a host port has the gateway's addresses for the service alone: the switch answers ARP and ND for
//! them (`datapath/classify.rs`), and drops what is no query.
//!
//! Looked at are only frames that the router has found to be for the host. Without a router, or where the host is on
//! another VLAN, a pass of its own finds them.

use std::net::IpAddr;

use fastpath::limits::VNET_LEN;
use fastpath::{Pool, PortIndex};
use nat::rewrite::rewrite;
use nat::{Edit, Endpoint};
use wire::meta::{L3, L4, Meta};
use wire::ports::Ports;
use wire::{MacAddr, ipv4, ipv6};

use super::batch::FrameCtx;
use super::{Batch, DropReason, Key, PortKind, Snapshot, Verdict, edit};

mod client;
mod compiled;
mod direct;
mod name_service;

pub use client::{SERVER_V4, SERVER_V6, ServiceClient};
pub(super) use compiled::{NetworkService, ServicePort};
pub use name_service::NameService;

/// The port of DNS (RFC 1035 section 4.2).
pub const SERVICE_PORT: u16 = 53;

/// Handles the batch where no network has a router.
pub(super) fn run(batch: &mut Batch, pool: &mut Pool, snapshot: &Snapshot) {
    if snapshot.service().is_none() {
        return;
    }
    for run in batch.frames.chunk_by_mut(|a, b| a.port == b.port) {
        match snapshot.port(run[0].port).map(|conf| conf.kind) {
            Some(PortKind::Container) => {
                let network = snapshot.network(run[0].network);
                if let Some(service) = network.and_then(|network| network.service.as_ref()) {
                    service.divert_run(run, pool, snapshot);
                }
            }
            Some(PortKind::Service) => deliver_run(run, pool, snapshot),
            _ => {}
        }
    }
}

/// Sends the frames of the service port to their clients.
pub(super) fn deliver_run(run: &mut [FrameCtx], pool: &mut Pool, snapshot: &Snapshot) {
    for ctx in run.iter_mut().filter(|ctx| ctx.verdict == Verdict::Pending) {
        let adjacency = answer(ctx, pool, snapshot);
        ctx.verdict = send(ctx, pool, adjacency);
    }
}

/// New addresses of a frame, and where it goes.
struct Adjacency {
    port: PortIndex,
    edit: Edit,
    src: MacAddr,
    dst: MacAddr,
    key: Key,
}

impl NetworkService {
    /// Takes the frames of a container that no router sees.
    pub(super) fn divert_run(&self, run: &mut [FrameCtx], pool: &mut Pool, snapshot: &Snapshot) {
        for ctx in run {
            if ctx.dst == self.key && ctx.verdict == Verdict::Pending {
                self.divert(ctx, pool, snapshot);
                self.refuse_undiverted(ctx);
            }
        }
    }

    /// Drops what would go to the host, where the network has no host port.
    #[inline]
    pub(super) fn refuse_undiverted(&self, ctx: &mut FrameCtx) {
        if !self.has_host_port && ctx.verdict == Verdict::Pending {
            ctx.verdict = Verdict::Drop(DropReason::NoHostPort);
        }
    }

    /// Diverts a container's frame to the host if it is a query; it stays pending otherwise.
    #[inline]
    pub(super) fn divert(&self, ctx: &mut FrameCtx, pool: &mut Pool, snapshot: &Snapshot) {
        let ports = ports(&ctx.meta, pool.ethernet(&ctx.frame));
        if ports.is_some_and(|(_, to)| to == SERVICE_PORT) {
            self.divert_query(ctx, pool, snapshot);
        }
    }

    #[inline(never)]
    fn divert_query(&self, ctx: &mut FrameCtx, pool: &mut Pool, snapshot: &Snapshot) {
        let Some(service) = snapshot.service() else { return };
        let frame = pool.ethernet(&ctx.frame);
        let Some((src, dst)) = addresses(&ctx.meta, frame) else { return };
        let gateway = self.gateways.iter().position(|&gateway| gateway == dst);
        // The gateway is on the outer VLAN.
        let Some(gateway) = gateway.filter(|_| ctx.meta.inner.is_none()) else { return };
        let (src_port, _) = ports(&ctx.meta, frame).unwrap_or_default();
        let client = client(ctx, src, gateway, snapshot);
        let back = [Endpoint::new(dst, SERVICE_PORT), Endpoint::new(src, src_port)];
        if client.is_ok() && self.answer(ctx, pool, snapshot, back).is_some() {
            return;
        }
        let adjacency = client.map(|client| Adjacency {
            port: service.port,
            edit: Edit {
                src: Endpoint::new(client, src_port),
                dst: Endpoint::new(server(client), SERVICE_PORT),
                quoted: None,
            },
            src: self.key.mac(),
            dst: service.mac,
            key: Key::NONE,
        });
        ctx.verdict = send(ctx, pool, adjacency);
    }
}

/// The address of a query's client.
fn client(
    ctx: &FrameCtx,
    src: IpAddr,
    gateway: usize,
    snapshot: &Snapshot,
) -> Result<IpAddr, DropReason> {
    if ctx.meta.fragment {
        return Err(DropReason::ServiceFragment);
    }
    let addresses = snapshot.port(ctx.port).map_or(&[][..], |conf| conf.addresses.as_slice());
    let own = addresses.iter().position(|&own| own == src);
    let client = own.map(|own| ServiceClient { port: ctx.port, gateway, own });
    client.and_then(|client| client.address(src)).ok_or(DropReason::ServiceForeignSource)
}

/// Where an answer goes.
fn answer(ctx: &FrameCtx, pool: &Pool, snapshot: &Snapshot) -> Result<Adjacency, DropReason> {
    let frame = pool.ethernet(&ctx.frame);
    let ports = match ctx.meta.l4 {
        L4::FragmentTail => Some((SERVICE_PORT, 0)),
        _ => ports(&ctx.meta, frame),
    };
    let ports = ports.filter(|&(from, _)| from == SERVICE_PORT);
    let client = addresses(&ctx.meta, frame).filter(|&(src, dst)| src == server(dst));
    let client = client.and_then(|(_, dst)| Some((dst, ServiceClient::of(dst)?)));
    let Some(((dst, client), (_, dst_port))) = client.zip(ports) else {
        return Err(DropReason::ServiceUnexpected);
    };
    let known = || {
        let conf = snapshot.port(client.port).filter(|conf| conf.kind == PortKind::Container)?;
        let network = snapshot.network(conf.network)?;
        let service = network.service.as_ref()?;
        let gateway = *service.gateways.get(client.gateway)?;
        let own = *conf.addresses.as_slice().get(client.own)?;
        let key = Key::new(conf.network, service.key.vlan(), conf.mac);
        let is_family = own.is_ipv4() == dst.is_ipv4() && gateway.is_ipv4() == dst.is_ipv4();
        (is_family && snapshot.reaches(client.port, key)).then_some((gateway, own, key, network))
    };
    let (gateway, own, key, network) = known().ok_or(DropReason::ServiceNoClient)?;
    if ctx.segment > network.conf.mtu {
        return Err(DropReason::MtuExceeded);
    }
    Ok(Adjacency {
        port: client.port,
        edit: Edit {
            src: Endpoint::new(gateway, SERVICE_PORT),
            dst: Endpoint::new(own, dst_port),
            quoted: None,
        },
        src: network.conf.mac,
        dst: key.mac(),
        key,
    })
}

/// Rewrites a frame, and gives its verdict.
fn send(ctx: &mut FrameCtx, pool: &mut Pool, adjacency: Result<Adjacency, DropReason>) -> Verdict {
    let Adjacency { port, edit: change, src, dst, key } = match adjacency {
        Ok(adjacency) => adjacency,
        Err(reason) => return Verdict::Drop(reason),
    };
    if ctx.meta.outer.is_some() && !edit::untag(ctx, pool) {
        return Verdict::Drop(DropReason::NoBuffer);
    }
    let Some(bytes) = pool.bytes_mut(&ctx.frame).filter(|bytes| bytes.len() > VNET_LEN) else {
        return Verdict::Drop(DropReason::NoBuffer);
    };
    let (vnet, ethernet) = bytes.split_at_mut(VNET_LEN);
    if rewrite(&change, &ctx.meta, ethernet, edit::checksum_state(vnet)).is_err() {
        return Verdict::Drop(DropReason::Malformed);
    }
    ethernet[..6].copy_from_slice(&dst.0);
    ethernet[6..12].copy_from_slice(&src.0);
    (ctx.meta.dst, ctx.meta.src, ctx.dst) = (dst, src, key);
    Verdict::Unicast(port.into())
}

/// The server's address in the family of `like`.
fn server(like: IpAddr) -> IpAddr {
    if like.is_ipv4() { SERVER_V4.into() } else { SERVER_V6.into() }
}

/// Source and destination port of TCP and UDP.
#[inline]
fn ports(meta: &Meta, frame: &[u8]) -> Option<(u16, u16)> {
    if !matches!(meta.l4, L4::Udp | L4::Tcp) {
        return None;
    }
    let ports = Ports::new_checked(meta.l4_bytes(frame)).ok()?;
    Some((ports.src(), ports.dst()))
}

/// Source and destination address.
fn addresses(meta: &Meta, frame: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let packet = meta.l3_bytes(frame);
    match meta.l3 {
        L3::Ipv4 => {
            let ip = ipv4::Packet::new_checked(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        L3::Ipv6 => {
            let ip = ipv6::Packet::new_checked(packet).ok()?;
            Some((ip.src().into(), ip.dst().into()))
        }
        _ => None,
    }
}
