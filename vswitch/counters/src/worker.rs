//! Counters of a worker, by the stage that counts.

use crate::macros::{combined_counters, counters};

combined_counters! {
    /// Counters of a worker. They obey
    /// `received + generated + flood_copies + segmented + handoff_received == sent + dropped + consumed + merged + in_flight + handed_off`.
    WorkerStats [
        /// Number of the worker.
        pub worker: usize,
    ] {
        /// Sums that a report computes.
        ReportCounters {
            received: Counter "vswitch_worker_received_frames_total" "Frames read from ports.";
            sent: Counter "vswitch_worker_sent_frames_total" "Frames written to ports.";
            dropped: Counter "vswitch_worker_dropped_frames_total" "Frames dropped, for any reason.";
            in_flight: Gauge "vswitch_worker_in_flight_frames" "Frames in the switch now.";
            fdb_entries: Gauge "vswitch_fdb_entries" "MAC addresses in the worker's FDB.";
            mdb_entries: Gauge "vswitch_multicast_listeners" "Multicast listeners, each port of each group counted.";
            connections: Gauge "vswitch_nat_connections" "Connections that are translated or, between networks, tracked.";
            connections_sharing: Gauge "vswitch_nat_sharing_connections" "Connections that share their external port with connections to other destinations.";
            fdb_sync_drops: Counter "vswitch_fdb_sync_drops_total" "Learnt addresses that another worker's full queue refused; it floods until it learns them itself.";
        }
        /// Frames and addresses, counted by the stages of the datapath.
        DatapathCounters {
            generated: Counter "vswitch_worker_generated_frames_total" "Frames that the switch made itself.";
            consumed: Counter "vswitch_worker_consumed_frames_total" "Frames for the switch itself, such as ARP requests that it answered.";
            flood_copies: Counter "vswitch_worker_flood_copies_total" "Further holders of frames that went to several ports.";
            segmented: Counter "vswitch_worker_segmented_frames_total" "Further frames that segmentation made of frames for a tunnel.";
            merged: Counter "vswitch_worker_merged_frames_total" "Frames from a tunnel that became a part of the one before.";
            handed_off: Counter "vswitch_worker_handoff_sent_frames_total" "Frames handed off to another worker, which has their connection.";
            handoff_received: Counter "vswitch_worker_handoff_received_frames_total" "Frames received from another worker: this one has their connection.";
            mac_moves: Counter "vswitch_fdb_moves_total" "MAC addresses seen on another port than before.";
            fdb_full: Counter "vswitch_fdb_full_total" "MAC addresses not learnt: the FDB or the network's part of it was full.";
            mac_limit: Counter "vswitch_fdb_port_limit_total" "MAC addresses not learnt: their port had as many as it may.";
        }
        /// Counted by the forwarding database.
        FdbCounters {
            fdb_evictions: Counter "vswitch_fdb_evictions_total" "Learnt FDB entries evicted for another one.";
            fdb_statics_full: Counter "vswitch_fdb_static_full_total" "Static FDB entries not set: other static entries filled their buckets.";
        }
        /// Counted by IGMP and MLD snooping.
        MulticastCounters {
            mdb_full: Counter "vswitch_multicast_full_total" "Multicast listeners not noted, or evicted: the table or the port's part of it was full.";
        }
        /// Counted by loop protection.
        LoopCounters {
            loop_blocks: Counter "vswitch_loop_blocks_total" "Times that a port was blocked for a loop.";
            loop_events_dropped: Counter "vswitch_loop_events_dropped_total" "Blocked ports that the log does not name: too many events waited.";
        }
        /// Counted where hosts that configure themselves ask.
        DhcpCounters {
            dhcp_requests: Counter "vswitch_dhcp_requests_total" "DHCP requests and router solicitations that control got.";
            dhcp_requests_lost: Counter "vswitch_dhcp_requests_lost_total" "DHCP requests and router solicitations that control did not get: too many events waited.";
            dhcp_answers: Counter "vswitch_dhcp_answers_total" "DHCP answers and router advertisements sent, solicited or not.";
        }
        /// Counted by the router.
        RouterCounters {
            translated: Counter "vswitch_nat_translated_frames_total" "Frames that were translated.";
            routed: Counter "vswitch_routed_frames_total" "Frames sent to a container of another network, not translated.";
            resets_sent: Counter "vswitch_nat_resets_sent_total" "TCP resets and SCTP aborts that the switch sent: the packet belonged to no connection.";
            resets_suppressed: Counter "vswitch_nat_resets_suppressed_total" "TCP resets and SCTP aborts not sent: their port had reached its rate.";
            icmp_errors_sent: Counter "vswitch_icmp_errors_sent_total" "ICMP errors that the switch sent.";
            icmp_errors_suppressed: Counter "vswitch_icmp_errors_suppressed_total" "ICMP errors not sent: their port had reached its rate.";
            resolves_dropped: Counter "vswitch_neighbour_resolves_dropped_total" "Next hops not resolved yet: too many requests waited.";
        }
        /// Counted by the connection table.
        NatCounters {
            connections_created: Counter "vswitch_nat_connections_created_total" "Connections created.";
            connections_hairpinned: Counter "vswitch_nat_connections_hairpinned_total" "Connections created between two containers through an external address.";
            connections_expired: Counter "vswitch_nat_connections_expired_total" "Connections that expired.";
            connections_evicted: Counter "vswitch_nat_connections_evicted_total" "Connections evicted for another one of their container.";
            connections_ended: Counter "vswitch_nat_connections_ended_total" "Connections ended with their container, with their publication, or by command.";
            icmp_errors_translated: Counter "vswitch_nat_icmp_errors_translated_total" "ICMP errors that were translated, or passed to another network.";
            connections_over_quota: Counter "vswitch_nat_quota_refusals_total" "Connections refused: their container had its quota.";
            connections_table_full: Counter "vswitch_nat_table_full_refusals_total" "Connections refused: the table was full.";
            connections_no_port: Counter "vswitch_nat_no_port_refusals_total" "Connections refused: no external port was free.";
            connections_shared: Counter "vswitch_nat_shared_port_connections_total" "Connections created that share their external port with connections to other destinations, since ports were short.";
            connections_port_awaited: Counter "vswitch_nat_port_awaited_total" "Packets dropped while further external ports were being claimed.";
        }
        /// Counted while fragments wait for the head of their packet.
        FragmentCounters {
            fragments_queued: Counter "vswitch_fragment_queued_frames_total" "Fragments that waited for the head of their packet.";
            fragments_released: Counter "vswitch_fragment_released_frames_total" "Waiting fragments whose head came.";
            fragments_completed: Counter "vswitch_fragment_completed_packets_total" "Fragmented packets that were complete.";
            fragments_duplicate: Counter "vswitch_fragment_duplicate_frames_total" "Fragments that had come before.";
            fragments_overlapping: Counter "vswitch_fragment_overlapping_packets_total" "Fragmented packets dropped: fragments overlap or contradict each other.";
            fragments_impossible: Counter "vswitch_fragment_impossible_frames_total" "Fragments that can belong to no packet.";
            fragments_timed_out: Counter "vswitch_fragment_timed_out_packets_total" "Fragmented packets that were not complete in time.";
            fragments_evicted: Counter "vswitch_fragment_evicted_packets_total" "Fragmented packets evicted for another one.";
            fragments_full: Counter "vswitch_fragment_full_frames_total" "Fragments dropped: the table was full.";
        }
        /// Counted by the worker's loop.
        RoundCounters {
            rounds: Counter "vswitch_worker_rounds_total" "Rounds of the worker's loop.";
            empty_rounds: Counter "vswitch_worker_empty_rounds_total" "Rounds without a frame.";
            spin_rounds: Gauge "vswitch_worker_spin_rounds" "Empty rounds after which the worker sleeps; 0 while it sleeps as soon as its ports are empty.";
            spin_changes: Counter "vswitch_worker_spin_changes_total" "Times that the idle policy changed the spin rounds, the first setting included.";
            throttles: Counter "vswitch_worker_throttles_total" "Times that a port was throttled: most of its frames were dropped, or it flooded.";
        }
        /// Counted by the engine.
        EngineCounters {
            sleeps: Counter "vswitch_worker_sleeps_total" "Rounds that waited for frames.";
            syscalls: Counter "vswitch_worker_syscalls_total" "System calls for packet I/O.";
            spurious_completions: Counter "vswitch_worker_spurious_completions_total" "Completions of the kernel without an operation; always 0.";
            rounds_full: Counter "vswitch_worker_full_rounds_total" "Rounds that read as many frames as a round may.";
            deficit_skips: Counter "vswitch_worker_deficit_skips_total" "Rounds that a port sat out: it had read more bytes than its quantum.";
            writes_cut: Counter "vswitch_worker_write_limit_frames_total" "Frames dropped: their port had all its writes in flight.";
            segmentation_refusals: Counter "vswitch_worker_segmentation_refusals_total" "Sends of several datagrams to a tunnel that the kernel would not segment; they left one by one.";
            queue_flushes: Counter "vswitch_worker_queue_flushes_total" "Times that the submission queue was full and was flushed.";
        }
        /// Counted by the frame pool.
        PoolCounters {
            pool_exhausted: Counter "vswitch_worker_pool_exhausted_total" "Times that no buffer was free.";
        }
    }
}
