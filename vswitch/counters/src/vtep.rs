//! Counters of a VTEP: the tunnel to one other node. Directions are the switch's: rx came from the other node.

use crate::macros::counters;

counters! {
    /// Traffic of a VTEP. Frames are those inside the datagrams, with their bytes.
    VtepTraffic {
        rx_frames: Counter "vswitch_vtep_receive_frames_total" "Frames received from the VTEP, of networks that it has.";
        rx_bytes: Counter "vswitch_vtep_receive_bytes_total" "Bytes of frames received from the VTEP.";
        tx_frames: Counter "vswitch_vtep_transmit_frames_total" "Frames sent to the VTEP.";
        tx_bytes: Counter "vswitch_vtep_transmit_bytes_total" "Bytes of frames sent to the VTEP.";
        drops: Counter "vswitch_vtep_dropped_frames_total" "Frames from or for the VTEP that were dropped, in the switch or by the kernel.";
    }
}

impl VtepTraffic {
    /// Counts frames from the VTEP, which have `bytes` together.
    #[inline]
    pub fn count_rx(&mut self, frames: u64, bytes: usize) {
        self.rx_frames += frames;
        self.rx_bytes += bytes as u64;
    }

    /// Counts frames to the VTEP, which have `bytes` together.
    #[inline]
    pub fn count_tx(&mut self, frames: u64, bytes: usize) {
        self.tx_frames += frames;
        self.tx_bytes += bytes as u64;
    }

    /// Takes frames back that were counted as sent, and counts them as dropped.
    pub fn count_unsent(&mut self, frames: u64, bytes: u64) {
        self.tx_frames = self.tx_frames.saturating_sub(frames);
        self.tx_bytes = self.tx_bytes.saturating_sub(bytes);
        self.drops += frames;
    }
}
