//! Many nodes. A thousand of them are in `benches/tests/overlay.rs`.

use futures_util::future::join_all;

use super::*;

const NODES: u8 = 60;
const ENDPOINTS: usize = 10;

/// Sixty nodes lose the registry's data at once: all write again within the grace period, and none is believed gone.
#[tokio::test(start_paused = true)]
async fn many_nodes_write_again_at_once() {
    let store = MemoryStore::default();
    let mut members: Vec<_> =
        (1..=NODES).map(|n| Member::start(&store, &format!("n{n}"), n)).collect();
    members[0].create("blue", SUBNET).await.expect("create");
    for member in &mut members {
        member.until("blue", |model| model.networks.contains_key("blue")).await;
        for _ in 0..ENDPOINTS {
            member.attach(SUBNET, "c").await.expect("attach");
        }
    }
    let others = (usize::from(NODES) - 1) * ENDPOINTS;
    for member in &mut members {
        member.until("all", |model| model.endpoints.len() == others).await;
    }
    store.set_latency(Duration::from_millis(5));
    store.stop();
    tokio::time::sleep(Duration::from_secs(60)).await;
    store.wipe();
    store.start();
    let before = tokio::time::Instant::now();
    let written = members.iter().map(|member| {
        member.until_status("all told", |s| s.queued == 0 && s.doubted == 0 && s.is_connected)
    });
    join_all(written).await;
    assert!(before.elapsed() < limits::GRACE / 2, "{:?}", before.elapsed());
    for member in &mut members {
        member.go_on(limits::GRACE * 2).await;
        assert_eq!(member.model.removed, Vec::<String>::new(), "{}", member.name);
        assert_eq!(member.model.endpoints.len(), others);
    }
}
