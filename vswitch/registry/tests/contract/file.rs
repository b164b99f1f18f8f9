//! A file: what of the contract concerns it.

use std::time::Duration;

use tempfile::TempDir;
use vswitch_registry::record::{Record, prefix};
use vswitch_registry::{Operation, RegistryError, Revision};

use crate::server::connect_url;
use crate::suite;
use crate::watches::Mirror;

const PEERS: &str = r#"
[[network]]
name = "blue"
vni = 42
subnets = ["10.50.0.0/16", "fd00:50::/64"]

[[node]]
name = "n1"
address = "192.0.2.1"

[[endpoint]]
network = "blue"
address = "10.50.0.70"
node = "n1"
mac = "02:00:00:00:00:01"
name = "web"
aliases = ["www"]
"#;

fn write(folder: &TempDir, text: &str) {
    // As editors do: a new file takes the old one's place.
    let (new, path) = (folder.path().join("new"), folder.path().join("peers.toml"));
    std::fs::write(&new, text).expect("write");
    std::fs::rename(new, path).expect("rename");
}

#[test]
fn a_file_is_read_and_followed() {
    let folder = tempfile::tempdir().expect("folder");
    let url = format!("file://{}", folder.path().join("peers.toml").display());
    suite::run(async {
        let registry = connect_url(&url).expect("opens");
        let error = registry.list("").await.expect_err("no file");
        assert!(error.to_string().contains("peers.toml"), "{error}");
        write(&folder, PEERS);
        let listing = registry.list(prefix::ALL).await.expect("list");
        let keys: Vec<_> = listing.entries.iter().map(|entry| entry.key.as_str()).collect();
        let expected = [
            "v1/endpoints/blue/10.50.0.64-26/10.50.0.70",
            "v1/networks/blue",
            "v1/nodes/n1",
            "v1/vnis/42",
            "v1/vteps/192.0.2.1_4789",
        ];
        assert_eq!(keys, expected);
        for entry in &listing.entries {
            let record = Record::decode(entry).expect("a record");
            assert_eq!((record.key(), record.value()), (entry.key.clone(), entry.value.clone()));
        }
        let mut mirror = Mirror::of(&*registry, &listing);
        write(&folder, &PEERS.replace("02:00:00:00:00:01", "02:00:00:00:00:02"));
        mirror.until_same("another MAC address", &*registry, prefix::ALL).await;
        write(&folder, "[[node]]\nname = 1");
        mirror.until("the fault", |mirror| mirror.is_interrupted).await;
        assert_eq!(mirror.entries.len(), 5, "what was known stays");
        write(&folder, &PEERS.replace("\"www\"", ""));
        mirror.until("the file is right again", |mirror| !mirror.is_interrupted).await;
        mirror.until_same("the mended file", &*registry, prefix::ALL).await;
        std::fs::remove_file(folder.path().join("peers.toml")).expect("remove");
        mirror.until("the file is gone", |mirror| mirror.is_interrupted).await;
        assert_eq!(mirror.entries.len(), 5);
        let create = Operation::Create { key: "v1/x".to_owned(), value: vec![1], lease: None };
        let errors = [
            registry.transact(&[create]).await.err(),
            registry.delete("v1/x", Revision(1)).await.err(),
            registry.grant(Duration::from_secs(1)).await.err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(RegistryError::ReadOnly { .. })), "{error:?}");
        }
    });
}
