//! Counters of cut-through.

use crate::macros::counters;

counters! {
    /// Counters of cut-through, since the daemon has started it; all zero while it is off.
    CutThroughCounters {
        connections: Counter "vswitch_cut_through_connections_total" "Connections whose two sockets were joined.";
        left: Counter "vswitch_cut_through_left_total" "Of these, those that have left: plain TCP again, or closed.";
        left_alone: Counter "vswitch_cut_through_left_alone_total" "Connections not joined, since a program may read by splice.";
        full: Counter "vswitch_cut_through_full_total" "Connections not joined, since the table was full.";
        failed: Counter "vswitch_cut_through_failed_total" "Connections not joined, since their sockets could not be had, or the kernel refused.";
        refused: Counter "vswitch_cut_through_refused_total" "Sockets that began to read in a way that the kernel does not serve past TCP.";
        woken: Counter "vswitch_cut_through_woken_total" "Readers woken since they seemed to miss bytes of TCP; their connections went back to TCP.";
        sends: Counter "vswitch_cut_through_sends_total" "Sends from socket to socket.";
        bytes: Counter "vswitch_cut_through_bytes_total" "Bytes of these sends.";
        held_order: Counter "vswitch_cut_through_held_order_total" "Sends through TCP: the receiver had not read all that TCP brought.";
        held_bound: Counter "vswitch_cut_through_held_bound_total" "Sends through TCP: half the receiver's buffer was full.";
        held_reader: Counter "vswitch_cut_through_held_reader_total" "Sends through TCP: the receiver had not read often enough yet, or reads in a way that the kernel does not serve.";
        held_option: Counter "vswitch_cut_through_held_option_total" "Sends through TCP: a socket that blocks, an option that the kernel serves for TCP only, or urgent data.";
        held_stopped: Counter "vswitch_cut_through_held_stopped_total" "Sends through TCP: the switch was gone, or ended.";
        held_closed: Counter "vswitch_cut_through_held_closed_total" "Sends through TCP: the other end was closed, or the connection went back to TCP.";
        held_refresh: Counter "vswitch_cut_through_held_refresh_total" "Sends through TCP: one of each minute and direction.";
    }
}
