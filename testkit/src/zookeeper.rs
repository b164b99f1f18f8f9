//! A real ZooKeeper of one server, on a port of its own of the loopback, or in a namespace on the usual one.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::thread_netns::inside;
use crate::{Netns, Process, READY_MAX, free_port, freeze, thaw, wait_for};

/// The usual port.
const PORT: u16 = 2181;

/// A server with sessions of a second and more, which ends when it is dropped.
#[derive(Debug)]
pub struct ZooKeeper {
    folder: TempDir,
    address: SocketAddr,
    /// File of the namespace that it runs in.
    netns: Option<PathBuf>,
    process: Option<Process>,
}

impl ZooKeeper {
    /// Starts a server on the loopback; returns when it serves.
    #[allow(clippy::new_without_default, reason = "it starts a process")]
    pub fn new() -> Self {
        Self::started(([127, 0, 0, 1], free_port()).into(), None)
    }

    /// Starts a server in a namespace that has the address; returns when it serves.
    pub fn inside(netns: &Netns, address: IpAddr) -> Self {
        Self::started(SocketAddr::new(address, PORT), Some(netns.path().to_owned()))
    }

    fn started(address: SocketAddr, netns: Option<PathBuf>) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let data = folder.path().join("data");
        let config = format!(
            "tickTime=500\ndataDir={}\nclientPort={}\nclientPortAddress={}\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=srvr\n",
            data.display(),
            address.port(),
            address.ip()
        );
        std::fs::write(folder.path().join("zoo.cfg"), config).expect("write");
        let mut server = Self { folder, address, netns, process: None };
        server.start();
        server
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills the server, and keeps its data.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Starts the stopped server with its data; returns when it serves.
    pub fn start(&mut self) {
        let mut command = match &self.netns {
            None => Command::new("java"),
            Some(netns) => {
                let mut command = Command::new("nsenter");
                command.arg(format!("--net={}", netns.display())).arg("java");
                command
            }
        };
        command.args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]);
        command.args(["-Dzookeeper.admin.enableServer=false", "-Dzookeeper.forceSync=no"]);
        command.args(["-cp", "/usr/share/java/zookeeper.jar"]);
        command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
        command.arg(self.folder.path().join("zoo.cfg"));
        self.process = Some(Process::spawn(&mut command));
        wait_for("ZooKeeper serves", 2 * READY_MAX, || self.serves());
    }

    /// The port opens before it serves.
    fn serves(&self) -> bool {
        let connection = inside(self.netns.as_deref(), || TcpStream::connect(self.address));
        let Ok(mut stream) = connection else { return false };
        stream.set_read_timeout(Some(Duration::from_secs(1))).expect("time-out");
        let mut text = String::new();
        stream.write_all(b"srvr").is_ok()
            && stream.read_to_string(&mut text).is_ok()
            && text.contains("Mode")
    }

    /// Deletes the data of the stopped server.
    pub fn wipe(&mut self) {
        std::fs::remove_dir_all(self.folder.path().join("data")).expect("delete the data");
    }

    /// Stops its clock: it answers nothing and keeps its connections.
    pub fn freeze(&self) {
        freeze(self.process.as_ref().expect("it runs").pid());
    }

    /// Goes on.
    pub fn thaw(&self) {
        thaw(self.process.as_ref().expect("it runs").pid());
    }
}
