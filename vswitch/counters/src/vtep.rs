//! Counters of a VTEP: the tunnel to one other node. Directions are the switch's: rx came from the other node.

use crate::macros::counters;

counters! {
    /// Traffic of a VTEP. Frames are those inside the datagrams, with their bytes.
    VtepTraffic {
        rx_frames: Counter "vswitch_vtep_receive_frames_total" "Frames received from the VTEP, of networks that it has.";
        rx_bytes: Counter "vswitch_vtep_receive_bytes_total" "Bytes of frames received from the VTEP.";
        tx_frames: Counter "vswitch_vtep_transmit_frames_total" "Frames sent to the VTEP.";
        tx_bytes: Counter "vswitch_vtep_transmit_bytes_total" "Bytes of frames sent to the VTEP.";
        drops: Counter "vswitch_vtep_dropped_frames_total" "Frames from or for the VTEP that were dropped before the underlay.";
    }
}

impl VtepTraffic {
    /// Counts a frame from the VTEP.
    #[inline]
    pub fn count_rx(&mut self, bytes: usize) {
        self.rx_frames += 1;
        self.rx_bytes += bytes as u64;
    }
}
