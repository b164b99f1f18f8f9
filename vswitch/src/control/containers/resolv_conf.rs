//! The name servers of a container: the switch's gateways, in the file behind its `/etc/resolv.conf`.
//!
//! The engine binds a file of its own there, so the text is replaced in place: another file would not be seen
//! inside. This is done where the container has no network of the engine and no `--dns` only
//! ([`Container::free_resolv_conf`]): elsewhere the engine, or its user, has named the servers. The search list and
//! the options are those of the text before, which comes back with the last detach, unless somebody else has
//! changed the file meanwhile.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::Path;

use super::super::Control;
use super::super::error::ControlError;
use super::super::store::{ContainerRecord, ResolvConfRecord};
use super::super::task::blocking;
use crate::dns::limits::RESOLV_CONF_BYTES_MAX;
use crate::dns::resolv_conf::container_text;
use crate::engine::Container;

/// The begin of each text of ours.
const OURS: &str = "# Made by vswitch";

/// The file to write to, with its text. A text that is ours already has the former one in the record before.
pub(super) async fn record(
    container: &Container,
    former: Option<&ContainerRecord>,
) -> Result<Option<ResolvConfRecord>, ControlError> {
    let Some(path) = container.free_resolv_conf() else { return Ok(None) };
    let reading = path.clone();
    match blocking(move || read(&reading)).await? {
        Ok(text) if text.starts_with(OURS) => {
            let known = former.and_then(|former| former.resolv_conf.clone());
            Ok(Some(known.unwrap_or(ResolvConfRecord { path, former: String::new() })))
        }
        Ok(former) => Ok(Some(ResolvConfRecord { path, former })),
        Err(error) => {
            let name = container.name();
            tracing::warn!(name, path = %path.display(), %error, "its resolv.conf stays as it is");
            Ok(None)
        }
    }
}

impl Control {
    /// Brings the file of a container in line with its networks.
    pub(super) async fn update_resolv_conf(&self, container: &ContainerRecord) {
        if !self.0.has_dns() {
            return;
        }
        let (gateways, known) = {
            let model = self.0.model();
            let known = model.resolv_conf_of(&container.engine, &container.id);
            (model.gateways_of_container(&container.engine, &container.id), known)
        };
        // Of the last one, the model has no record any more.
        let Some(record) = known.or_else(|| container.resolv_conf.clone()) else { return };
        let path = record.path.clone();
        let written = blocking(move || replace(&record, &gateways)).await;
        let error = match written {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let name = &container.name;
        tracing::warn!(name, path = %path.display(), %error, "its resolv.conf stays as it is");
    }
}

/// Writes the servers, or without any the former text; leaves a text that is neither ours nor the former one.
fn replace(record: &ResolvConfRecord, gateways: &[IpAddr]) -> io::Result<()> {
    let text = match gateways {
        [] => record.former.clone(),
        gateways => container_text(gateways, &record.former),
    };
    let present = match read(&record.path) {
        // The engine has removed it with the container.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        present => present?,
    };
    if present == text || !(present == record.former || present.starts_with(OURS)) {
        return Ok(());
    }
    // In place: no rename, no new inode.
    let mut file = OpenOptions::new().write(true).open(&record.path)?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

fn read(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(RESOLV_CONF_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > RESOLV_CONF_BYTES_MAX {
        return Err(io::Error::other(format!("it has more than {RESOLV_CONF_BYTES_MAX} bytes")));
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_text_is_replaced_in_place_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let former = "nameserver 192.0.2.1\nsearch example.org\noptions timeout:1\n".to_owned();
        fs::write(&path, &former).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let (before, record) = (inode(), ResolvConfRecord { path: path.clone(), former });
        let gateways = ["10.99.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        replace(&record, &gateways).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(OURS) && text.contains("nameserver 10.99.0.1\n"), "{text}");
        assert!(text.contains("search example.org\n") && text.contains("timeout:1"), "{text}");
        assert!(!text.contains("192.0.2.1"));
        replace(&record, &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), record.former);
        assert_eq!(inode(), before);
    }

    #[test]
    fn a_text_of_others_and_a_file_that_is_gone_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let record =
            ResolvConfRecord { path: path.clone(), former: "nameserver 192.0.2.1\n".into() };
        let gateways = ["10.99.0.1".parse().unwrap()];
        replace(&record, &gateways).unwrap();
        assert!(!path.exists());
        fs::write(&path, "nameserver 192.0.2.9\n").unwrap();
        replace(&record, &gateways).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "nameserver 192.0.2.9\n");
        fs::write(&path, vec![b'#'; RESOLV_CONF_BYTES_MAX as usize + 1]).unwrap();
        assert!(replace(&record, &gateways).is_err());
    }
}
