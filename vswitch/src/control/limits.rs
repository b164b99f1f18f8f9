//! Limits of control.

use std::time::Duration;

use crate::datapath::limits::NETWORKS_MAX;

/// Subnets that are chosen for networks which name none.
pub(crate) const POOL_SUBNETS: usize = 4096;

/// Clients that listen to events at a time.
pub(crate) const EVENT_CLIENTS_MAX: usize = 16;

/// Events that a client may be behind; further ones disconnect it.
pub(crate) const EVENT_QUEUE_MAX: usize = 1024;

/// Static entries of the forwarding database that one network may have.
pub(crate) const STATICS_MAX: usize = 4096;

/// Reserved addresses that one network may have: two for each port that the switch can have.
pub(crate) const RESERVATIONS_MAX: usize = 16 << 10;

/// Publications that one attachment may have; a range is one.
pub(crate) const PUBLICATIONS_MAX: usize = 256;

/// Prefixes that one publication may be open to.
pub(crate) const ALLOW_FROM_MAX: usize = 64;

/// Addresses that one endpoint may have beside the first of each family; the service knows them all.
pub(crate) const FURTHER_ADDRESSES_MAX: usize = crate::datapath::limits::SERVICE_OWN_MAX - 2;

/// Aliases that one endpoint may have.
pub(crate) const ALIASES_MAX: usize = 64;

/// How long an IPAM client may take from a pool to its network. After that another may have the pool.
pub(crate) const POOL_SETUP_MAX: Duration = Duration::from_secs(60);

/// Address pools that IPAM clients may have: one of each family for each network.
pub(crate) const ADDRESS_POOLS_MAX: usize = 2 * NETWORKS_MAX;

/// Networks that may open connections to one network.
pub(crate) const REACHABLE_FROM_MAX: usize = 64;

/// Static peers that one network may have; each gets a copy of a flood.
pub(crate) const PEERS_MAX: usize = 1024;

/// Peers that all networks may have, each with a socket that knows the MTU of its path.
pub(crate) const VTEPS_MAX: usize = 4096;

/// Endpoints of other nodes that `network inspect` shows of a network; the API's documentation has the number, too.
pub(crate) const REMOTE_ENDPOINTS_SHOWN: usize = 1000;

/// Tries to open the port of tunnels while somebody has it.
pub(crate) const TUNNEL_PORT_TRIES: u32 = 20;

/// Time between two of them.
pub(crate) const TUNNEL_PORT_PAUSE: Duration = Duration::from_millis(100);

/// How long a start waits for a former record of its node in the registry: longer than the lease that it has.
pub(crate) const REGISTER_WAIT_MAX: Duration = Duration::from_secs(18);

/// Time between two looks for it.
pub(crate) const REGISTER_PAUSE: Duration = Duration::from_millis(500);

/// Time in which a network that another node has just created comes here.
pub(crate) const JOIN_WAIT_MAX: Duration = Duration::from_secs(5);

/// Time between two looks for it.
pub(crate) const JOIN_PAUSE: Duration = Duration::from_millis(50);

/// Time after which networks of the registry are tried again that could not be made, and endpoints that it has not taken.
pub(crate) const REGISTRY_RETRY: Duration = Duration::from_secs(5);

/// Subnets that are tried for a network of the registry that names none.
pub(crate) const SUBNET_TRIES_MAX: u32 = 16;

/// Addresses that are tried for an endpoint that names none, while other nodes take them at the same moment. Nodes that
/// borrow from one block take the same one, and all but one of them go on.
pub(crate) const ADDRESS_TRIES_MAX: usize = 16;

/// Endpoints that are told to the registry at once.
pub(crate) const REGISTRY_ANNOUNCED_AT_ONCE: usize = 64;

/// Pauses before an endpoint's addresses are announced to neighbours again: other nodes learn of it within these.
pub(crate) const GRATUITOUS_PAUSES: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_millis(1500)];

/// Time between two looks at the MTU of the underlay and of paths to peers.
pub(crate) const PATH_MTU_INTERVAL: Duration = Duration::from_secs(2);

/// Containers of engines that may wait for their next start, each with its addresses and port.
pub(crate) const WAITING_MAX: usize = 1024;

