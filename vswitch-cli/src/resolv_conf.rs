//! The `resolv.conf` of a container.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use vswitch::dns::resolv_conf::container_text;
use vswitch::isolate::host_resolv_conf;
use vswitch_api::port::PortDetail;

use crate::error::{Failure, Outcome};

/// A text that asks the switch, on the network of the default route first; without its DNS service, the text
/// of the host.
pub(crate) fn text(details: &[PortDetail]) -> String {
    let (first, others): (Vec<_>, Vec<_>) =
        details.iter().partition(|detail| detail.is_default_route);
    let details = first.into_iter().chain(others);
    let resolvers: Vec<_> = details.flat_map(|detail| detail.resolvers.iter().copied()).collect();
    match resolvers[..] {
        [] => host_resolv_conf(),
        _ => container_text(&resolvers, &host_resolv_conf()),
    }
}

/// Where `ip netns exec NAME` looks for the files of a namespace: ip-netns(8). Nobody else makes its folders.
const NETNS_FOLDER: &str = "/etc/netns";

/// A file that is written once the container is attached.
pub(crate) struct Target {
    path: PathBuf,
    file: File,
}

impl Target {
    /// Opens a file, or creates it.
    pub(crate) fn open(path: &Path) -> Outcome<Self> {
        if let Some(folder) = path.parent().filter(|folder| folder.starts_with(NETNS_FOLDER)) {
            std::fs::create_dir_all(folder).map_err(|error| failure(path, &error))?;
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(|error| failure(path, &error))?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Replaces its text.
    pub(crate) fn write(mut self, text: &str) -> Outcome<()> {
        let written = self.file.set_len(0).and_then(|()| self.file.write_all(text.as_bytes()));
        written.map_err(|error| failure(&self.path, &error))
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot write {}: {error}", path.display()))
}
