//! Loads the tables, and checks that they exist.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt::{self, Timeout};
use vswitch_sys::query::{self, Answer};
use vswitch_sys::socket::Socket;
use vswitch_sys::table::Flags;
use vswitch_sys::{Batch, ProtoFamily, Table};

use super::build::{Written, text};
use super::exchange::{drain, receive, send};
use super::rules::{PortBlock, Rules};
use super::write::{FAMILIES, change, clear, whole, write_blocks};
use crate::host::limits::{NFT_ANSWER_MAX, NFT_BUFFER};

/// Table flags, tried in order until the kernel accepts one.
const LADDER: [Flags; 3] = [Flags::OwnerPersist, Flags::Owner, Flags::None];

/// Prefix of our tables' names.
pub(super) const PREFIX: &str = "vswitch-";

/// Why nftables rules cannot be loaded or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NftError {
    /// A connection to nftables fails.
    #[error("cannot connect to nftables: {0}; load the module with `modprobe nf_tables`")]
    Socket(#[source] io::Error),
    /// The kernel refuses the tables.
    #[error("the kernel refuses the nftables tables {table} (message {message}): {source}; {hint}")]
    Refused {
        /// Their name.
        table: String,
        /// Number of the message that it refuses.
        message: u32,
        /// The error of the kernel.
        source: io::Error,
        /// The way to mend it.
        hint: &'static str,
    },
    /// No thread for blocking work.
    #[error("cannot load nftables rules: {0}")]
    Thread(#[source] io::Error),
}

impl NftError {
    /// Perhaps the kernel has no objects of timeouts (`CONFIG_NF_CONNTRACK_TIMEOUT`).
    fn may_lack_objects(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        matches!(source.raw_os_error(), Some(libc::ENOENT | libc::EOPNOTSUPP))
    }
}

/// The tables of one switch, and the socket that owns them.
#[derive(Debug)]
pub(super) struct Tables {
    socket: Socket,
    name: CString,
    /// Flags that this kernel accepts, once known.
    flags: Option<Flags>,
    loaded: Option<Loaded>,
    /// The kernel has no objects of timeouts.
    lacks_timeouts: bool,
    restored: u64,
}

/// A table of any program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    /// An `NFPROTO_` number.
    pub(super) family: u8,
    pub(super) name: String,
    pub(super) is_owned: bool,
}

/// The tables in the kernel.
#[derive(Debug)]
struct Loaded {
    rules: Rules,
    /// Rules and chains in each of [`FAMILIES`].
    written: [Written; 3],
    /// Generation at which all rules were there.
    generation: Option<u32>,
}

/// Loaded tables without a process that looks after them; see [`Tables::into_parts`].
#[derive(Debug)]
pub(crate) struct TablesParts {
    /// The socket that owns the tables.
    socket: OwnedFd,
    flags: Option<Flags>,
    rules: Rules,
    written: [Written; 3],
}

impl TablesParts {
    /// The rules that are loaded.
    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }
}

/// Also after a failed start, or a load that ends late.
impl Drop for Tables {
    fn drop(&mut self) {
        self.remove();
    }
}

