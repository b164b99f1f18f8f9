//! The compiled programs, fitted to the running kernel and loaded into it.

use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{Link, MapCore, Object, ObjectBuilder, OpenObject, PrintLevel, ProgramMut};

use crate::adopt::LeftOver;
use crate::{Error, Options, READS_BEFORE};

/// The object file, with what CO-RE needs to find the kernel's fields.
static OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cutthrough.bpf.o"));

/// Programs that run, but for the one of the cgroup.
pub(crate) struct Loaded {
    pub(crate) object: Object,
    /// Ends with the switch: the program that watches receives.
    pub(crate) watch: Link,
}

/// Loads all, with the maps of a former switch if there are any.
pub(crate) fn all(options: &Options, left_over: Option<&LeftOver>) -> Result<Loaded, Error> {
    let mut open = open()?;
    set_settings(&mut open, options)?;
    for mut map in open.maps_mut() {
        let former = left_over.zip(map.name().to_str());
        if let Some(former) = former.and_then(|(left_over, name)| left_over.map(name)) {
            map.reuse_fd(former.as_fd()).map_err(Error::kernel("the maps cannot be taken over"))?;
        }
    }
    let object = open.load().map_err(Error::kernel("the kernel does not take the programs"))?;
    let sockets = named_map(&object, "sockets")?.as_fd().as_raw_fd();
    named_program(&object, "cut_through")?
        .attach_sockmap(sockets)
        .map_err(Error::kernel("the program of sends cannot be attached"))?;
    let watch = named_program(&object, "reads")?.attach_trace();
    let watch = watch.map_err(Error::kernel("receives cannot be watched (sock_recv_length)"))?;
    Ok(Loaded { object, watch })
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
    let mut bytes = options.hash_seed.to_ne_bytes().to_vec();
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

const MISSING: Error = Error::Kernel { step: "the object has no such part", reason: String::new() };
