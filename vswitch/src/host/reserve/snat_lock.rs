//! A lock of the SNAT range, one for each network namespace.
//!
//! Two switches with the same SNAT ports would take each other's replies. The lock is an abstract Unix socket
//! (unix(7)), which belongs to the namespace and ends with its process. Its name has the range and the bridge,
//! which another switch reads in `/proc/net/unix`.

use std::fs;
use std::ops::RangeInclusive;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use super::ReserveError;

/// Prefix of the sockets' names.
const PREFIX: &str = "vswitch/snat/";

const LIST: &str = "/proc/thread-self/net/unix";

/// The lock of a range: it lasts as long as the socket is open, by whichever descriptor.
#[derive(Debug)]
pub(crate) struct SnatRangeLock {
    _socket: UnixDatagram,
}

/// Locks a range, unless another switch has a port of it.
pub(crate) fn lock_range(
    bridge: &str,
    ours: &RangeInclusive<u16>,
) -> Result<SnatRangeLock, ReserveError> {
    let failed = |source| ReserveError::File { path: LIST.into(), source };
    let (first, last) = (ours.start(), ours.end());
    let name = format!("{PREFIX}{first}-{last}/{bridge}");
    let address = SocketAddr::from_abstract_name(&name).map_err(failed)?;
    // Bind first, then read the list: of two switches at once, at least one sees the other.
    let socket = UnixDatagram::bind_addr(&address).map_err(|_| ReserveError::SnatRangeTaken {
        ours: ours.clone(),
        bridge: bridge.to_owned(),
    })?;
    let list = fs::read_to_string(LIST).map_err(failed)?;
    let others = list.lines().filter_map(|line| line.rsplit_once('@')?.1.strip_prefix(PREFIX));
    for other in others.filter(|other| name.strip_prefix(PREFIX) != Some(other)) {
        let Some((range, bridge)) = parse(other) else { continue };
        if range.start() <= last && first <= range.end() {
            return Err(ReserveError::SnatRangeTaken {
                ours: ours.clone(),
                bridge: bridge.to_owned(),
            });
        }
    }
    Ok(SnatRangeLock { _socket: socket })
}

fn parse(text: &str) -> Option<(RangeInclusive<u16>, &str)> {
    let (range, bridge) = text.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?..=last.parse().ok()?, bridge))
}

#[cfg(test)]
mod tests {
    use testkit::in_namespace;

    use super::*;
    #[test]
    fn a_range_is_one_switchs() {
        in_namespace(|| {
            let first = lock_range("br0", &(20_000..=29_999)).unwrap();
            for range in [29_999..=40_000, 20_000..=29_999, 25_000..=25_063] {
                let error = lock_range("br1", &range).unwrap_err().to_string();
                assert!(error.contains("br0") && error.contains("--snat-ports"), "{error}");
            }
            let second = lock_range("br1", &(12_000..=19_999)).unwrap();
            drop((first, second));
            lock_range("br1", &(20_000..=29_999)).unwrap();
        });
    }
}
