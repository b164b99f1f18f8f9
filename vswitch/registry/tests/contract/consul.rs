//! Consul as a double of its HTTP API (`testkit/src/consul.rs`).

use std::net::SocketAddr;
use std::time::Duration;

use testkit::Consul;
use vswitch_registry::RegistryError;

use crate::server::{Server, connect_url};
use crate::suite;

impl Server for Consul {
    fn scheme(&self) -> &'static str {
        "consul"
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(Consul::address(self))
    }

    fn stop(&mut self) {
        Consul::stop(self);
    }

    fn start(&mut self) {
        self.restart();
    }

    fn wipe(&mut self) {
        Consul::wipe(self);
    }

    fn freeze(&self) {
        Consul::freeze(self);
    }

    fn thaw(&self) {
        Consul::thaw(self);
    }

    fn compact(&self) {
        self.reap_tombstones();
    }

    /// Its least, which the double halves.
    fn short_ttl(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[test]
fn consul_keeps_the_contract() {
    suite::run(async { suite::contract(&mut Consul::start(None)).await });
}

#[test]
fn consul_with_a_token() {
    let server = Consul::start(Some("secret-token"));
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("token");
    suite::run(async {
        let at = Consul::address(&server);
        std::fs::write(&file, "secret-token\n").expect("write");
        let url = format!("consul://{at}?token-file={}", file.display());
        let registry = connect_url(&url).expect("opens");
        registry.create("v1/x", "1", None).await.expect("create");
        assert!(!format!("{registry:?}").contains("secret-token"), "{registry:?}");
        std::fs::write(&file, "another\n").expect("write");
        for url in [url, format!("consul://{at}")] {
            let registry = connect_url(&url).expect("opens");
            let errors = [
                registry.status().await.err(),
                registry.create("v1/y", "1", None).await.err(),
                registry.grant(Duration::from_secs(10)).await.err(),
            ];
            for error in errors {
                assert!(matches!(error, Some(RegistryError::Denied { .. })), "{error:?}");
            }
        }
    });
}
