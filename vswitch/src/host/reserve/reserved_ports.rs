//! `net.ipv4.ip_local_reserved_ports`: ports that the host assigns to no connection of its own.
//!
//! Ports that others reserved stay: ours are merged in, and only those that we added are removed again. A file
//! in the state directory lists them, with the boot, from before the change until after the restoration, so
//! that the next `up` or `down` restores the setting after a crash.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ReserveError;
use crate::host::netns::boot_id;
use crate::regular_file;

const RESERVED: &str = "/proc/sys/net/ipv4/ip_local_reserved_ports";
const EPHEMERAL: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// In the state directory.
const SAVED_FILE: &str = "reserved-ports.json";

/// A set of ports: intervals in order, none touching the next.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    pub(crate) fn from_ranges(ranges: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        let mut all: Vec<(u16, u16)> =
            ranges.into_iter().filter(|r| !r.is_empty()).map(|r| (*r.start(), *r.end())).collect();
        all.sort_unstable();
        let mut ports: Vec<(u16, u16)> = Vec::new();
        for (first, last) in all {
            match ports.last_mut() {
                Some(open) if u32::from(first) <= u32::from(open.1) + 1 => {
                    open.1 = open.1.max(last)
                }
                _ => ports.push((first, last)),
            }
        }
        Self(ports)
    }

    /// As the kernel writes it: `8080,9148-9200`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut ranges = Vec::new();
        for part in text.trim().split(',').filter(|part| !part.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            ranges.push(first.parse().ok()?..=last.parse().ok()?);
        }
        Some(Self::from_ranges(ranges))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u16>> {
        self.0.iter().map(|(first, last)| *first..=*last)
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges().chain(other.ranges()))
    }

    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut left = Vec::new();
        for (first, last) in &self.0 {
            let mut next = u32::from(*first);
            for (cut_first, cut_last) in &other.0 {
                if cut_last < first || cut_first > last {
                    continue;
                }
                if u32::from(*cut_first) > next {
                    left.push(next as u16..=cut_first - 1);
                }
                next = next.max(u32::from(*cut_last) + 1);
            }
            if next <= u32::from(*last) {
                left.push(next as u16..=*last);
            }
        }
        Self::from_ranges(left)
    }
}

impl std::fmt::Display for PortSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |(first, last): &(u16, u16)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        };
        f.write_str(&self.0.iter().map(part).collect::<Vec<_>>().join(","))
    }
}

/// File in the state directory.
#[derive(Debug, Serialize, Deserialize)]
struct SavedRanges {
    boot_id: String,
    /// Ports that we added.
    added: PortSet,
}

/// Our ports in the setting; dropping it takes them out again.
#[derive(Debug)]
pub(crate) struct ReservedPorts(Option<ReservedPortsParts>);

/// Our ports in the setting, without the undoing; see [`ReservedPorts::into_parts`].
#[derive(Debug)]
pub(crate) struct ReservedPortsParts {
    saved: PathBuf,
    added: PortSet,
}

impl ReservedPorts {
    /// Reserves `ports`, after undoing what a crash left.
    pub(crate) fn reserve(state_dir: &Path, ports: &PortSet) -> Result<Self, ReserveError> {
        restore_after_crash(state_dir)?;
        let saved = state_dir.join(SAVED_FILE);
        let mut reserved = Self(Some(ReservedPortsParts { saved, added: PortSet::default() }));
        reserved.change(ports)?;
        Ok(reserved)
    }

    /// Gives up the ports without taking them out of the setting.
    pub(crate) fn into_parts(mut self) -> Option<ReservedPortsParts> {
        self.0.take()
    }

    /// Takes over ports that are in the setting.
    pub(crate) fn from_parts(parts: Option<ReservedPortsParts>) -> Self {
        Self(parts)
    }

