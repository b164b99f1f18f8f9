//! Blocks of SNAT ports: claimed on the host for workers that need them, and given back.
//!
//! ```text
//! worker  -- BlocksWanted -->  task: claim on the host (sockets, then nftables)  -- ClaimBlocks -->  worker
//! task, every so often: CollectBlocks -->  worker: blocks that stay empty  -->  given back on the host, in one batch
//! ```
//!
//! A worker asks while it has hundreds of free ports left, so that a burst waits for nothing here. Each worker and
//! transport has some blocks from the start. Claims come before anything is given back, since deleting elements is slow.
//!
//! A block of which the host has a port is skipped and tried again later. After a claim that failed, the worker gets no
//! further blocks for a while. Workers learn how many blocks they may have in
//! all: a container's share of the ports is of those.

use std::sync::{Arc, Weak};

use nat::limits::{PORT_BLOCK, PORT_BLOCKS_MIN};
use nat::{BlockRequest, ShardSpec, Transport};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};
use vswitch_api::publish::Protocol;

use super::Control;
use super::block_share::BlockShare;
use super::error::ControlError;
use super::inner::Inner;
use super::limits::BLOCK_COLLECT_INTERVAL;
use super::random::random;
use super::socket_shares::{Wanting, obtainable};
use crate::host::nft::PortBlock;
use crate::host::uplink::{SnatBlocks, Uplink};
use crate::worker::ClaimedBlocks;

/// Transports whose ports are claimed.
const TRANSPORTS: [Transport; 3] = [Transport::Tcp, Transport::Udp, Transport::Sctp];

/// The task that claims blocks.
#[derive(Debug)]
struct Claimer {
    inner: Weak<Inner>,
    host: SnatBlocks,
    shares: Vec<BlockShare>,
}

impl Control {
    /// Claims the first blocks of each worker, and starts the task that claims further ones.
    pub(super) async fn start_snat_blocks(&self, uplink: &Uplink) -> Result<(), ControlError> {
        let Some(host) = uplink.snat_blocks() else { return Ok(()) };
        let workers = self.0.dataplane.workers();
        let mut shares = Vec::new();
        for worker in 0..workers {
            for transport in TRANSPORTS {
                shares.push(self.share(worker, transport)?);
            }
        }
        let mut claimer = Claimer { inner: Arc::downgrade(&self.0), host, shares };
        let affordable = claimer.host.sockets_left() / PORT_BLOCK / claimer.shares.len();
        let first = affordable.clamp(1, PORT_BLOCKS_MIN);
        for at in 0..claimer.shares.len() {
            claimer.claim(at, first).await?;
        }
        let (requests, requested) = mpsc::channel(claimer.shares.len());
        let task = tokio::spawn(claimer.run(requested));
        self.0.snat_blocks.set(requests, task);
        Ok(())
    }

    /// Passes a worker's request to the task.
    pub(super) fn request_blocks(&self, worker: usize, request: BlockRequest) {
        self.0.snat_blocks.request(worker, request);
    }

    fn share(&self, worker: usize, transport: Transport) -> Result<BlockShare, ControlError> {
        let spec = ShardSpec::new(worker, self.0.dataplane.workers());
        let protocol = protocol(transport);
        let block = |ports: std::ops::RangeInclusive<u16>| PortBlock {
            protocol,
            first: *ports.start(),
            last: *ports.end(),
        };
        let mut keyed = Vec::new();
        for ports in spec.blocks(&self.0.config.snat_ports.range()) {
            keyed.push((random()?, block(ports)));
        }
        keyed.sort_unstable_by_key(|(key, _)| *key);
        let free = keyed.into_iter().map(|(_, block)| block);
        Ok(BlockShare::new(worker, transport, free))
    }
}

