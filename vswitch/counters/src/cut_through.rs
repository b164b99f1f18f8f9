//! Counters of cut-through.

use crate::macros::counters;

counters! {
    /// Counters of cut-through, since its programs were loaded; all zero while it is off.
    CutThroughCounters {
        connections: Counter "vswitch_cut_through_connections_total" "Connections whose two sockets were joined.";
        ended: Counter "vswitch_cut_through_ended_total" "Joined connections that have ended, half joined ones included.";
        sends: Counter "vswitch_cut_through_sends_total" "Sends from socket to socket.";
        bytes: Counter "vswitch_cut_through_bytes_total" "Bytes of these sends.";
        left_alone: Counter "vswitch_cut_through_left_alone_total" "Connections not joined, since those to their service are too short to gain.";
        full: Counter "vswitch_cut_through_full_total" "Connections not joined, since the table was full.";
        failed: Counter "vswitch_cut_through_failed_total" "Connections that the kernel did not let be joined.";
        refused: Counter "vswitch_cut_through_refused_total" "Sockets that began to read in a way that the kernel does not serve past TCP.";
        held_order: Counter "vswitch_cut_through_held_order_total" "Sends through TCP: the receiver had not read all that TCP brought.";
        held_bound: Counter "vswitch_cut_through_held_bound_total" "Sends through TCP: the receiver's buffer was full.";
        held_reader: Counter "vswitch_cut_through_held_reader_total" "Sends through TCP: the receiver had not read often enough yet, or reads in a way that the kernel does not serve.";
        held_option: Counter "vswitch_cut_through_held_option_total" "Sends through TCP: a socket option that the kernel serves for TCP only.";
        held_stopped: Counter "vswitch_cut_through_held_stopped_total" "Sends through TCP: cut-through was stopped, or the sender had sent urgent data.";
        held_closed: Counter "vswitch_cut_through_held_closed_total" "Sends through TCP: the other end was not there.";
    }
}
