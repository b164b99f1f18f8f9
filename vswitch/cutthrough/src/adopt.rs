//! Programs that a killed switch has left attached: their maps hold its connections.

use std::os::fd::{AsFd, OwnedFd};

use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle, Program};

use crate::cgroup::Cgroup;
use crate::layout::LAYOUT_VERSION;
use crate::{Error, sys};

/// What a former program of this switch has left.
#[derive(Debug)]
pub(crate) struct LeftOver {
    /// The program of the cgroup.
    pub(crate) program: OwnedFd,
    /// All maps that it uses.
    pub(crate) maps: Vec<MapHandle>,
}

impl LeftOver {
    /// The one of a switch, if there is one.
    ///
    /// # Errors
    ///
    /// [`Error::OtherVersion`] while programs of another layout carry connections.
    pub(crate) fn find(cgroup: &Cgroup, instance: u64) -> Result<Option<Self>, Error> {
        let attached = sys::attached(cgroup.file.as_fd())
            .map_err(|source| Error::Cgroup { path: cgroup.path.clone(), source })?;
        let options = ProgInfoQueryOptions::default().include_map_ids(true);
        let programs = ProgInfoIter::with_query_opts(options);
        for program in programs.filter(|it| attached.contains(&it.id)) {
            let maps: Vec<MapHandle> =
                program.map_ids.iter().filter_map(|&id| MapHandle::from_map_id(id).ok()).collect();
            let Some([owner, version, _]) = maps.iter().find_map(identity) else { continue };
            if owner != instance {
                continue;
            }
            let Ok(fd) = Program::fd_from_id(program.id) else { continue };
            let found = Self { program: fd, maps };
            if version == LAYOUT_VERSION {
                return Ok(Some(found));
            }
            match found.sockets() {
                0 => drop(sys::detach(found.program.as_fd(), cgroup.file.as_fd())),
                sockets => return Err(Error::OtherVersion(sockets)),
            }
        }
        Ok(None)
    }

    /// A map by the name that the programs give it; the kernel keeps 15 characters.
    pub(crate) fn map(&self, name: &str) -> Option<&MapHandle> {
        let kept = &name[..name.len().min(15)];
        self.maps.iter().find(|map| map.name() == kept)
    }

    /// Sockets that are joined.
    fn sockets(&self) -> usize {
        self.map("sockets").map_or(0, |map| map.keys().count())
    }
}

/// Instance, version and validity of a map with this name.
fn identity(map: &MapHandle) -> Option<[u64; 3]> {
    if map.name() != "identity" {
        return None;
    }
    let value = map.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY).ok()??;
    let words = value.as_chunks::<8>().0;
    Some([0, 1, 2].map(|i| words.get(i).map_or(0, |&word| u64::from_ne_bytes(word))))
}
