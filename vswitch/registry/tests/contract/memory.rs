//! The registry in memory that other tests use.

use std::net::SocketAddr;
use std::sync::Arc;

use vswitch_registry::Registry;
use vswitch_registry::memory::{MemoryRegistry, MemoryStore};

use crate::server::{Link, Server};
use crate::suite;

impl Link for MemoryRegistry {
    fn cut(&self) {
        MemoryRegistry::cut(self);
    }

    fn heal(&self) {
        MemoryRegistry::heal(self);
    }
}

impl Server for MemoryStore {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn address(&self) -> Option<SocketAddr> {
        None
    }

    fn client(&self, prefix: &str) -> Arc<dyn Registry> {
        Arc::new(MemoryStore::client(self, prefix))
    }

    fn link(&self, prefix: &str) -> (Arc<dyn Registry>, Box<dyn Link>) {
        let client = MemoryStore::client(self, prefix);
        (Arc::new(client.clone()), Box::new(client))
    }

    fn has_history(&self) -> bool {
        true
    }

    fn stop(&mut self) {
        MemoryStore::stop(self);
    }

    fn start(&mut self) {
        MemoryStore::start(self);
    }

    fn wipe(&mut self) {
        MemoryStore::wipe(self);
    }

    fn freeze(&self) {
        MemoryStore::freeze(self);
    }

    fn thaw(&self) {
        MemoryStore::thaw(self);
    }

    fn compact(&self) {
        MemoryStore::compact(self);
    }
}

#[test]
fn memory_keeps_the_contract() {
    suite::run_paused(async {
        for operations_max in [64, 32] {
            suite::contract(&mut MemoryStore::new(operations_max)).await;
        }
    });
}
