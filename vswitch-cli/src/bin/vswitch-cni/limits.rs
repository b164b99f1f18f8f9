//! Limits of the plugin.

/// Longest configuration in bytes: those of runtimes are below 10 KiB.
pub(crate) const CONFIG_BYTES_MAX: usize = 4 << 20;

/// Longest name of an attachment or alias, as the switch has it.
pub(crate) const NAME_MAX: usize = 128;

/// Longest label of a name in DNS (RFC 1035 section 2.3.4).
pub(crate) const LABEL_MAX: usize = 63;

/// Longest name of an interface: `IFNAMSIZ` without its zero byte.
pub(crate) const IFNAME_MAX: usize = 15;
