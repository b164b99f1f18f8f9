//! ZooKeeper as a real server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use testkit::{Process, free_port, wait_for};
use vswitch_registry::RegistryError;

use crate::server::{PATIENCE, Server, connect_url, local};
use crate::suite;

/// A ZooKeeper of one server, with sessions of a second and more.
struct ZooKeeper {
    folder: TempDir,
    port: u16,
    process: Option<Process>,
}

impl ZooKeeper {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let mut server = Self { folder, port: free_port(), process: None };
        let data = server.folder.path().join("data");
        let config = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=srvr\n",
            data.display(),
            server.port
        );
        std::fs::write(server.folder.path().join("zoo.cfg"), config).expect("write");
        server.start();
        server
    }

    fn serves(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(local(self.port)) else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).expect("time-out");
        let mut text = String::new();
        stream.write_all(b"srvr").is_ok()
            && stream.read_to_string(&mut text).is_ok()
            && text.contains("Mode")
    }
}

impl Server for ZooKeeper {
    fn scheme(&self) -> &'static str {
        "zookeeper"
    }

    fn address(&self) -> Option<SocketAddr> {
        Some(local(self.port))
    }

    fn stop(&mut self) {
        self.process = None;
    }

    fn start(&mut self) {
        let mut java = Command::new("java");
        java.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        java.args(["-Dzookeeper.admin.enableServer=false", "-Dzookeeper.forceSync=no"]);
        java.args(["-cp", "/usr/share/java/zookeeper.jar"]);
        java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        java.arg(self.folder.path().join("zoo.cfg"));
        self.process = Some(Process::spawn(&mut java));
        wait_for("ZooKeeper serves", PATIENCE, || self.serves());
    }

    fn wipe(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("data")).expect("delete the data");
    }

    fn freeze(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGSTOP);
    }

    fn thaw(&self) {
        self.process.as_ref().expect("it runs").signal(Signal::SIGCONT);
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
    let at = |user: &str| format!("zookeeper://{user}{}/users", local(server.port));
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
