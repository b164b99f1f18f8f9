//! A file as the registry: it is only read.

use tempfile::TempDir;
use vswitch_registry::{RegistryError, RegistryUrl, open};

use super::*;

const PEERS: &str = r#"
[[network]]
name = "blue"
vni = 42
subnets = ["10.50.0.0/16", "fd00:50::/64"]

[[node]]
name = "n1"
address = "192.0.2.1"

[[node]]
name = "n2"
address = "192.0.2.2"

[[endpoint]]
network = "blue"
address = "10.50.0.70"
node = "n1"
mac = "02:00:00:00:00:01"
name = "web"

[[endpoint]]
network = "blue"
address = "10.50.0.71"
node = "n2"
mac = "02:00:00:00:00:02"
name = "db"
"#;

fn write(folder: &TempDir, text: &str) {
    let (new, path) = (folder.path().join("new"), folder.path().join("peers.toml"));
    std::fs::write(&new, text).expect("write");
    std::fs::rename(new, path).expect("rename");
}

fn member(folder: &TempDir, node: Node) -> Member {
    let path = folder.path().join("peers.toml");
    let url: RegistryUrl = format!("file://{}", path.display()).parse().expect("a URL");
    let registry = open(&url).expect("opens");
    Member::with(OverlayConf::new(node, registry, url.to_string()))
}

#[tokio::test(start_paused = true)]
async fn networks_nodes_and_endpoints_of_a_file() {
    let folder = tempfile::tempdir().expect("folder");
    write(&folder, PEERS);
    let mut one = member(&folder, node("n1", 1));
    one.until("n2's endpoint", |m| m.node_of(ip("10.50.0.71")) == Some("n2")).await;
    assert_eq!(one.overlay.registered().await, Ok(()));
    assert_eq!((one.model.networks["blue"].vni, one.model.nodes.len()), (42, 1));
    let status = one.status().await;
    assert!(status.is_connected && status.lease.is_none() && status.queued == 0, "{status:?}");
    // By its name, with the file's MAC address; nothing is allocated.
    let subnet = SUBNET.parse().expect("a subnet");
    let any = |name: &str| AddressRequest::Any { subnet, name: name.to_owned() };
    let web = one.overlay.allocate("blue", any("web")).await.expect("allocate");
    let expected = Allocation { address: ip("10.50.0.70"), mac: Some([2, 0, 0, 0, 0, 1].into()) };
    assert_eq!(web, expected);
    for request in [
        any("db"),
        any(""),
        AddressRequest::Fixed(ip("10.50.0.71")),
        AddressRequest::Fixed(ip("10.50.0.99")),
    ] {
        let error = one.overlay.allocate("blue", request.clone()).await.expect_err("not here");
        let text = error.to_string();
        assert!(matches!(error, NodeError::NotInFile { .. }), "{request:?}: {error}");
        assert!(text.contains("peers.toml") && text.contains("n1"), "{text}");
    }
    let mut announced = endpoint(web.address, "web");
    let error = one.overlay.announce(vec![announced.clone()]).await;
    assert!(matches!(error, Err(NodeError::MacDiffers { .. })), "{error:?}");
    announced.mac = web.mac.expect("a MAC address");
    assert_eq!(one.overlay.announce(vec![announced]).await, Ok(Progress::Written));
    for error in [
        one.create("red", "10.9.0.0/16").await.err(),
        one.overlay.delete_network("blue").await.err(),
    ] {
        let is_right = matches!(
            error,
            Some(
                NodeError::Registry(RegistryError::ReadOnly { .. })
                    | NodeError::NetworkInUse { .. }
            )
        );
        assert!(is_right, "{error:?}");
    }
    // The file takes the address away, and gives it back.
    write(&folder, &PEERS.replace("\"n1\"\nmac", "\"n2\"\nmac"));
    one.until("the refusal", |model| !model.refused.is_empty()).await;
    one.until("it is n2's", |m| m.node_of(web.address) == Some("n2")).await;
    write(&folder, PEERS);
    one.until("it is local", |m| !m.endpoints.contains_key(&web.address)).await;
    assert_eq!(one.status().await.faults, Vec::<String>::new());
    // An error in the file changes nothing; what it lacks afterwards is gone at once.
    write(&folder, "[[node]]\nname = 1");
    one.until_status("the error", |status| !status.is_connected).await;
    one.go_on(Duration::from_secs(60)).await;
    assert_eq!(one.model.endpoints.len(), 1);
    write(&folder, PEERS.split("[[endpoint]]").next().expect("a part"));
    let before = tokio::time::Instant::now();
    one.until("no endpoint", |model| model.endpoints.is_empty()).await;
    assert!(before.elapsed() < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_does_not_describe_the_node() {
    let folder = tempfile::tempdir().expect("folder");
    write(&folder, PEERS);
    for stranger in [node("n3", 3), node("n1", 9)] {
        let one = member(&folder, stranger);
        let error = one.overlay.registered().await.expect_err("unknown");
        assert!(matches!(error, NodeError::NodeNotInFile { .. }), "{error}");
        assert!(one.status().await.problem.expect("a problem").contains("[[node]]"));
    }
    let one = member(&folder, node("n3", 3));
    assert!(one.overlay.registered().await.is_err());
    write(&folder, &format!("{PEERS}\n[[node]]\nname = \"n3\"\naddress = \"192.0.2.3\"\n"));
    one.until_status("it is described", |status| status.problem.is_none()).await;
    assert_eq!(one.overlay.registered().await, Ok(()));
}
