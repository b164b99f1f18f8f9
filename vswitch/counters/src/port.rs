//! Counters of a port. Directions are the switch's: rx came from the port's owner.

use crate::macros::counters;

counters! {
    /// Traffic of a port. Bytes are those of Ethernet frames.
    PortTraffic {
        rx_frames: Counter "vswitch_port_receive_frames_total" "Frames received from the port.";
        rx_bytes: Counter "vswitch_port_receive_bytes_total" "Bytes received from the port.";
        tx_frames: Counter "vswitch_port_transmit_frames_total" "Frames sent to the port.";
        tx_bytes: Counter "vswitch_port_transmit_bytes_total" "Bytes sent to the port.";
    }
}

impl PortTraffic {
    /// Counts a frame from the port.
    #[inline]
    pub fn count_rx(&mut self, bytes: usize) {
        self.count_rx_frames(1, bytes);
    }

    /// Counts frames from the port, which have `bytes` together.
    #[inline]
    pub fn count_rx_frames(&mut self, frames: u64, bytes: usize) {
        self.rx_frames += frames;
        self.rx_bytes += bytes as u64;
    }

    /// Counts a frame to the port.
    #[inline]
    pub fn count_tx(&mut self, bytes: usize) {
        self.count_tx_frames(1, bytes);
    }

    /// Counts frames to the port, which have `bytes` together.
    #[inline]
    pub fn count_tx_frames(&mut self, frames: u64, bytes: usize) {
        self.tx_frames += frames;
        self.tx_bytes += bytes as u64;
    }
}