/// Containers of one engine that are attached again at the same time.
pub(crate) const CONTAINER_CONCURRENCY: usize = 4;

/// Pause before an engine that does not answer is asked again: the first one, and the longest; each is twice
/// the one before.
pub(crate) const ENGINE_PAUSE_MIN: Duration = Duration::from_millis(200);
pub(crate) const ENGINE_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Pause before a running container that could not be attached is tried again.
pub(crate) const CONTAINER_RETRY: Duration = Duration::from_secs(10);

/// Labels that one endpoint may have.
pub(crate) const LABELS_MAX: usize = 128;

/// Bytes that keys and values of an endpoint's labels may have together.
pub(crate) const LABELS_BYTES_MAX: usize = 16 << 10;

/// Attempts to find free host ports for a request that names none.
pub(crate) const PORT_ALLOC_TRIES_MAX: usize = 256;

/// Least time between two lines of the log about addresses that clients of DHCP declined.
pub(crate) const DECLINE_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two attempts to open pending publications.
pub(crate) const REPUBLISH_INTERVAL: Duration = Duration::from_secs(10);

/// Time between two collections of empty blocks of SNAT ports.
pub(crate) const BLOCK_COLLECT_INTERVAL: Duration = Duration::from_secs(20);

/// Time after which a block of which the host had a port is tried again.
pub(crate) const BUSY_BLOCK_PAUSE: Duration = Duration::from_secs(60);

/// Time after a failed claim of blocks in which that worker and transport get none.
pub(crate) const BLOCK_RETRY_PAUSE: Duration = Duration::from_secs(30);

/// Pending publications in one such attempt.
pub(crate) const REPUBLISH_BATCH: usize = 4;

/// Attachments that are replayed at the same time.
pub(crate) const REPLAY_CONCURRENCY: usize = 4;

/// Pause before a kept record is tried again: the first one, and the longest; each is twice the one before.
pub(crate) const KEPT_RETRY_MIN: Duration = Duration::from_millis(500);
pub(crate) const KEPT_RETRY_MAX: Duration = Duration::from_secs(10);

/// Pause before the containers with an interface of a killed switch are looked at again.
pub(crate) const LEFT_OVER_ROUND: Duration = Duration::from_millis(100);

/// Host ports whose settings are looked at in a second.
pub(crate) const SETTINGS_PER_LOOK: usize = 8;

/// Time from an uplink's TAP that could not be made a port to the next attempt.
pub(crate) const PORT_RETRY: Duration = Duration::from_secs(2);

/// Time from a restoration on the host that failed to the next one, unless the kernel tells of a change.
pub(crate) const UPKEEP_RETRY: Duration = Duration::from_secs(5);

/// Least time between two equal lines of the log about the upkeep, and the distinct ones in such a time.
pub(crate) const NOTICE_INTERVAL: Duration = Duration::from_secs(60);
pub(crate) const NOTICES_MAX: usize = 256;

/// Least time between two searches of all processes for the path of a namespace.
pub(crate) const NETNS_SCAN_INTERVAL: Duration = Duration::from_secs(30);

/// Time for one of them that a service manager is asked for.
pub(crate) const REPLAY_ATTACH_MAX: Duration = Duration::from_millis(100);

/// Time from a write of the document that failed to the next one.
pub(crate) const SAVE_RETRY: Duration = Duration::from_secs(1);

/// Longest wait of an attach for the end of an endpoint that has what it needs: the kernel closes the interface, and the document
/// is written, in tens of milliseconds.
pub(crate) const DETACH_WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest wait of `down` after a crash for the kernel to remove the bridge.
pub(crate) const DEVICE_REMOVAL_MAX: Duration = Duration::from_secs(5);

/// Longest wait for a runtime to bring an interface up that it has moved into a namespace, and the first pause
/// between two looks.
pub(crate) const MOVE_WAIT_MAX: Duration = Duration::from_secs(20);
pub(crate) const MOVE_POLL: Duration = Duration::from_millis(5);

/// Longest end of the workers, without the time for their ports.
pub(crate) const SHUTDOWN_MAX: Duration = Duration::from_secs(30);

/// Time for one port in that; the kernel takes 10 to 20 ms.
pub(crate) const PORT_CLOSE_MAX: Duration = Duration::from_millis(100);
