//! The contract, in the order of its cases.

use std::future::Future;
use std::time::Duration;

use crate::server::Server;
use crate::{leases, nodes, operations, outages, scale, watches};

pub(crate) fn run<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("runtime").block_on(test);
}

/// Runs with a clock that jumps to the next time anybody waits for.
pub(crate) fn run_paused<F: Future<Output = ()>>(test: F) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().expect("runtime").block_on(test);
}

/// How long a server hangs; `make soak` asks for a minute.
fn frozen() -> Duration {
    let seconds = std::env::var("SOAK_FREEZE_SECONDS").ok();
    Duration::from_secs(seconds.map_or(4, |text| text.parse().expect("seconds")))
}

/// Runs every case against a server. Cases that need the server for themselves come last.
pub(crate) async fn contract(server: &mut dyn Server) {
    let began = tokio::time::Instant::now();
    let scheme = server.scheme();
    let stage = |name: &str| eprintln!("{scheme}: {name} after {} ms", began.elapsed().as_millis());
    operations::all(server).await;
    stage("operations");
    scale::many_entries(server).await;
    stage("many entries");
    tokio::join!(
        watches::tells_every_change(server),
        watches::has_no_gap_across_a_reconnect(server),
        watches::has_no_gap_across_compaction(server),
        leases::entries_end_with_their_lease(server),
        leases::a_lease_is_kept_alive_and_revoked(server),
        leases::a_partition_ends_a_lease_and_its_holder_is_told(server),
        outages::another_endpoint_answers(server),
        nodes::register_and_announce(server),
        nodes::change_vtep(server),
        nodes::claim_blocks(server),
    );
    stage("watches and leases");
    outages::a_frozen_server_is_noticed(server, frozen()).await;
    stage("freeze");
    outages::a_restart_loses_nothing(server).await;
    stage("restart");
    outages::a_store_that_lost_its_data_is_told(server).await;
    stage("loss of data");
}
