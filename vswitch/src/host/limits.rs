//! Limits of changes to the host.

use std::time::Duration;

/// Time between two checks that the nftables tables exist.
pub(crate) const TABLES_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long nftables may take to answer.
pub(crate) const NFT_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Buffers of the nftables socket, in bytes: for a batch, which is one datagram, and the acknowledgement of each
/// of its messages.
pub(crate) const NFT_BUFFER: usize = 16 << 20;

/// How long one interface of a killed switch may outlive it, and the time between two looks.
pub(crate) const LEFT_OVER_WAIT_MAX: Duration = Duration::from_secs(60);
pub(crate) const LEFT_OVER_POLL: Duration = Duration::from_millis(50);

/// How long a process may hold such an interface until it counts as one that runs: one that is killed may take a moment.
pub(crate) const HOLDER_DEATH_MAX: Duration = Duration::from_secs(1);

/// How long a process that is killed may keep its sockets and locks: the kernel closes them after its interfaces.
pub(crate) const DEATH_WAIT_MAX: Duration = Duration::from_secs(20);

/// The same after the process, and the time between two looks.
pub(crate) const GONE_WAIT_MAX: Duration = Duration::from_secs(5);
pub(crate) const DEATH_POLL: Duration = Duration::from_millis(50);

/// Longest wait for such interfaces in containers in which the kernel removes none of them.
pub(crate) const LEFT_OVER_STILL_MAX: Duration = Duration::from_secs(10);

/// Time between two lines of the log about a wait for them.
pub(crate) const LEFT_OVER_LOG_INTERVAL: Duration = Duration::from_secs(5);

/// Time between two checks of what the kernel does not tell changes of.
pub(crate) const UPKEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Shortest time between two checks after changes that the kernel tells.
pub(crate) const UPKEEP_PAUSE: Duration = Duration::from_millis(100);

/// Ports of a published range with other numbers in the container, each of which takes an element.
pub(crate) const SHIFTED_PORTS_MAX: u16 = 256;

/// Such ports of all ranges: twice that many elements are one batch.
pub(crate) const SHIFTED_PORTS_SUM_MAX: usize = 4096;

/// Routes of the host that the switch uses.
pub(crate) const ROUTES_MAX: usize = 8192;

/// Distinct choices of source addresses among these routes.
pub(crate) const SOURCE_SETS_MAX: usize = 1024;

/// Neighbours of the uplink that the switch uses.
pub(crate) const NEIGHBOURS_MAX: usize = 4096;

/// Neighbours that the kernel keeps fresh for the switch.
pub(crate) const NEIGH_REFRESH_MAX: usize = 1024;

/// The same on behalf of one port.
pub(crate) const NEIGH_REFRESH_PER_PORT_MAX: usize = 256;

/// Time between two refreshes of a neighbour.
pub(crate) const NEIGH_REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// Time between two checks whether frames that leave by the uplink are answered.
pub(crate) const NEIGH_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Checks with frames sent and none received after which next hops are probed.
pub(crate) const NEIGH_SILENT_CHECKS: u32 = 2;

/// Checks after a probe before the next one, unless a frame was received.
pub(crate) const NEIGH_PROBE_PAUSE: u32 = 10;

/// Checks with frames sent after which gateways are probed, whatever was received.
pub(crate) const NEIGH_GATEWAY_CHECKS: u32 = 5;

/// Neighbours that one probe is sent to, beside gateways.
pub(crate) const NEIGH_PROBES_MAX: usize = 64;

/// Refreshes of a neighbour after its last request.
pub(crate) const NEIGH_REFRESH_ROUNDS_MAX: u32 = 5;

/// Pause after a notification of the kernel: further changes gather meanwhile.
pub(crate) const DEBOUNCE: Duration = Duration::from_millis(20);

/// Parts of one network whose containers have routes of their own by rules of the host; rules for more are not followed.
pub(crate) const RULE_SOURCES_MAX: usize = 64;

/// Addresses of the host that have routes of their own by its rules; rules for further ones are not followed. Each has a
/// table of up to [`ROUTES_MAX`] routes.
pub(crate) const HOST_SOURCES_MAX: usize = 64;

/// Routes that are not followed of which hints name each.
pub(crate) const ROUTE_HINTS_MAX: usize = 8;

/// Pause after the socket of the kernel's notifications failed.
pub(crate) const NOTIFICATIONS_PAUSE: Duration = Duration::from_secs(1);

/// Buffer of the kernel's messages about interfaces, in bytes as the kernel counts them: for those of a thousand
/// interfaces at once.
pub(crate) const LINK_MESSAGES_BUFFER: usize = 4 << 20;

/// Longest datagram of such messages in bytes; the kernel's are half as long.
pub(crate) const LINK_MESSAGE_MAX: usize = 64 << 10;

/// Time between two reads of the kernel's state without a notification.
pub(crate) const RESYNC_INTERVAL: Duration = Duration::from_secs(30);

/// Pause before a change that could not be followed is tried again.
pub(crate) const SYNC_RETRY: Duration = Duration::from_secs(2);

/// Remotes whose packets by a protocol without ports the NIC hands over.
pub(crate) const PORTLESS_MAX: usize = 4096;

