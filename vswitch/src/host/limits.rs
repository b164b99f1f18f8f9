//! Limits of what is done to the host.

use std::time::Duration;

/// Time between two looks at whether our nftables tables are still there.
pub(crate) const TABLES_CHECK_INTERVAL: Duration = Duration::from_secs(2);

/// How long nftables may take to answer.
pub(crate) const NFT_ANSWER_MAX: Duration = Duration::from_secs(10);

/// Buffers of the nftables socket: room for a batch, which is one datagram, and for the acknowledgement of each of
/// its messages.
pub(crate) const NFT_BUFFER: usize = 16 << 20;

/// Ports of a published range whose numbers differ in the container that nftables translate one by one.
pub(crate) const SHIFTED_PORTS_MAX: u16 = 256;

/// Such ports of all ranges together: twice that many rules, and four times with `--uplink kernel`, go in one batch.
pub(crate) const SHIFTED_PORTS_SUM_MAX: usize = 4096;

/// Routes of the host that the switch follows.
pub(crate) const ROUTES_MAX: usize = 8192;

/// Neighbours of the uplink that the switch follows.
pub(crate) const NEIGHBOURS_MAX: usize = 4096;

/// Neighbours that the kernel is asked for at the same time.
pub(crate) const NEIGH_REFRESH_MAX: usize = 1024;

/// The same on behalf of one port.
pub(crate) const NEIGH_REFRESH_PER_PORT_MAX: usize = 256;

/// Time between two uses of a neighbour.
pub(crate) const NEIGH_REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// Such rounds in which a neighbour is used after it was asked for.
pub(crate) const NEIGH_REFRESH_ROUNDS_MAX: u32 = 5;

/// How long changes of the kernel gather before they are looked at.
pub(crate) const DEBOUNCE: Duration = Duration::from_millis(20);

/// Time between two looks at the kernel without a notification.
pub(crate) const RESYNC_INTERVAL: Duration = Duration::from_secs(30);

/// Ports of one publication that are reserved by sockets; a longer range by a kernel setting.
pub(crate) const RESERVED_SOCKETS_MAX: usize = 64;

/// Tries to find a port that is free in all families, for port 0.
pub(crate) const FREE_PORT_TRIES_MAX: usize = 16;

/// Connections, or clients of UDP, to [::1] that are carried at the same time, of one port.
pub(crate) const PROXY_CONNECTIONS_MAX: usize = 256;

/// How long the container may take to accept such a connection.
pub(crate) const PROXY_CONNECT_MAX: Duration = Duration::from_secs(10);

/// Datagrams of one client to [::1] that may wait to be carried.
pub(crate) const PROXY_CLIENT_DATAGRAMS: usize = 16;

/// How long a client of UDP to [::1] is remembered after the last datagram.
pub(crate) const PROXY_CLIENT_IDLE: Duration = Duration::from_secs(120);

/// Pause of the proxy of [::1] after its socket reports an error.
pub(crate) const PROXY_ERROR_PAUSE: Duration = Duration::from_millis(100);
