//! TAP devices with offloads and one queue per worker.
//!
//! A queue's descriptor survives moves and renames of the interface. Closing all queues destroys the
//! interface. If its namespace dies, its queues return `EBADFD`.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use crate::limits::{VNET_LEN, WORKERS_MAX};
use crate::sys::tap as sys;

const DEVICE: &str = "/dev/net/tun";

/// Retries on `EBUSY`: the kernel still removes a TAP of the same name.
const BUSY_TRIES: u32 = 20;
const BUSY_PAUSE: Duration = Duration::from_millis(25);

/// `TUN_F_*` of `linux/if_tun.h`.
mod bits {
    pub(super) const CSUM: u32 = 0x01;
    pub(super) const TSO4: u32 = 0x02;
    pub(super) const TSO6: u32 = 0x04;
    pub(super) const TSO_ECN: u32 = 0x08;
    /// Linux 6.2; both or none.
    pub(super) const USO: u32 = 0x20 | 0x40;
}

/// Sets of offloads, best first; the first one that the kernel accepts is used.
const LADDER: [u32; 4] = [
    bits::CSUM | bits::TSO4 | bits::TSO6 | bits::TSO_ECN | bits::USO,
    bits::CSUM | bits::TSO4 | bits::TSO6 | bits::TSO_ECN,
    bits::CSUM,
    0,
];

/// Offloads that the kernel granted on a TAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Offloads(u32);

impl Offloads {
    /// Names as `vswitch inspect` shows them.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        let all: [(u32, &[&str]); 5] = [
            (bits::CSUM, &["csum"]),
            (bits::TSO4, &["tso4"]),
            (bits::TSO6, &["tso6"]),
            (bits::TSO_ECN, &["tso-ecn"]),
            (bits::USO, &["uso4", "uso6"]),
        ];
        all.iter().filter(|(bit, _)| self.0 & bit == *bit).flat_map(|(_, n)| *n).copied().collect()
    }
}

impl fmt::Display for Offloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(","))
    }
}

/// Parameters of a TAP.
#[derive(Debug, Clone, Copy)]
pub struct TapConfig<'a> {
    /// Name of at most 15 bytes; `%d` stands for the first free number.
    pub name: &'a str,
    /// Number of queues, one a worker.
    pub queues: usize,
}

/// New TAP: down, without addresses.
#[derive(Debug)]
pub struct Tap {
    /// Name of the interface.
    pub name: String,
    /// Interface index in the namespace of its creation.
    pub ifindex: u32,
    /// Descriptors of its queues.
    pub queues: Vec<OwnedFd>,
    /// Granted offloads.
    pub offloads: Offloads,
}

/// Error of [`Tap::create`].
#[derive(Debug, thiserror::Error)]
pub enum TapError {
    /// The driver's device cannot be opened.
    #[error(
        "cannot open {DEVICE}: {0}; load the module with `modprobe tun`, or pass the device in"
    )]
    Device(#[source] io::Error),
    /// Number of queues outside of 1 to [`WORKERS_MAX`].
    #[error("a TAP has 1 to {WORKERS_MAX} queues, not {0}")]
    Queues(usize),
    /// `EPERM` or `EACCES`.
    #[error("cannot create TAP {name}: permission denied; run as root")]
    Privilege {
        /// The name asked for.
        name: String,
    },
    /// The name is taken.
    #[error("cannot create TAP {name}: the name is taken; see `ip link show {name}`")]
    Taken {
        /// The name asked for.
        name: String,
    },
    /// Other error of the kernel.
    #[error("cannot create TAP {name}: {step}: {source}")]
    Kernel {
        /// The name asked for.
        name: String,
        /// Failed call.
        step: &'static str,
        /// Error of the call.
        source: io::Error,
    },
}

impl Tap {
    /// Creates a TAP in the network namespace of the calling thread. Retries for half a second while the
    /// name is busy.
    ///
    /// # Errors
    /// See [`TapError`]; no interface remains.
    pub fn create(config: &TapConfig<'_>) -> Result<Self, TapError> {
        Self::make(config, None)
    }

    /// Creates a TAP in the place of one that is gone, whose interface index it gets.
    ///
    /// # Errors
    /// As [`Tap::create`].
    pub fn create_again(config: &TapConfig<'_>, ifindex: u32) -> Result<Self, TapError> {
        Self::make(config, Some(ifindex))
    }

    fn make(config: &TapConfig<'_>, ifindex: Option<u32>) -> Result<Self, TapError> {
        if !(1..=WORKERS_MAX).contains(&config.queues) {
            return Err(TapError::Queues(config.queues));
        }
        let multi = config.queues > 1;
        let (first, name) = first_queue(config.name, multi, ifindex)?;
        let mut queues = vec![first];
        while queues.len() < config.queues {
            let queue = open()?;
            sys::set_interface(queue.as_fd(), &name, multi).map_err(failed(&name, "TUNSETIFF"))?;
            queues.push(queue);
        }
        let mut offloads = Offloads::default();
        for queue in &queues {
            sys::set_vnet_header(queue.as_fd(), VNET_LEN)
                .map_err(failed(&name, "TUNSETVNETHDRSZ"))?;
            offloads = negotiate(queue).map_err(failed(&name, "TUNSETOFFLOAD"))?;
        }
        let ifindex = index_of(&name).map_err(failed(&name, "SIOCGIFINDEX"))?;
        Ok(Self { name, ifindex, queues, offloads })
    }
}

fn open() -> Result<OwnedFd, TapError> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(DEVICE, flags, Mode::empty()).map_err(|error| TapError::Device(error.into()))
}

fn first_queue(
    name: &str,
    multi: bool,
    ifindex: Option<u32>,
) -> Result<(OwnedFd, String), TapError> {
    for _ in 0..BUSY_TRIES {
        let queue = open()?;
        if let Some(ifindex) = ifindex {
            let set = sys::set_next_index(queue.as_fd(), ifindex);
            set.map_err(failed(name, "TUNSETIFINDEX"))?;
        }
        match sys::set_interface(queue.as_fd(), name, multi) {
            Ok(name) => return Ok((queue, name)),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => thread::sleep(BUSY_PAUSE),
            Err(error) => return Err(failed(name, "TUNSETIFF")(error)),
        }
    }
    Err(TapError::Taken { name: name.to_owned() })
}

fn negotiate(queue: &OwnedFd) -> io::Result<Offloads> {
    let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
    for bits in LADDER {
        match sys::set_offload(queue.as_fd(), bits) {
            Ok(()) => return Ok(Offloads(bits)),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn index_of(name: &str) -> io::Result<u32> {
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
}

fn failed<'a>(name: &'a str, step: &'static str) -> impl Fn(io::Error) -> TapError + 'a {
    move |source| match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => TapError::Privilege { name: name.to_owned() },
        Some(libc::EEXIST) => TapError::Taken { name: name.to_owned() },
        _ => TapError::Kernel { name: name.to_owned(), step, source },
    }
}