impl Tables {
    pub(super) fn open(bridge: &str) -> Result<Self, NftError> {
        let socket = Socket::open().map_err(NftError::Socket)?;
        let made = sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(NFT_ANSWER_MAX));
        made.map_err(|error| NftError::Socket(error.into()))?;
        // The kernel acknowledges each message. A process that lacks the privilege can load no tables either.
        if let Err(error) = sockopt::set_socket_recv_buffer_size_force(&socket, NFT_BUFFER) {
            tracing::debug!(%error, "the receive buffer of the nftables socket stays small");
        }
        // The kernel takes a batch as one datagram.
        if let Err(error) = sockopt::set_socket_send_buffer_size_force(&socket, NFT_BUFFER) {
            tracing::debug!(%error, "the send buffer of the nftables socket stays small");
        }
        let name = table_name(bridge);
        Ok(Self { socket, name, flags: None, loaded: None, lacks_timeouts: false, restored: 0 })
    }

    /// Gives up the tables without deleting them.
    ///
    /// # Errors
    /// Nothing is loaded, or no descriptor is left: then they are deleted.
    pub(super) fn into_parts(mut self) -> Result<TablesParts, NftError> {
        // The same socket by a descriptor of its own, since a type with `Drop` cannot be taken apart.
        let socket = self.socket.as_fd().try_clone_to_owned().map_err(NftError::Socket)?;
        let gone = || NftError::Socket(io::ErrorKind::NotFound.into());
        let Loaded { rules, written, .. } = self.loaded.take().ok_or_else(gone)?;
        Ok(TablesParts { socket, flags: self.flags, rules, written })
    }

    /// Takes over tables that are loaded.
    pub(super) fn from_parts(parts: TablesParts) -> Self {
        let TablesParts { socket, flags, rules, written } = parts;
        let name = table_name(&rules.bridge);
        let loaded = Some(Loaded { rules, written, generation: None });
        let (socket, lacks_timeouts) = (socket.into(), false);
        Self { socket, name, flags, loaded, lacks_timeouts, restored: 0 }
    }

    /// For tests: as on a kernel that lacks flags.
    #[cfg(test)]
    pub(super) fn with_flags(mut self, flags: Flags) -> Self {
        self.flags = Some(flags);
        self
    }

    #[cfg(test)]
    pub(super) fn restored(&self) -> u64 {
        self.restored
    }

    /// Writes what differs, in one batch.
    pub(super) fn load(&mut self, rules: Rules) -> Result<(), NftError> {
        // The same rules again are to replace what the kernel has lost.
        let former = self.loaded.as_ref().filter(|it| it.rules != rules);
        let changed = former.zip(self.flags).map(|(it, flags)| {
            let with = ((flags, &self.name), self.has_timeouts());
            change((&it.rules, &it.written), &rules, with)
        });
        if let (Some((batch, written)), Some(loaded)) = (changed, &mut self.loaded) {
            match send(&self.socket, batch) {
                Ok(()) => {
                    *loaded = Loaded { rules, written, generation: None };
                    return Ok(());
                }
                // Somebody changed the tables, or an older kernel changes no devices of a chain.
                Err((_, error)) => tracing::info!(%error, "loading all nftables rules again"),
            }
        }
        self.replace(rules)
    }

    fn has_timeouts(&self) -> bool {
        !self.lacks_timeouts
    }

    /// Replaces the tables in one batch.
    fn replace(&mut self, rules: Rules) -> Result<(), NftError> {
        let with = |tables: &mut Self, has_timeouts| {
            tables.with_ladder(|flags, name| whole(&rules, (flags, name), has_timeouts))
        };
        let written = match with(self, self.has_timeouts()) {
            Err(refused) if !self.lacks_timeouts && refused.may_lack_objects() => {
                let written = match with(self, false) {
                    Ok(written) => written,
                    Err(_) => return Err(refused),
                };
                tracing::info!(
                    %refused,
                    "this kernel has no `ct timeout`: half-closed connections of the host end after a minute"
                );
                self.lacks_timeouts = true;
                written
            }
            result => result?,
        };
        self.loaded = Some(Loaded { rules, written, generation: None });
        Ok(())
    }

    /// Changes the blocks of SNAT ports. A single block costs the kernel far less than all tables.
    pub(super) fn change_blocks(
        &mut self,
        added: &[PortBlock],
        removed: &[PortBlock],
    ) -> Result<(), NftError> {
        let Some(redirect) = self.loaded.as_mut().and_then(|it| it.rules.redirect.as_mut()) else {
            return Ok(());
        };
        let former = redirect.snat_blocks.clone();
        redirect.snat_blocks.retain(|block| !removed.contains(block));
        redirect.snat_blocks.extend(added.iter().cloned());
        if redirect.snat_blocks == former {
            return Ok(());
        }
        let now = redirect.snat_blocks.clone();
        let added: Vec<_> = now.difference(&former).collect();
        let removed: Vec<_> = former.difference(&now).collect();
        match send(&self.socket, write_blocks(&self.name, &added, &removed)) {
            Ok(()) => {}
            // Somebody deleted the set: all tables again.
            Err((_, error)) => {
                tracing::debug!(%error, "the set of SNAT ports is not as it was");
                if let Some(loaded) = &self.loaded
                    && let Err(error) = self.load(loaded.rules.clone())
                {
                    let redirect = self.loaded.as_mut().and_then(|it| it.rules.redirect.as_mut());
                    redirect.into_iter().for_each(|it| it.snat_blocks = former.clone());
                    return Err(error);
                }
            }
        }
        if let Some(loaded) = &mut self.loaded {
            loaded.generation = None;
        }
        Ok(())
    }

    /// Deletes the tables; logs errors.
    pub(super) fn remove(&mut self) {
        if self.loaded.take().is_some()
            && let Err(error) = self.remove_orphans()
        {
            tracing::warn!(%error, "our nftables tables stay: `nft delete table netdev vswitch-BRIDGE`");
        }
    }

    /// Deletes tables of our name, unless another process owns them.
    pub(super) fn remove_orphans(&mut self) -> Result<(), NftError> {
        self.with_ladder(|flags, name| {
            let mut batch = Batch::new();
            FAMILIES.iter().for_each(|family| clear(&mut batch, &Table::new(name, *family), flags));
            (batch, ())
        })?;
        Ok(())
    }

    /// All tables of the namespace that begin with `prefix`.
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>, NftError> {
        let (mut tables, mut done) = (Vec::new(), false);
        drain(&self.socket);
        self.socket.send(&query::ask_tables(1)).map_err(NftError::Socket)?;
        while !done {
            receive(&self.socket, |answer| match answer {
                Answer::Table { family, name, is_owned } => {
                    let name = String::from_utf8_lossy(&name).into_owned();
                    if name.starts_with(prefix) {
                        tables.push(Listed { family, name, is_owned });
                    }
                }
                Answer::Done | Answer::Ack { .. } => done = true,
                _ => {}
            })
            .map_err(NftError::Socket)?;
        }
        Ok(tables)
    }

    /// Loads the tables again if another program deleted them, or rules in them.
    pub(super) fn check(&mut self) -> Result<(), NftError> {
        let Some(loaded) = &self.loaded else { return Ok(()) };
        let generation = self.generation()?;
        if loaded.generation == Some(generation) {
            return Ok(());
        }
        let counts = loaded.written.each_ref().map(|it| it.rules);
        for (family, count) in FAMILIES.into_iter().zip(counts) {
            if count > 0 && self.count_rules(family)? != count {
                tracing::warn!(table = ?self.name, ?family, "somebody deleted our nftables rules: loading them again");
                self.restored += 1;
                let rules = loaded.rules.clone();
                return self.replace(rules);
            }
        }
        if let Some(loaded) = &mut self.loaded {
            loaded.generation = Some(generation);
        }
        Ok(())
    }

    fn with_ladder<T>(
        &mut self,
        write: impl Fn(Flags, &CString) -> (Batch, T),
    ) -> Result<T, NftError> {
        let known = self.flags.map(|flags| [flags]);
        let ladder = known.as_ref().map_or(&LADDER[..], |known| &known[..]);
        let mut refused = (0, io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        for flags in ladder {
            let (batch, made) = write(*flags, &self.name);
            match send(&self.socket, batch) {
                Ok(()) => {
                    self.flags = Some(*flags);
                    return Ok(made);
                }
                Err(error) => refused = error,
            }
            if !matches!(refused.1.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EINVAL)) {
                break;
            }
        }
        let (message, source) = refused;
        let hint = hint(&source);
        Err(NftError::Refused { table: self.name.to_string_lossy().into(), message, source, hint })
    }

    fn generation(&self) -> Result<u32, NftError> {
        let mut generation = None;
        drain(&self.socket);
        self.socket.send(&query::ask_generation(1)).map_err(NftError::Socket)?;
        while generation.is_none() {
            receive(&self.socket, |answer| {
                if let Answer::Generation(number) = answer {
                    generation = Some(number);
                }
            })
            .map_err(NftError::Socket)?;
        }
        Ok(generation.unwrap_or_default())
    }

    fn count_rules(&self, family: ProtoFamily) -> Result<usize, NftError> {
        let (mut count, mut done) = (0, false);
        drain(&self.socket);
        self.socket.send(&query::ask_rules(family, 1)).map_err(NftError::Socket)?;
        while !done {
            receive(&self.socket, |answer| match answer {
                Answer::Rule(table) if table == self.name.as_bytes() => count += 1,
                Answer::Done | Answer::Ack { .. } => done = true,
                _ => {}
            })
            .map_err(NftError::Socket)?;
        }
        Ok(count)
    }
}

fn table_name(bridge: &str) -> CString {
    text(&format!("{PREFIX}{bridge}"))
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "it needs root, and no other switch that owns tables of this name"
        }
        Some(libc::ENOENT) => {
            "a device is gone, or the kernel lacks a module: `modprobe -a nft_fwd_netdev nft_dup_netdev \
             nft_nat nft_masq nft_fib_ipv4 nft_fib_ipv6`"
        }
        Some(libc::EOPNOTSUPP) => "the kernel lacks what they need: `vswitch doctor`",
        _ => "`--uplink none` does without",
    }
}