    /// Reserves our ports again where somebody took them out; says whether that was so.
    pub(crate) fn restore(&self) -> Result<bool, ReserveError> {
        let Some(ours) = &self.0 else { return Ok(false) };
        let now = read()?;
        if ours.added.without(&now).is_empty() {
            return Ok(false);
        }
        write(&now.union(&ours.added))?;
        Ok(true)
    }

    /// Reserves other ports instead.
    pub(crate) fn change(&mut self, ports: &PortSet) -> Result<(), ReserveError> {
        let Some(ours) = &mut self.0 else { return Ok(()) };
        let now = read()?;
        let others = now.without(&ours.added);
        let added = ports.without(&others);
        if added == ours.added {
            return Ok(());
        }
        // Both sets: a crash in between undoes either.
        write_saved(&ours.saved, &added.union(&ours.added))?;
        write(&others.union(&added))?;
        write_saved(&ours.saved, &added)?;
        ours.added = added;
        Ok(())
    }
}

impl Drop for ReservedPorts {
    fn drop(&mut self) {
        let Some(ours) = self.0.take() else { return };
        let undone = read().and_then(|now| write(&now.without(&ours.added)));
        let forgotten = undone.and_then(|()| remove_saved(&ours.saved));
        if let Err(error) = forgotten {
            tracing::warn!(%error, ports = %ours.added, "these ports stay reserved");
        }
    }
}

/// Undoes what a crash left in this boot of the host. Returns the ports that are no longer reserved.
pub(crate) fn restore_after_crash(state_dir: &Path) -> Result<PortSet, ReserveError> {
    let path = state_dir.join(SAVED_FILE);
    let text = match regular_file::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PortSet::default()),
        Err(source) => return Err(ReserveError::File { path, source }),
    };
    let mut restored = PortSet::default();
    match serde_json::from_slice::<SavedRanges>(&text) {
        Ok(saved) if boot_id().is_ok_and(|boot| boot == saved.boot_id) => {
            write(&read()?.without(&saved.added))?;
            restored = saved.added;
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "ignored: not a list of reserved ports");
        }
    }
    remove_saved(&path)?;
    Ok(restored)
}

fn write_saved(path: &Path, added: &PortSet) -> Result<(), ReserveError> {
    let failed = |source| ReserveError::File { path: path.to_owned(), source };
    let saved = SavedRanges { boot_id: boot_id().map_err(failed)?, added: added.clone() };
    let text = serde_json::to_vec(&saved).map_err(|error| failed(io::Error::other(error)))?;
    let new = path.with_extension("new");
    regular_file::write(&new, text).and_then(|()| fs::rename(&new, path)).map_err(failed)
}

fn remove_saved(path: &Path) -> Result<(), ReserveError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(ReserveError::File { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

fn read() -> Result<PortSet, ReserveError> {
    let failed = |source| ReserveError::File { path: RESERVED.into(), source };
    let text = fs::read_to_string(RESERVED).map_err(failed)?;
    PortSet::parse(&text).ok_or_else(|| failed(io::Error::other(format!("it says {text:?}"))))
}

fn write(ports: &PortSet) -> Result<(), ReserveError> {
    // An empty write leaves the setting as it is; a line break clears it.
    fs::write(RESERVED, format!("{ports}\n"))
        .map_err(|source| ReserveError::File { path: RESERVED.into(), source })
}

/// Refuses a SNAT range from which the host takes ports for its own connections.
pub(crate) fn check_snat(ours: &RangeInclusive<u16>) -> Result<(), ReserveError> {
    let failed = |source| ReserveError::File { path: EPHEMERAL.into(), source };
    let text = fs::read_to_string(EPHEMERAL).map_err(failed)?;
    let mut words = text.split_whitespace().map(str::parse::<u16>);
    let (Some(Ok(first)), Some(Ok(last))) = (words.next(), words.next()) else {
        return Err(failed(io::Error::other(format!("it says {text:?}"))));
    };
    if ours.start() <= &last && &first <= ours.end() {
        return Err(ReserveError::Ephemeral { ours: ours.clone(), host: first..=last });
    }
    Ok(())
}
