//! Kernel settings of one interface. `/proc/sys/net` shows the namespace of the calling thread.

use std::fs;
use std::io;
use std::path::Path;

use super::HostError;

/// Settings of our interfaces under `net.ipv6.conf.IFNAME`: addresses are usable at once, the link-local one
/// derives from the MAC address, and router advertisements are ignored.
const IPV6: [(&str, &str); 5] = [
    ("disable_ipv6", "0"),
    ("accept_ra", "0"),
    ("autoconf", "0"),
    ("accept_dad", "0"),
    ("addr_gen_mode", "0"),
];

/// The same for an interface that has no neighbours: without a link-local address it sends nothing by itself.
const IPV6_WITHOUT_LINK_LOCAL: [(&str, &str); 4] =
    [("disable_ipv6", "0"), ("accept_ra", "0"), ("accept_dad", "0"), ("addr_gen_mode", "1")];

/// Whether this kernel has IPv6 at all.
pub(super) fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").is_dir()
}

/// Configures IPv6 of an interface before it is up.
pub(super) fn configure_ipv6(ifname: &str) -> Result<(), HostError> {
    set_ipv6(ifname, &IPV6)
}

/// The same without a link-local address.
pub(super) fn configure_ipv6_without_link_local(ifname: &str) -> Result<(), HostError> {
    set_ipv6(ifname, &IPV6_WITHOUT_LINK_LOCAL)
}

fn set_ipv6(ifname: &str, settings: &[(&str, &str)]) -> Result<(), HostError> {
    for &(key, value) in settings {
        let path = Path::new("/proc/sys/net/ipv6/conf").join(ifname).join(key);
        match fs::write(&path, value) {
            Ok(()) => {}
            // A setting that this kernel does not have.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::debug!(path = %path.display(), "no such setting");
            }
            // In a container /proc/sys may be read-only.
            Err(_) if fs::read_to_string(&path).is_ok_and(|is| is.trim() == value) => {}
            Err(source) => return Err(HostError::Sysctl { path, source }),
        }
    }
    Ok(())
}

/// Writes `net.FAMILY.conf.IFNAME.KEY` of an interface of ours; it ends with the interface.
pub(super) fn set_link_sysctl(
    family: &str,
    ifname: &str,
    key: &str,
    value: &str,
) -> Result<(), HostError> {
    let path = Path::new("/proc/sys/net").join(family).join("conf").join(ifname).join(key);
    write(&path, value)
}

/// Writes a setting. A read-only /proc/sys (as in containers) is fine where the value is right already.
pub(super) fn write(path: &Path, value: &str) -> Result<(), HostError> {
    match fs::write(path, value) {
        Err(_) if fs::read_to_string(path).is_ok_and(|is| is.trim() == value) => Ok(()),
        Err(source) => Err(HostError::Sysctl { path: path.to_owned(), source }),
        Ok(()) => Ok(()),
    }
}
