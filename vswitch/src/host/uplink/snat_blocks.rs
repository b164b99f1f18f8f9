//! Blocks of SNAT ports: held on the host, then handed over by an element of the set `snat-ports`.
//!
//! A claim returns after its element stands, so that the first answer already comes to the switch. A block that is
//! given back loses its element first: until then no program of the host may have its ports.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::UplinkError;
use super::tables::Shared;
use crate::host::HostError;
use crate::host::nft::{PortBlock, Protocol};
use crate::host::reserve::snat_blocks::{HeldBlocks, Unheld, takes_sockets};

/// The holding sockets, shared with publications that need one of their ports.
#[derive(Debug, Clone)]
pub(super) struct SharedHeldBlocks(Arc<Mutex<HeldBlocks>>);

impl SharedHeldBlocks {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(HeldBlocks::new())))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, HeldBlocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Claims blocks on the host, and gives them back. It keeps the tables: drop it before the uplink.
#[derive(Debug, Clone)]
pub(crate) struct SnatBlocks {
    pub(super) shared: Shared,
    pub(super) held: SharedHeldBlocks,
}

/// Result of a claim.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Claimed {
    /// Blocks that are ours now.
    pub(crate) blocks: Vec<PortBlock>,
    /// Blocks of which the host has a port, with that port.
    pub(crate) busy: Vec<(PortBlock, u16)>,
    /// The limit of sockets ended the claim.
    pub(crate) is_limited: bool,
    /// The kernel refused a socket, which ended the claim.
    pub(crate) is_refused: bool,
}

impl SnatBlocks {
    /// Claims as many of the candidates as are wanted, in their order.
    ///
    /// # Errors
    /// nftables refuses the elements: then none is claimed.
    pub(crate) async fn claim(
        &self,
        candidates: Vec<PortBlock>,
        wanted: usize,
    ) -> Result<Claimed, UplinkError> {
        let held = self.held.clone();
        let hold = move || {
            let mut claimed = Claimed::default();
            for block in candidates {
                if claimed.blocks.len() == wanted {
                    break;
                }
                // Locked for one block at a time: publications go on in between.
                match held.lock().hold(&block) {
                    Ok(()) => claimed.blocks.push(block),
                    Err(Unheld::Taken(port)) => claimed.busy.push((block, port)),
                    Err(Unheld::Limit) => {
                        claimed.is_limited = true;
                        break;
                    }
                    Err(Unheld::Refused(error)) => {
                        claimed.is_refused = true;
                        tracing::warn!(%error, ?block, "cannot hold ports for SNAT");
                        break;
                    }
                }
            }
            claimed
        };
        let claimed = tokio::task::spawn_blocking(hold)
            .await
            .map_err(|error| HostError::Connect(std::io::Error::other(error)))?;
        if let Err(error) = self.shared.change_blocks(&claimed.blocks, &[]).await {
            let mut held = self.held.lock();
            claimed.blocks.iter().for_each(|block| held.release(block));
            return Err(error.into());
        }
        Ok(claimed)
    }

    /// Gives blocks back to the host.
    ///
    /// # Errors
    /// nftables refuses: then they stay ours.
    pub(crate) async fn give_back(&self, blocks: &[PortBlock]) -> Result<(), UplinkError> {
        self.shared.change_blocks(&[], blocks).await?;
        let mut held = self.held.lock();
        blocks.iter().for_each(|block| held.release(block));
        Ok(())
    }

    /// Tries again to hold ports that publications had, and that were not free when they ended.
    pub(crate) fn retry_lent(&self) {
        self.held.lock().retry();
    }

    /// Sockets that may be open in all.
    pub(crate) fn sockets_max(&self) -> usize {
        self.held.lock().sockets_max()
    }

    /// Whether a block of the protocol needs sockets.
    pub(crate) fn takes_sockets(&self, protocol: Protocol) -> bool {
        takes_sockets(protocol)
    }

    /// Sockets that may still be opened.
    pub(crate) fn sockets_left(&self) -> usize {
        self.held.lock().sockets_left()
    }
}