impl Claimer {
    async fn run(mut self, mut requests: mpsc::Receiver<(usize, BlockRequest)>) {
        let mut collection = interval(BLOCK_COLLECT_INTERVAL);
        collection.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                request = requests.recv() => {
                    let Some((worker, BlockRequest { transport, blocks })) = request else { return };
                    let is_it = |share: &BlockShare| (share.worker, share.transport) == (worker, transport);
                    let Some(at) = self.shares.iter().position(is_it) else { continue };
                    self.answer(at, blocks.into()).await;
                }
                _ = collection.tick() => self.collect().await,
            }
        }
    }

    /// Answers a worker's request, with as many blocks as it may have.
    async fn answer(&mut self, at: usize, wanted: usize) {
        let Some(inner) = self.inner.upgrade() else { return };
        let affordable = self.affordable(at);
        if affordable < wanted && !self.shares[at].is_paused(Instant::now()) {
            inner.refusals.count("snat-sockets");
        }
        let wanted = wanted.min(affordable);
        if wanted == 0 {
            self.tell(&inner, at, Some(&[])).await;
        } else if let Err(error) = self.claim(at, wanted).await {
            // At most once in a pause.
            let BlockShare { worker, transport, .. } = &self.shares[at];
            tracing::warn!(%error, worker, ?transport, "no further ports for SNAT");
        }
    }

    /// Blocks that a worker may have beside its own.
    fn affordable(&self, at: usize) -> usize {
        let share = &self.shares[at];
        if share.is_paused(Instant::now()) {
            return 0;
        }
        let takes_sockets = |share: &BlockShare| self.host.takes_sockets(protocol(share.transport));
        if !takes_sockets(share) {
            return usize::MAX;
        }
        let wanting = |share: &BlockShare| {
            let (has, all) = if takes_sockets(share) { share.counts() } else { (0, 0) };
            Wanting { has, all }
        };
        let all: Vec<Wanting> = self.shares.iter().map(wanting).collect();
        obtainable(self.host.sockets_max() / PORT_BLOCK, &all, at)
            .min(self.host.sockets_left() / PORT_BLOCK)
    }

    /// Claims so many blocks for a worker, or as many as there are, and gives them to it.
    async fn claim(&mut self, at: usize, wanted: usize) -> Result<(), ControlError> {
        let Some(inner) = self.inner.upgrade() else { return Ok(()) };
        let (share, now) = (&mut self.shares[at], Instant::now());
        let claimed = match self.host.claim(share.candidates(now), wanted).await {
            Ok(claimed) => claimed,
            Err(error) => {
                // The worker must not wait for an answer.
                share.pause(now);
                self.tell(&inner, at, Some(&[])).await;
                return Err(ControlError::UplinkUnavailable(error.to_string()));
            }
        };
        if claimed.is_limited {
            inner.refusals.count("snat-sockets");
        }
        let new = claimed.blocks.clone();
        share.note(claimed, now);
        self.tell(&inner, at, Some(&new)).await;
        Ok(())
    }

    /// Gives a worker its new blocks, if it asked, and the number of those that it may have.
    async fn tell(&mut self, inner: &Inner, at: usize, new: Option<&[PortBlock]>) {
        let affordable = self.affordable(at);
        let share = &self.shares[at];
        let blocks = ClaimedBlocks {
            transport: share.transport,
            first_ports: new.map(|new| new.iter().map(|block| block.first).collect()),
            obtainable: share.obtainable(affordable),
        };
        let Err(error) = inner.dataplane.claim_blocks(share.worker, blocks).await else { return };
        let Some(new) = new.filter(|new| !new.is_empty()) else { return };
        tracing::warn!(%error, worker = share.worker, "the worker does not take its ports for SNAT");
        // It asks again.
        match self.host.give_back(new).await {
            Ok(()) => {
                let first_ports: Vec<u16> = new.iter().map(|block| block.first).collect();
                self.shares[at].free(&first_ports);
            }
            Err(error) => tracing::warn!(%error, "ports for SNAT are not given back"),
        }
    }

    /// Gives back what workers do not need, and tells them how much they may have.
    async fn collect(&mut self) {
        let Some(inner) = self.inner.upgrade() else { return };
        let mut empty = Vec::new();
        for share in &mut self.shares {
            let collected = inner.dataplane.collect_blocks(share.worker, share.transport).await;
            let Ok(first_ports) = collected else { continue };
            empty.extend(share.free(&first_ports));
        }
        if !empty.is_empty()
            && let Err(error) = self.host.give_back(&empty).await
        {
            tracing::warn!(%error, "ports for SNAT are not given back");
        }
        let now = Instant::now();
        for at in 0..self.shares.len() {
            self.shares[at].free_due(now);
            // No answer: it would open the blocks again that run empty.
            self.tell(&inner, at, None).await;
        }
    }
}

fn protocol(transport: Transport) -> Protocol {
    match transport {
        Transport::Udp => Protocol::Udp,
        Transport::Sctp => Protocol::Sctp,
        Transport::Tcp | Transport::Echo => Protocol::Tcp,
    }
}
