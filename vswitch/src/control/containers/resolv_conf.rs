//! The name servers of a container: the switch's gateways, in the file behind its `/etc/resolv.conf`.
//!
//! The engine binds a file of its own there, so the text is replaced in place: another file would not be seen
//! inside. This is done where the container has no network of the engine and no `--dns` only
//! ([`Container::free_resolv_conf`]): elsewhere the engine, or its user, has named the servers. The search list and
//! the options are those of the text before. That comes back with the last detach, with the end of the switch until
//! its next start, and with a start without DNS, unless somebody else has changed the file meanwhile.

use std::io;
use std::net::IpAddr;

use super::super::Control;
use super::super::error::ControlError;
use super::super::store::{ContainerRecord, ResolvConfRecord};
use super::super::task::blocking;
use super::engine_file;
use crate::dns::resolv_conf::container_text;
use crate::engine::Container;

/// The begin of each text of ours.
const OURS: &str = "# Made by vswitch";

/// The file to write to, with its text. Of a text that is ours, the known record may have the former one.
pub(super) async fn record(
    container: &Container,
    known: Option<ResolvConfRecord>,
) -> Result<Option<ResolvConfRecord>, ControlError> {
    let Some(path) = container.free_resolv_conf() else { return Ok(None) };
    let (reading, engine_uid) = (path.clone(), container.engine_uid);
    let former = match blocking(move || engine_file::read(&reading, engine_uid)).await? {
        Ok(text) if text.starts_with(OURS) => known.and_then(|known| known.former),
        Ok(text) => Some(text),
        Err(error) => {
            let name = container.name();
            tracing::warn!(name, path = %path.display(), %error, "its resolv.conf stays as it is");
            return Ok(None);
        }
    };
    Ok(Some(ResolvConfRecord { path, former, engine_uid }))
}

impl Control {
    /// Brings the files of all containers in line with their networks, and with the switch, which may end.
    pub(in crate::control) async fn update_resolv_confs(&self) {
        let containers = self.0.model().all_containers();
        for container in containers {
            self.update_resolv_conf(&container).await;
        }
    }

    /// Brings the file of a container in line with its networks.
    pub(super) async fn update_resolv_conf(&self, container: &ContainerRecord) {
        let _alone = self.0.routing.lock().await;
        let has_dns = self.0.has_dns();
        let (gateways, known) = {
            let model = self.0.model();
            let known = model.resolv_conf_of(&container.engine, &container.id);
            (model.gateways_of_container(&container.engine, &container.id), known)
        };
        let gateways = if has_dns { gateways } else { Vec::new() };
        // Of the last one, the model has no record any more.
        let Some(record) = known.or_else(|| container.resolv_conf.clone()) else { return };
        let path = record.path.clone();
        let written = blocking(move || replace(&record, &gateways)).await;
        let error = match written {
            Ok(Ok(_)) => return,
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        let name = &container.name;
        tracing::warn!(name, path = %path.display(), %error, "its resolv.conf stays as it is");
    }
}

/// Gives a container its former text back, for a switch that was killed. Says whether it did.
pub(in crate::control) fn restore(record: &ResolvConfRecord) -> io::Result<bool> {
    replace(record, &[])
}

/// Writes the servers, or without any the former text; leaves a text that is neither ours nor the former one. Says
/// whether it wrote.
fn replace(record: &ResolvConfRecord, gateways: &[IpAddr]) -> io::Result<bool> {
    let ResolvConfRecord { path, former, engine_uid } = record;
    let present = match engine_file::read(path, *engine_uid) {
        // The engine has removed it with the container.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        present => present?,
    };
    let text = match (gateways, former) {
        ([], None) => return Ok(false),
        ([], Some(former)) => former.clone(),
        // Ours has the search list and the options of the former one.
        (gateways, former) => container_text(gateways, former.as_ref().unwrap_or(&present)),
    };
    let is_former = former.as_ref().is_some_and(|former| *former == present);
    if present == text || !(is_former || present.starts_with(OURS)) {
        return Ok(false);
    }
    engine_file::write(path, *engine_uid, &text)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::*;
    use crate::dns::limits::RESOLV_CONF_BYTES_MAX;

    fn record(path: &Path, former: Option<&str>) -> ResolvConfRecord {
        ResolvConfRecord { path: path.to_owned(), former: former.map(str::to_owned), engine_uid: 0 }
    }

    #[test]
    fn the_text_is_replaced_in_place_and_comes_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let former = "nameserver 192.0.2.1\nsearch example.org\noptions timeout:1\n".to_owned();
        fs::write(&path, &former).unwrap();
        let inode = || fs::metadata(&path).unwrap().ino();
        let (before, record) = (inode(), record(&path, Some(&former)));
        let gateways = ["10.99.0.1".parse().unwrap(), "fd00::1".parse().unwrap()];
        replace(&record, &gateways).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with(OURS) && text.contains("nameserver 10.99.0.1\n"), "{text}");
        assert!(text.contains("search example.org\n") && text.contains("timeout:1"), "{text}");
        assert!(!text.contains("192.0.2.1"));
        replace(&record, &[]).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), former);
        // It is written again after the next start.
        assert!(replace(&record, &gateways).unwrap());
        assert_eq!(inode(), before);
    }

    #[test]
    fn a_text_of_others_and_a_file_that_is_gone_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let record = record(&path, Some("nameserver 192.0.2.1\n"));
        let gateways = ["10.99.0.1".parse().unwrap()];
        replace(&record, &gateways).unwrap();
        assert!(!path.exists());
        fs::write(&path, "nameserver 192.0.2.9\n").unwrap();
        replace(&record, &gateways).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "nameserver 192.0.2.9\n");
        fs::write(&path, vec![b'#'; RESOLV_CONF_BYTES_MAX as usize + 1]).unwrap();
        assert!(replace(&record, &gateways).is_err());
    }
    /// A text of ours whose former one nobody knows, as after a lost document.
    #[test]
    fn without_the_former_text_nothing_is_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let ours = container_text(&["10.99.0.1".parse().unwrap()], "search example.org\n");
        fs::write(&path, &ours).unwrap();
        let record = record(&path, None);
        assert!(!replace(&record, &[]).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), ours);
        assert!(replace(&record, &["10.98.0.1".parse().unwrap()]).unwrap());
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("nameserver 10.98.0.1\n") && !text.contains("10.99.0.1"), "{text}");
        assert!(text.contains("search example.org\n"), "{text}");
    }
}
