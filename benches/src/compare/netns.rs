//! Network namespaces that go away with their guard.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Result;

use crate::shell;

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A named network namespace, deleted when dropped.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
    path: PathBuf,
}

impl Netns {
    /// Makes one, with its loopback interface up.
    pub(crate) fn new(tag: &str) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vswb-{}-{number}-{tag}", std::process::id());
        let path = Path::new("/run/netns").join(&name);
        shell::run(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name, path };
        shell::run(netns.command("ip").args(["link", "set", "lo", "up"]))?;
        Ok(netns)
    }

    /// Gives an interface in it an address in the contenders' subnet.
    pub(crate) fn bring_up(&self, device: &str, address: &str) -> Result<()> {
        let script = format!("addr add {address}/16 dev {device}\nlink set {device} up\n");
        shell::ip_batch(&self.path, &script)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A program that is to run in it.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        shell::in_netns(&self.path, program)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        shell::clean_up(Command::new("ip").args(["netns", "del", &self.name]));
    }
}

/// Namespaces that play the containers: made beforehand, handed out one by one.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    spare: Vec<Netns>,
    used: Vec<Netns>,
}

impl Sandboxes {
    /// Makes some in advance, so that they cost nothing while ports are measured.
    pub(crate) fn prepare(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.spare.push(Netns::new("c")?);
        }
        Ok(())
    }

    /// The next one, and its number from 0.
    pub(crate) fn take(&mut self) -> Result<(usize, &Netns)> {
        let netns = match self.spare.pop() {
            Some(netns) => netns,
            None => Netns::new("c")?,
        };
        self.used.push(netns);
        let number = self.used.len() - 1;
        Ok((number, &self.used[number]))
    }

    /// Deletes them all.
    pub(crate) fn clear(&mut self) {
        self.spare.clear();
        self.used.clear();
    }
}
