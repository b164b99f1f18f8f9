//! Work in another network namespace: a thread enters it, uses netlink there, and ends.
//!
//! The thread never returns to a pool, so no thread of the switch is in a wrong namespace, and nothing
//! keeps the namespace alive afterwards. One task costs about 100 us.

use std::io;
use std::os::unix::net::UnixDatagram;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::getsockopt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use super::netns::{NetnsError, OpenNetns};
use super::{HostError, Netlink};

/// The `SO_NETNS_COOKIE` option of socket(7) (Linux 5.14): a number that no other network namespace
/// gets until the host restarts. Inodes of namespaces are used again.
#[derive(Debug, Clone, Copy)]
struct NetnsCookie;

/// Asks for [`NetnsCookie`]; absent in crate libc's stable API.
const SO_NETNS_COOKIE: libc::c_int = 71;

nix::getsockopt_impl!(
    NetnsCookie,
    libc::SOL_SOCKET,
    SO_NETNS_COOKIE,
    u64,
    nix::sys::socket::sockopt::GetStruct<u64>
);

/// The cookie of the calling thread's network namespace; `None` where the kernel is too old.
///
/// # Errors
/// No socket can be opened, which says nothing of the namespace.
pub(crate) fn cookie() -> Result<Option<u64>, HostError> {
    let socket = UnixDatagram::unbound().map_err(HostError::Connect)?;
    Ok(getsockopt(&socket, NetnsCookie).ok())
}

/// Runs work with a netlink connection of the calling thread's network namespace, in a runtime of its
/// own. Blocks.
pub(crate) fn with_netlink<T>(work: impl AsyncFnOnce(Netlink) -> T) -> Result<T, HostError> {
    runtime()?.block_on(async { Ok(work(connect()?).await) })
}

/// Runs work in another network namespace, with a netlink connection of that namespace.
pub(crate) async fn enter<T: Send + 'static>(
    netns: OpenNetns,
    work: impl AsyncFnOnce(Netlink) -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    in_thread(async move || {
        set_namespace(netns)?;
        work(connect()?).await
    })
    .await
}

/// Runs work with a connection of the host's namespace (first) and of another one. A netlink request
/// runs within the system call that sends it, and moving an interface takes 20 ms: in the thread of the
/// task nothing else waits for it.
pub(crate) async fn enter_from_host<T: Send + 'static>(
    netns: OpenNetns,
    work: impl AsyncFnOnce(Netlink, Netlink) -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    in_thread(async move || {
        let host = connect()?;
        set_namespace(netns)?;
        work(host, connect()?).await
    })
    .await
}

/// Runs work in a new network namespace, which lives as long as the descriptors that the work opens in it.
pub(crate) async fn create<T: Send + 'static>(
    work: impl AsyncFnOnce(Netlink) -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    in_thread(async move || {
        unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|errno| HostError::NewNetns(io::Error::from(errno)))?;
        work(connect()?).await
    })
    .await
}

fn runtime() -> Result<Runtime, HostError> {
    Builder::new_current_thread().enable_all().build().map_err(HostError::Connect)
}

fn connect() -> Result<Netlink, HostError> {
    Netlink::connect().map_err(HostError::Connect)
}

fn set_namespace(netns: OpenNetns) -> Result<(), NetnsError> {
    setns(&netns.fd, CloneFlags::CLONE_NEWNET)
        .map_err(|errno| NetnsError::from_setns(&netns.path, errno))
}

/// Runs work in a thread and a runtime of its own.
async fn in_thread<T: Send + 'static>(
    work: impl AsyncFnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    let (done, result) = oneshot::channel();
    let body = move || {
        let _ = done.send(runtime().and_then(|runtime| runtime.block_on(work())));
    };
    std::thread::Builder::new().name("netns-exec".into()).spawn(body).map_err(HostError::Thread)?;
    match result.await {
        Ok(result) => result,
        Err(_) => Err(HostError::Thread(io::Error::other("the thread in the namespace died"))),
    }
}
