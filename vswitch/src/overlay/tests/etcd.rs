//! The main path by real servers: etcd, and the double of Consul.

use testkit::{Consul, Etcd};
use vswitch_registry::{RegistryUrl, open};

use super::*;

/// Short times, so that a lease and a grace period end within the test.
fn member(url: &str, name: &str, last: u8, ttl: u64) -> Member {
    let url: RegistryUrl = url.parse().expect("a URL");
    let conf = OverlayConf::new(node(name, last), open(&url).expect("opens"), url.to_string());
    let (ttl, grace) = (Duration::from_secs(ttl), Duration::from_secs(8));
    Member::with(OverlayConf { ttl, grace, ..conf })
}

async fn three(url: &str, ttl: u64) -> (Member, Member, Member) {
    let mut members =
        [("n1", 1), ("n2", 2), ("n3", 3)].map(|(name, last)| member(url, name, last, ttl));
    members[0].create("blue", SUBNET).await.expect("create");
    for member in &mut members {
        member.until("blue and the nodes", |m| m.networks.len() == 1 && m.nodes.len() == 2).await;
    }
    members.into()
}

/// Attach on two nodes; a third one dies, and is forgotten after its lease.
async fn attach_and_die(one: &mut Member, two: &mut Member, three: Member) -> (IpAddr, IpAddr) {
    let first = one.attach(SUBNET, "web").await.expect("attach");
    let second = two.attach(SUBNET, "db").await.expect("attach");
    let third = three.attach(SUBNET, "cache").await.expect("attach");
    one.until("the others", |m| m.node_of(second) == Some("n2") && m.node_of(third) == Some("n3"))
        .await;
    two.until("the others", |m| m.node_of(first) == Some("n1") && m.node_of(third) == Some("n3"))
        .await;
    drop(three);
    let is_forgotten = |m: &Model| m.node_of(third).is_none() && !m.nodes.contains_key("n3");
    one.until("n3's end", is_forgotten).await;
    two.until("n3's end", is_forgotten).await;
    assert_eq!(one.model.node_of(second), Some("n2"));
    one.model.removed.clear();
    two.model.removed.clear();
    (first, second)
}

#[tokio::test]
async fn by_etcd() {
    let mut server = Etcd::new(Vec::new());
    let url = format!("etcd://{}/overlay", server.address());
    let (mut one, mut two, dying) = three(&url, 3).await;
    let (first, second) = attach_and_die(&mut one, &mut two, dying).await;
    // The server restarts: attachments go on, nobody is believed gone.
    server.stop();
    for member in [&one, &two] {
        member.until_status("the outage", |status| !status.is_connected).await;
    }
    let meanwhile = one.allocate(SUBNET).await.expect("allocate");
    assert_eq!(one.announce(meanwhile, "meanwhile").await, Ok(Progress::Queued));
    server.start();
    two.until("what was attached meanwhile", |m| m.node_of(meanwhile) == Some("n1")).await;
    // The data is deleted: all is written again.
    server.stop();
    for member in [&one, &two] {
        member.until_status("the outage", |status| !status.is_connected).await;
    }
    let vni = one.model.networks["blue"].vni;
    server.wipe();
    server.start();
    for member in [&one, &two] {
        member.until_status("the grace period", |status| status.grace.is_some()).await;
    }
    for member in [&mut one, &mut two] {
        let is_over = |s: &OverlayStatus| s.grace.is_none() && s.queued == 0 && s.doubted == 0;
        member.until_status("its end", is_over).await;
        member.go_on(Duration::from_millis(500)).await;
        assert_eq!(member.model.removed, Vec::<String>::new(), "{}", member.name);
        assert_eq!(member.model.networks["blue"].vni, vni);
    }
    assert_eq!(one.model.node_of(second), Some("n2"));
    assert_eq!(two.model.node_of(first), Some("n1"));
    let status = one.status().await;
    assert!(status.revision.0 > 0 && status.lease.is_some(), "{status:?}");
    assert_eq!(status.url, url);
    assert!(status.lag < Duration::from_secs(2), "{status:?}");
    // A node that comes now knows all; one that leaves is forgotten at once.
    let mut four = member(&url, "n4", 4, 3);
    four.until("all", |m| m.endpoints.len() == 3 && m.nodes.len() == 2).await;
    one.overlay.close().await.expect("close");
    four.until("n1's end", |m| m.endpoints.len() == 1 && m.nodes.len() == 1).await;
}

#[tokio::test]
async fn by_consul() {
    let server = Consul::start(None);
    let url = format!("consul://{}/overlay", server.address());
    let (mut one, mut two, dying) = three(&url, 10).await;
    let (first, _) = attach_and_die(&mut one, &mut two, dying).await;
    assert_eq!(one.detach(first).await, Progress::Written);
    two.until("its end", |model| model.endpoints.is_empty()).await;
}
