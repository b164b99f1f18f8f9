//! Answers in the query's own buffer, without the server.
//!
//! Only for datagrams whose checksum the sender left to others, as containers do: they are whole. Frames with a VLAN
//! tag, from devices that complete their checksums, or of several segments go to the server.

use fastpath::Pool;
use fastpath::limits::VNET_LEN;
use nat::Endpoint;
use wire::frames::{self, Link};
use wire::meta::{L4, Meta};
use wire::vnet::{Flags, GsoType, Header};
use wire::{Protocol, ip, udp};

use super::NetworkService;
use crate::datapath::batch::FrameCtx;
use crate::datapath::limits::DIRECT_ANSWER_MAX;
use crate::datapath::{Key, Snapshot, Verdict};

impl NetworkService {
    /// Sends a query back as its answer; nothing if the server is to be asked. `back` are gateway and client.
    pub(super) fn answer(
        &self,
        ctx: &mut FrameCtx,
        pool: &mut Pool,
        snapshot: &Snapshot,
        back: [Endpoint; 2],
    ) -> Option<()> {
        let names = snapshot.names()?;
        if ctx.meta.l4 != L4::Udp || ctx.meta.outer.is_some() {
            return None;
        }
        let vnet = Header::parse(pool.bytes(&ctx.frame)).ok()?;
        if !vnet.flags.contains(Flags::NEEDS_CSUM) || vnet.gso_type != GsoType::None {
            return None;
        }
        let (conf, network) = (snapshot.port(ctx.port)?, snapshot.network(ctx.network)?);
        let key = Key::new(ctx.network, self.key.vlan(), conf.mac);
        if !snapshot.reaches(ctx.port, key) {
            return None;
        }
        let datagram = udp::Packet::new_checked(ctx.meta.l4_bytes(pool.ethernet(&ctx.frame)));
        let mut answer = [0; DIRECT_ANSWER_MAX];
        let len = names.answer(ctx.port, datagram.ok()?.payload(), &mut answer)?;
        let [from, to] = back;
        let ip = ip::Repr::new(from.address, to.address, Protocol::UDP)?;
        let ports = udp::Repr { src_port: from.port, dst_port: to.port };
        let link = Link::new(network.conf.mac, conf.mac);
        let packet_len = ip.header_len() + udp::HEADER_LEN + len;
        // Another holder of the buffer still reads the query.
        pool.bytes_mut(&ctx.frame)?;
        ctx.frame.set_len(VNET_LEN + link.header_len() + packet_len);
        let (vnet, ethernet) = pool.bytes_mut(&ctx.frame)?.split_at_mut_checked(VNET_LEN)?;
        vnet.fill(0);
        frames::udp(ethernet, &link, &ip, &ports, &answer[..len]).ok()?;
        ctx.meta = Meta::parse(ethernet).ok()?;
        (ctx.dst, ctx.segment) = (key, ctx.meta.l3_len);
        ctx.verdict = Verdict::Unicast(ctx.source);
        Some(())
    }
}
