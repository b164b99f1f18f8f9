//! Programs that the commands of a page find by PATH, in a folder of the test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `sudo`, as on a machine where one is root already; it takes assignments, too.
const SUDO: &str = "exec env \"$@\"";

/// That of root on a new machine.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A folder with programs, `sudo` among them.
pub(crate) struct Programs(PathBuf);

impl Programs {
    /// Makes the folder.
    #[track_caller]
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir(&folder).expect("a folder");
        let programs = Self(folder);
        programs.add("sudo", SUDO);
        programs
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.0
    }

    /// Adds a program: a script of `sh`.
    #[track_caller]
    pub(crate) fn add(&self, name: &str, script: &str) {
        let path = self.0.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect(name);
    }

    /// Lets a command find them.
    pub(crate) fn on_path(&self, command: &mut Command) {
        command.env("PATH", format!("{}:{PATH}", self.0.display()));
    }
}
