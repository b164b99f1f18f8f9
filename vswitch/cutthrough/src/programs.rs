//! The programs in the kernel: loaded, attached, asked, taken away.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use libbpf_rs::{Iter, Link, MapCore, MapFlags, Object};
use rustix::time::{ClockId, clock_gettime};

use crate::adopt::LeftOver;
use crate::cgroup::Cgroup;
use crate::layout::{CONNECTION_BYTES, LAYOUT_VERSION};
use crate::load::{self, named_map, named_program};
use crate::{Allowed, Connection, Counters, Error, NetnsCookie, Options, sys, trial};

/// How long the programs go on after the switch has last renewed its word.
const VALID: Duration = Duration::from_secs(10);
/// How long the end waits for readers.
const DRAIN: Duration = Duration::from_secs(2);
const KEY: [u8; 4] = 0_u32.to_ne_bytes();

/// The programs of a switch.
#[derive(Debug)]
pub struct CutThrough {
    /// Ends with this value.
    _watch: Link,
    object: Object,
    cgroup: Cgroup,
    allowed: Arc<Allowed>,
    counts_inq: bool,
    instance: u64,
}

impl CutThrough {
    /// Loads the programs, tries them over loopback, and attaches them. Those of a killed switch are replaced; its
    /// connections stay.
    ///
    /// # Errors
    ///
    /// Why this host cannot do it. Then nothing is attached.
    pub fn start(options: &Options) -> Result<Self, Error> {
        if !options.allows_known_faults {
            return Err(Error::KnownFaults);
        }
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(Error::NoBtf);
        }
        let cgroup = Cgroup::open(options.cgroup.as_deref())?;
        let left_over = LeftOver::find(&cgroup, options.instance)?;
        let loaded = load::all(options, left_over.as_ref())?;
        set_valid_until(&loaded.object, options.instance, monotonic() + VALID)?;
        // Without the bound the trial would see that nothing holds the writer back.
        let counts_inq = options.guards.bound && trial::run(&loaded)?;
        let load::Loaded { object, watch } = loaded;
        let map = named_map(&object, "allowed")?;
        let now = u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX / 2);
        let allowed = Arc::new(Allowed::of_map(map.as_fd(), options.hash_seed, now)?);
        let started =
            Self { _watch: watch, object, cgroup, allowed, counts_inq, instance: options.instance };
        let program = started.named_program("established")?;
        let at = |source| Error::Cgroup { path: started.cgroup.path.clone(), source };
        sys::attach(program.as_fd(), started.cgroup.file.as_fd()).map_err(at)?;
        if let Some(left_over) = left_over {
            sys::detach(left_over.program.as_fd(), started.cgroup.file.as_fd()).map_err(at)?;
        }
        Ok(started)
    }

    /// Takes away what a killed switch has left, if nobody has unread bytes in it.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`], or what the kernel said.
    pub fn take_away(options: &Options) -> Result<(), Error> {
        let Ok(cgroup) = Cgroup::open(options.cgroup.as_deref()) else { return Ok(()) };
        match LeftOver::find(&cgroup, options.instance)? {
            Some(_) => Self::start(options)?.stop(),
            None => Ok(()),
        }
    }

    /// The table into which the switch writes handshakes.
    #[must_use]
    pub const fn allowed(&self) -> &Arc<Allowed> {
        &self.allowed
    }

    /// The cgroup whose sockets may be joined.
    #[must_use]
    pub fn cgroup(&self) -> &Path {
        &self.cgroup.path
    }

    /// Whether `FIONREAD` of a joined socket counts all unread bytes.
    #[must_use]
    pub const fn counts_inq(&self) -> bool {
        self.counts_inq
    }

    /// Says that the switch is there: to be called every few seconds.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn renew(&self) -> Result<(), Error> {
        set_valid_until(&self.object, self.instance, monotonic() + VALID)
    }

    /// What the programs have counted.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut sum = Counters::default();
        let map = named_map(&self.object, "counters");
        let cpus = map.ok().and_then(|map| map.lookup_percpu(&KEY, MapFlags::ANY).ok().flatten());
        cpus.iter().flatten().for_each(|bytes| sum.add(bytes));
        sum
    }

    /// The connections whose two ends are joined.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let Ok(map) = named_map(&self.object, "connections") else { return Vec::new() };
        map.keys().filter_map(|key| Connection::read(&lookup(&map, &key)?)).collect()
    }

    /// Sends the connections of a namespace back to TCP for good, as when its container leaves the switch.
    pub fn leave(&self, netns: NetnsCookie) {
        let Ok(map) = named_map(&self.object, "connections") else { return };
        let is_in = |key: &Vec<u8>| {
            let ends = lookup(&map, key).map(|bytes| Connection::namespaces(&bytes));
            ends.is_some_and(|ends| ends.contains(&Some(netns.0.get())))
        };
        let left: Vec<Vec<u8>> = map.keys().filter(is_in).collect();
        for key in left {
            // One that has ended meanwhile is gone, too.
            let _ = map.delete(&key);
        }
    }

    /// Sends everything back to TCP, waits a moment until all bytes are read, and takes the programs away.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`]: the programs stay attached, since they hold bytes for readers that are late.
    pub fn stop(self) -> Result<(), Error> {
        set_valid_until(&self.object, self.instance, Duration::ZERO)?;
        let until = monotonic() + DRAIN;
        loop {
            match self.unread()? {
                0 => break,
                sockets if monotonic() > until => return Err(Error::Unread(sockets)),
                _ => sleep(Duration::from_millis(20)),
            }
        }
        let program = self.named_program("established")?;
        sys::detach(program.as_fd(), self.cgroup.file.as_fd())
            .map_err(|source| Error::Cgroup { path: self.cgroup.path.clone(), source })
    }

    /// Sockets with redirected bytes that nobody has read.
    fn unread(&self) -> Result<usize, Error> {
        let failed = Error::kernel("the sockets with unread bytes cannot be listed");
        let map = named_map(&self.object, "sockets")?;
        let link = self.named_program("unread")?.attach_iter(map.as_fd()).map_err(&failed)?;
        let mut cookies = Vec::new();
        let read = Iter::new(&link).map_err(&failed)?.read_to_end(&mut cookies);
        read.map_err(|error| Error::Kernel {
            step: "the sockets with unread bytes cannot be listed",
            reason: error.to_string(),
        })?;
        Ok(cookies.len() / 8)
    }

    fn named_program(&self, name: &str) -> Result<libbpf_rs::ProgramMut<'_>, Error> {
        named_program(&self.object, name)
    }
}
fn set_valid_until(object: &Object, instance: u64, until: Duration) -> Result<(), Error> {
    let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
    let words = [instance, LAYOUT_VERSION, until].map(u64::to_ne_bytes);
    named_map(object, "identity")?
        .update(&KEY, words.as_flattened(), MapFlags::ANY)
        .map_err(Error::kernel("the programs cannot be told that the switch is there"))
}

fn lookup(map: &libbpf_rs::Map<'_>, key: &[u8]) -> Option<Vec<u8>> {
    let found = map.lookup(key, MapFlags::ANY).ok().flatten();
    found.filter(|bytes| bytes.len() == CONNECTION_BYTES)
}

fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
