//! ZooKeeper as a real server.

use std::net::SocketAddr;

use testkit::ZooKeeper;
use vswitch_registry::RegistryError;

use crate::server::{Server, connect_url};
use crate::suite;

impl Server for ZooKeeper {
    fn scheme(&self) -> &'static str {
        "zookeeper"
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(ZooKeeper::address(self))
    }

    fn stop(&mut self) {
        ZooKeeper::stop(self);
    }

    fn start(&mut self) {
        ZooKeeper::start(self);
    }

    fn wipe(&mut self) {
        ZooKeeper::wipe(self);
    }

    fn freeze(&self) {
        ZooKeeper::freeze(self);
    }

    fn thaw(&self) {
        ZooKeeper::thaw(self);
    }
}

#[test]
fn zookeeper_keeps_the_contract() {
    suite::run(async {
        let mut server = ZooKeeper::new();
        nobody_else_has_access(&server).await;
        an_entry_has_none_below_it(&server).await;
        suite::contract(&mut server).await;
    });
}

/// ZooKeeper takes any user; what a user created is closed to others.
async fn nobody_else_has_access(server: &ZooKeeper) {
    let at = |user: &str| format!("zookeeper://{user}{}/users", ZooKeeper::address(server));
    let owner = connect_url(&at("node:nodepass@")).expect("opens");
    owner.create("v1/x", "1", None).await.expect("create");
    assert!(owner.get("v1/x").await.expect("get").is_some());
    for user in ["node:other@", "nobody:nodepass@", ""] {
        let registry = connect_url(&at(user)).expect("opens");
        let errors = [
            registry.get("v1/x").await.err(),
            registry.list("").await.err(),
            registry.create("v1/y", "1", None).await.err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(RegistryError::Denied { .. })), "{user}: {error:?}");
        }
    }
}

async fn an_entry_has_none_below_it(server: &ZooKeeper) {
    let registry = server.client("below");
    registry.create("a/b", "1", None).await.expect("create");
    let result = registry.create("a/b/c", "1", None).await;
    assert!(matches!(result, Err(RegistryError::BadRequest(_))), "{result:?}");
    assert_eq!(registry.list("").await.expect("list").entries.len(), 1);
}
