//! The compiled programs, fitted to the running kernel and loaded into it.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use libbpf_rs::{
    Link, MapCore, MapFlags, MapHandle, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramMut,
};

use crate::adopt::LeftOver;
use crate::layout::Counters;
use crate::{Error, Options, READS_BEFORE, REFRESH, sys};

/// The object file, with what CO-RE needs to find the kernel's fields.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cutthrough.bpf.o"));

/// Maps that outlive a killed switch with the program of the cgroup. Settings do not.
const KEPT: [&str; 9] = [
    "allowed",
    "sockets",
    "connections",
    "ends",
    "buffers",
    "events",
    "counters",
    "identity",
    "watch",
];

/// Bytes of the smallest ring, where pages have 4 KiB.
const RING_MIN: u32 = 4096;

/// Programs that run, but for the one of the cgroup.
pub(crate) struct Loaded {
    pub(crate) object: Object,
    /// End with the switch: the programs that watch receives and sends.
    pub(crate) watches: [Link; 2],
}

/// Loads all, with the maps of a former switch if there are any.
pub(crate) fn object(options: &Options, left_over: Option<&LeftOver>) -> Result<Object, Error> {
    let mut open = open()?;
    set_settings(&mut open, options)?;
    for mut map in open.maps_mut() {
        if map.name() == "events" && !options.guards.ring {
            let set = map.set_max_entries(RING_MIN);
            set.map_err(Error::kernel("the ring of events cannot be smaller"))?;
        }
        let name = KEPT.into_iter().find(|&name| map.name() == name);
        let former = left_over.zip(name).and_then(|(left_over, name)| left_over.map(name));
        if let Some(former) = former {
            map.reuse_fd(former.as_fd()).map_err(Error::kernel("the maps cannot be taken over"))?;
        }
    }
    open.load().map_err(Error::kernel("the kernel does not take the programs"))
}

/// Attaches all but the program of the cgroup.
pub(crate) fn all(options: &Options, left_over: Option<&LeftOver>) -> Result<Loaded, Error> {
    let object = object(options, left_over)?;
    let sockets = named_map(&object, "sockets")?.as_fd().as_raw_fd();
    named_program(&object, "cut_through")?
        .attach_sockmap(sockets)
        .map_err(Error::kernel("the program of sends cannot be attached"))?;
    let watch = |name| {
        let attached = named_program(&object, name)?.attach_trace();
        attached.map_err(Error::kernel("sends and receives cannot be watched (sock_send_length)"))
    };
    let watches = [watch("receives")?, watch("sends")?];
    let established = named_program(&object, "established")?;
    for name in KEPT {
        sys::bind(established.as_fd(), named_map(&object, name)?.as_fd()).map_err(|error| {
            Error::Kernel { step: "the maps cannot be kept", reason: error.to_string() }
        })?;
    }
    Ok(Loaded { object, watches })
}

fn open() -> Result<OpenObject, Error> {
    // Warnings of libbpf are in the errors, too.
    libbpf_rs::set_print(Some((PrintLevel::Warn, |_, _| {})));
    let open = ObjectBuilder::default().open_memory(OBJECT);
    open.map_err(Error::kernel("the programs cannot be fitted to this kernel (CO-RE)"))
}

/// `struct settings` of `bpf/layout.h`.
fn set_settings(open: &mut OpenObject, options: &Options) -> Result<(), Error> {
    let guards = [options.guards.order, options.guards.bound].map(u32::from);
    let refresh = if options.guards.refresh { REFRESH } else { Duration::from_secs(1) };
    let refresh = u64::try_from(refresh.as_nanos()).unwrap_or(u64::MAX);
    let mut bytes = [options.hash_seed, refresh].map(u64::to_ne_bytes).concat();
    for word in [READS_BEFORE].into_iter().chain(guards).chain([0]) {
        bytes.extend(word.to_ne_bytes());
    }
    let mut maps = open.maps_mut();
    let mut settings = maps.find(|map| map.name().to_string_lossy().ends_with(".rodata"));
    let settings = settings.as_mut().ok_or(MISSING)?;
    settings.set_initial_value(&bytes).map_err(Error::kernel("the settings have another size"))
}

/// A loaded map.
pub(crate) fn named_map<'o>(object: &'o Object, name: &str) -> Result<libbpf_rs::Map<'o>, Error> {
    object.maps().find(|map| map.name() == name).ok_or(MISSING)
}

/// A loaded program.
pub(crate) fn named_program<'o>(object: &'o Object, name: &str) -> Result<ProgramMut<'o>, Error> {
    object.progs_mut().find(|it| it.name() == name).ok_or(MISSING)
}

/// A handle of a loaded map, which outlives the object.
pub(crate) fn map_handle(object: &Object, name: &str) -> Result<MapHandle, Error> {
    let map = MapHandle::try_from(&named_map(object, name)?);
    map.map_err(Error::kernel("the maps of the programs cannot be had"))
}

/// A descriptor of a loaded program, which outlives the object.
pub(crate) fn program_handle(object: &Object, name: &str) -> Result<OwnedFd, Error> {
    let program = named_program(object, name)?.as_fd().try_clone_to_owned();
    program.map_err(|error| Error::Kernel {
        step: "the programs for the switch cannot be had",
        reason: error.to_string(),
    })
}

const MISSING: Error = Error::Kernel { step: "the object has no such part", reason: String::new() };

/// What the programs have counted since they were first loaded.
pub(crate) fn counted(object: &Object) -> Counters {
    let mut sum = Counters::default();
    let map = named_map(object, "counters");
    let cpus = map
        .ok()
        .and_then(|map| map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).ok().flatten());
    cpus.iter().flatten().for_each(|bytes| sum.add(bytes));
    sum
}
