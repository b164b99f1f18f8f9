//! The programs in the kernel: loaded, attached, asked, removed.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use libbpf_rs::{Link, MapCore, MapFlags, Object};

use crate::adopt::LeftOver;
use crate::cgroup::Cgroup;
use crate::clock::monotonic;
use crate::connections::Connections;
use crate::joiner::Joiner;
use crate::layout::LAYOUT_VERSION;
use crate::load::{self, counted, named_map, named_program};
use crate::{Allowed, Connection, Counters, Error, NetnsCookie, Options, sys, trial};

/// The lease: how long the programs go on after the switch has renewed it last.
const LEASE: Duration = Duration::from_secs(10);
/// How long the end waits for readers.
const DRAIN: Duration = Duration::from_secs(3);
const KEY: [u8; 4] = 0_u32.to_ne_bytes();

/// The programs of a switch.
#[derive(Debug)]
pub struct CutThrough {
    joiner: Joiner,
    /// End with this value.
    _watches: [Link; 2],
    connections: Connections,
    object: Object,
    cgroup: Cgroup,
    allowed: Arc<Allowed>,
    instance: u64,
    /// What the programs had counted when they started.
    before: Counters,
}

impl CutThrough {
    /// Loads the programs, tries them over loopback, and attaches them. Those of a killed switch are replaced; its
    /// connections stay.
    ///
    /// # Errors
    ///
    /// Why this host cannot do it. Then nothing is attached.
    pub fn start(options: &Options) -> Result<Self, Error> {
        if !Path::new("/sys/kernel/btf/vmlinux").exists() {
            return Err(Error::NoBtf);
        }
        let cgroup = Cgroup::open(options.cgroup.as_deref())?;
        let left_over = LeftOver::find(&cgroup, options.instance)?;
        let loaded = load::all(options, left_over.as_ref())?;
        set_lease(&loaded.object, options.instance, monotonic() + LEASE)?;
        // Without the bound the trial would see that nothing holds the writer back.
        if options.guards.bound {
            trial::run(&loaded)?;
        }
        let load::Loaded { object, watches } = loaded;
        let map = named_map(&object, "allowed")?;
        let now = u64::try_from(monotonic().as_nanos()).unwrap_or(u64::MAX / 2);
        let started = Self {
            joiner: Joiner::start(&object, options.guards)?,
            _watches: watches,
            connections: Connections::new(&object)?,
            allowed: Arc::new(Allowed::of_map(map.as_fd(), options.hash_seed, now)?),
            before: counted(&object),
            instance: options.instance,
            object,
            cgroup,
        };
        let program = named_program(&started.object, "established")?;
        let at = |source| Error::Cgroup { path: started.cgroup.path.clone(), source };
        sys::attach(program.as_fd(), started.cgroup.file.as_fd()).map_err(at)?;
        if let Some(left_over) = left_over {
            sys::detach(left_over.program.as_fd(), started.cgroup.file.as_fd()).map_err(at)?;
        }
        Ok(started)
    }

    /// Removes what a killed switch has left, if nobody has unread bytes in it.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`], or what the kernel said.
    pub fn clear(options: &Options) -> Result<(), Error> {
        let cgroup = match Cgroup::open(options.cgroup.as_deref()) {
            // A cgroup that is gone has no programs.
            Err(Error::Cgroup { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            opened => opened?,
        };
        let Some(left_over) = LeftOver::find(&cgroup, options.instance)? else { return Ok(()) };
        let object = load::object(options, Some(&left_over))?;
        set_lease(&object, options.instance, Duration::ZERO)?;
        let left = Joiner::start(&object, options.guards)?.leave_all(DRAIN);
        if left > 0 {
            return Err(Error::Unread(left));
        }
        sys::detach(left_over.program.as_fd(), cgroup.file.as_fd())
            .map_err(|source| Error::Cgroup { path: cgroup.path, source })
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

    /// Says that the switch is there: to be called every few seconds.
    ///
    /// # Errors
    ///
    /// What the kernel said.
    pub fn renew(&self) -> Result<(), Error> {
        set_lease(&self.object, self.instance, monotonic() + LEASE)
    }

    /// What was counted since the start.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let mut counters = counted(&self.object).since(self.before);
        self.joiner.count(&mut counters);
        counters
    }

    /// The connections whose two sockets are joined.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let all = self.joiner.joined().into_iter().filter_map(|id| self.connections.get(id));
        all.filter(|it| !it.is_leaving).collect()
    }

    /// Lets connections go back to TCP for good, as when their container leaves the switch.
    pub fn leave(&self, is_wanted: impl Fn(&Connection) -> bool) {
        let ids = self.connections.ids(is_wanted);
        if !ids.is_empty() {
            self.joiner.leave(ids);
        }
    }

    /// Lets those of a namespace go back to TCP.
    pub fn leave_netns(&self, netns: NetnsCookie) {
        self.leave(|it| it.ends().into_iter().any(|end| end.tuple.netns == netns));
    }

    /// Lets everything go back to TCP, waits a moment until all bytes are read, and removes the programs.
    ///
    /// # Errors
    ///
    /// [`Error::Unread`]: the programs stay attached, since they hold bytes for readers that are late.
    pub fn stop(self) -> Result<(), Error> {
        set_lease(&self.object, self.instance, Duration::ZERO)?;
        let left = self.joiner.leave_all(DRAIN);
        if left > 0 {
            return Err(Error::Unread(left));
        }
        let program = named_program(&self.object, "established")?;
        sys::detach(program.as_fd(), self.cgroup.file.as_fd())
            .map_err(|source| Error::Cgroup { path: self.cgroup.path.clone(), source })
    }
}

fn set_lease(object: &Object, instance: u64, until: Duration) -> Result<(), Error> {
    let until = u64::try_from(until.as_nanos()).unwrap_or(u64::MAX);
    let words = [instance, LAYOUT_VERSION, until].map(u64::to_ne_bytes);
    named_map(object, "identity")?
        .update(&KEY, words.as_flattened(), MapFlags::ANY)
        .map_err(Error::kernel("the programs cannot be told that the switch is there"))
}