/// How long it does after a worker has told so last.
pub(crate) const PORTLESS_KEPT: Duration = Duration::from_secs(60);

/// Time between two looks whether the host itself uses one of them by now.
pub(crate) const PORTLESS_CHECK: Duration = Duration::from_secs(2);

/// Time between two notes to the workers that it does: they forget it after `PORTLESS_HOST`.
pub(crate) const PORTLESS_NOTE: Duration = Duration::from_secs(20);

/// Pause after such a look, as a multiple of what it took: it costs a tenth of a processor at most.
pub(crate) const PORTLESS_REST: u32 = 9;

/// Bundles of such notes that control has not taken yet. Surplus is noted again.
pub(crate) const PORTLESS_NOTES_MAX: usize = 16;

/// Ports of one publication reserved by sockets; a kernel setting reserves a longer range.
pub(crate) const RESERVED_SOCKETS_MAX: usize = 64;

/// Sockets that hold blocks of SNAT ports, of the limit of open files.
pub(crate) const SNAT_SOCKETS_PERCENT: u32 = 50;

/// Sockets that hold SNAT ports at most, one for each port of TCP and of UDP, with so many open files allowed.
#[must_use]
pub fn snat_sockets(open_files: u64) -> u64 {
    open_files / 100 * u64::from(SNAT_SOCKETS_PERCENT)
}

/// Open files that so many sockets for SNAT ports need; see [`snat_sockets`].
#[must_use]
pub fn snat_open_files(sockets: u64) -> u64 {
    sockets.div_ceil(u64::from(SNAT_SOCKETS_PERCENT)) * 100
}

/// Connections to `[::1]` that the proxy relays for one port.
pub(crate) const PROXY_CONNECTIONS_MAX: usize = 256;

/// Clients of UDP to `[::1]` that the proxy remembers for one port, with a socket each.
pub(crate) const PROXY_CLIENTS_MAX: usize = 512;

/// Connections that the proxy relays for devices that are no uplinks, to all ports together.
pub(crate) const RELAYED_CONNECTIONS_MAX: usize = 2048;

/// Their backlog: connections that wait for one of these to end.
pub(crate) const RELAYED_BACKLOG: i32 = 1024;

/// Clients of UDP by such devices that the proxy remembers, with a socket each, for all ports together.
pub(crate) const RELAYED_CLIENTS_MAX: usize = 1024;

/// Ports that are tried for its sockets: of TCP and UDP, the same.
pub(crate) const RELAYED_PORTS_TRIED: u32 = 16;

/// How long the proxy knows what a client of UDP has asked for, until it asks the kernel again.
pub(crate) const RELAYED_FLOW_KNOWN: Duration = Duration::from_secs(1);

/// A client of it that is silent so long is probed, so often, and so many times before it counts as gone.
pub(crate) const RELAYED_KEEP_ALIVE_IDLE: Duration = Duration::from_secs(120);
pub(crate) const RELAYED_KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);
pub(crate) const RELAYED_KEEP_ALIVE_PROBES: u32 = 4;

/// How long the container may take to accept a relayed connection.
pub(crate) const PROXY_CONNECT_MAX: Duration = Duration::from_secs(10);

/// SYNs to one port of the proxy of `[::1]` that it keeps while it asks the container. Further ones pass.
pub(crate) const PROXY_SYNS_MAX: usize = 256;

/// How long it keeps a SYN, and a connection to the container whose client does not come. The client repeats its SYN
/// after a second.
pub(crate) const PROXY_SYN_KEPT: Duration = Duration::from_secs(3);

/// How long a SYN is known, so that it passes when it comes again; longer than the proxy keeps it.
pub(crate) const SYN_KNOWN: Duration = Duration::from_secs(5);

/// SYNs that are known. Further ones pass.
pub(crate) const SYNS_KNOWN_MAX: u32 = 16_384;

/// Mark of the resets that it sends, by which a rule keeps them from connection tracking.
pub(crate) const RESET_MARK: u32 = 0x7673_7772;

/// Buffer of the socket that hears SYNs, in bytes: some hundred of them.
pub(crate) const SYN_BUFFER: usize = 1 << 20;

/// The first log group for SYNs, and how many are tried: other programs may have some.
pub(crate) const SYN_GROUP: u16 = 30_323;
pub(crate) const SYN_GROUPS_TRIED: u16 = 64;

/// How long a datagram to `[::1]` waits for room in the buffer of the socket towards the container.
pub(crate) const PROXY_SEND_MAX: Duration = Duration::from_millis(50);

/// Bytes of a client's unanswered datagrams that the proxy keeps for the container's other address.
pub(crate) const PROXY_UNANSWERED_BYTES: usize = 16 << 10;

/// Idle time of a half-closed TCP connection of the host to a published port.
pub(crate) const HALF_CLOSED_IDLE: Duration = Duration::from_secs(3600);

/// Idle time after which the proxy forgets a client of UDP to `[::1]`.
pub(crate) const PROXY_CLIENT_IDLE: Duration = Duration::from_secs(120);

/// Pause of the proxy of `[::1]` after its socket reports an error.
pub(crate) const PROXY_ERROR_PAUSE: Duration = Duration::from_millis(100);
