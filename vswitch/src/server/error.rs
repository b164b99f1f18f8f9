//! API errors: the code and hint of each control error.

use std::io;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fastpath::udp::UdpError;
use vswitch_api::error::{ApiError, ErrorCode};
use vswitch_registry::RegistrationError;

use crate::control::store::StoreError;
use crate::control::{ControlError, NetworkError, OverlayError, PoolError};
use crate::dns::DnsError;
use crate::engine::EngineError;
use crate::host::{HostError, NetnsError};
use crate::overlay::NodeError;

/// A response other than 2xx.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error: ApiError,
}

impl Failure {
    pub(super) fn new(status: StatusCode, error: ApiError) -> Self {
        Self { status, error }
    }
}

impl From<ControlError> for Failure {
    fn from(error: ControlError) -> Self {
        let error = api_error(&error);
        if error.code == ErrorCode::Internal {
            tracing::error!(%error, "request failed");
        }
        let status = StatusCode::from_u16(error.code.http_status());
        Self { status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), error }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.error)).into_response()
    }
}

/// What to do about too many publications.
const PUBLICATIONS: &str = "publish a range, which counts once, or unpublish some first";

/// What to do about an endpoint with a fault.
const FAULTY: &str = "the switch tries it again by itself: remove what is in its way, such as an interface of its name, \
                      or detach it";

/// An error of control, for clients.
pub(crate) fn api_error(error: &ControlError) -> ApiError {
    use ErrorCode::{Conflict, Internal, InvalidArgument, LimitReached, NotFound, Unavailable};
    let (code, hint) = match error {
        ControlError::Name(_) => (InvalidArgument, Some("choose a name such as web-1")),
        ControlError::NameTaken(_) => (Conflict, Some("choose another name, or detach that one")),
        ControlError::NameOfBridge(_) => (Conflict, Some("choose another name")),
        ControlError::UnknownPort(_) => (NotFound, Some("see `vswitch ls`")),
        ControlError::Faulty { .. } => (Unavailable, Some(FAULTY)),
        ControlError::Waiting(_) => (Conflict, Some("start the container first")),
        ControlError::Engine(error) => engine(error),
        ControlError::UnknownNetwork(_) => (NotFound, Some("see `vswitch network ls`")),
        ControlError::NetworkExists(_) | ControlError::AmbiguousName { .. } => (Conflict, None),
        ControlError::Network(error) => network(error),
        ControlError::Overlay(error) => overlay(error),
        ControlError::Registry(error) => registry(error),
        ControlError::NotReserved { .. } => (NotFound, None),
        ControlError::AddressesMax(_)
        | ControlError::AliasesMax(_)
        | ControlError::LabelsMax(_) => (LimitReached, Some("use fewer")),
        ControlError::Busy(..) => (Unavailable, Some("try again in a moment")),
        ControlError::Pool(error) => pool(error),
        ControlError::AddressInUse { .. } | ControlError::MacInUse { .. } => {
            (Conflict, Some("choose another address, or let the switch choose"))
        }
        ControlError::Vlan(_) => (InvalidArgument, None),
        ControlError::MacNotUnicast(..) => {
            (InvalidArgument, Some("choose a unicast address, such as 02:00:5e:10:00:01"))
        }
        ControlError::Ifname(_) => {
            (InvalidArgument, Some("choose a name of 1 to 15 characters, such as eth0"))
        }
        ControlError::GuardAddress { .. } => (
            InvalidArgument,
            Some("see `vswitch inspect` for its addresses, or turn the guard off"),
        ),
        ControlError::OtherFamily { .. } => (InvalidArgument, Some("leave one of the two away")),
        ControlError::HostSettings { .. } => (InvalidArgument, Some("only its VLANs can be set")),
        ControlError::NoStatic { .. } => (NotFound, Some("see `vswitch fdb`; learnt ones age")),
        ControlError::MacsInUse { .. } => {
            (Conflict, Some("choose a higher limit, or wait until addresses have aged"))
        }
        ControlError::PortsMax(_) | ControlError::WaitingMax(_) => {
            (LimitReached, Some("detach some first"))
        }
        ControlError::EventClientsMax => (LimitReached, Some("end one of them first")),
        ControlError::StaticsMax => (LimitReached, Some("remove some first")),
        ControlError::ReservationsMax => (LimitReached, Some("release some first")),
        ControlError::UplinkUnavailable(_) => {
            (Conflict, Some("docs/nat.md explains which --uplink to choose"))
        }
        ControlError::NotOurAddress(_) => (InvalidArgument, Some("see `ip address`")),
        ControlError::Shifted(_) => {
            (InvalidArgument, Some("publish them at the container's own port numbers"))
        }
        ControlError::PublishFailed(_) => (Internal, Some("see `vswitch doctor`")),
        ControlError::NoUplink(_) => (Conflict, Some("start the switch with --uplink auto")),
        ControlError::AllowFromKernel(_) => {
            (Conflict, Some("limit sources in the host's own firewall, or use --uplink auto"))
        }
        ControlError::HostPortTaken(_) | ControlError::PortPublished { .. } => {
            (Conflict, Some("choose another port of the host, or 0 to have one picked"))
        }
        ControlError::NotPublished { .. } => (NotFound, Some("see `vswitch inspect`")),
        ControlError::NoFreePort(_) => (LimitReached, Some("name the host's ports instead")),
        ControlError::PublicationsMax(_) => (LimitReached, Some(PUBLICATIONS)),
        ControlError::AllowFromMax(_) => (LimitReached, Some("name larger prefixes")),
        ControlError::Dns(error) => dns(error),
        ControlError::Ending => (Unavailable, Some("start it again with `vswitch up`")),
        ControlError::Host(error) => host(error),
        ControlError::Random(_)
        | ControlError::Dataplane(_)
        | ControlError::Store(_)
        | ControlError::Task(_) => (Internal, Some(machine(error))),
    };
    with_hint(ApiError::new(code, error.to_string()), hint)
}

/// What to do where the machine itself refuses.
fn machine(error: &ControlError) -> &'static str {
    match error {
        ControlError::Dataplane(_) if error.is_errno(libc::ENOMEM) => {
            "a limit of memory is too low: see `ulimit -v` and `ulimit -l`"
        }
        ControlError::Store(error) if is_full(error) => {
            "make room on the file system of the state directory"
        }
        _ => "see the daemon's log",
    }
}

/// Whether the disk, or the user's part of it, is full.
fn is_full(error: &StoreError) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
    matches!(error, StoreError::Io { source, .. } if full.contains(&source.kind()))
}

fn network(error: &NetworkError) -> (ErrorCode, Option<&'static str>) {
    use ErrorCode::{Conflict, InvalidArgument, LimitReached, NotFound};
    match error {
        NetworkError::NameReserved(_) => (InvalidArgument, Some("choose another name")),
        NetworkError::InUse { .. } => {
            (Conflict, Some("detach them first, or add --force, which does it"))
        }
        NetworkError::Own(_) => (Conflict, None),
        NetworkError::Max | NetworkError::PoolsMax => (LimitReached, Some("remove some first")),
        NetworkError::ReachableFromMax => (LimitReached, Some("name fewer")),
        NetworkError::OpenFiles => (LimitReached, Some("raise it, or remove some first")),
        NetworkError::SubnetsMax => (LimitReached, Some("name one with --subnet")),
        NetworkError::NotConnected { .. } => (NotFound, Some("see `vswitch inspect`")),
        NetworkError::Connected { .. } => (Conflict, Some("see `vswitch inspect`")),
        NetworkError::Value(_)
        | NetworkError::SecondSubnet(_)
        | NetworkError::SecondGateway(_)
        | NetworkError::SecondRange(_) => (InvalidArgument, None),
        NetworkError::UnknownPool(_) | NetworkError::NotTaken { .. } => (NotFound, None),
        NetworkError::SubnetInUse { .. }
        | NetworkError::SubnetInPool { .. }
        | NetworkError::SubnetRouted { .. } => (
            Conflict,
            Some("choose another --subnet, or none; an --internal network may overlap others"),
        ),
        NetworkError::NoHostPort(_) | NetworkError::Overlaps(_) => {
            (InvalidArgument, Some("choose another --subnet"))
        }
        NetworkError::GatewayOutside { .. } => {
            (InvalidArgument, Some("choose another address of the subnet"))
        }
        NetworkError::RangeOutside { .. } => (InvalidArgument, Some("choose a part of the subnet")),
        NetworkError::RangeEmpty(_) => {
            (InvalidArgument, Some("choose a larger part of the subnet"))
        }
        NetworkError::OtherUplink { .. } => {
            (Conflict, Some("leave --uplink out, or start the switch with that one"))
        }
    }
}

fn registry(error: &NodeError) -> (ErrorCode, Option<&'static str>) {
    use ErrorCode::{Conflict, InvalidArgument, LimitReached, NotFound, Unavailable};
    match error {
        NodeError::UnknownNetwork(_) => (NotFound, Some("see `vswitch network ls`")),
        NodeError::NetworkExists(_) => (Conflict, Some("choose another name")),
        NodeError::VniTaken { .. } => (Conflict, Some("leave --vni out, or choose another")),
        NodeError::SubnetOverlaps { .. } => (Conflict, Some("choose another --subnet")),
        NodeError::NetworkInUse { .. } => (Conflict, Some("detach them on that node first")),
        NodeError::AddressTaken { .. }
        | NodeError::Registration(RegistrationError::AddressTaken { .. }) => {
            (Conflict, Some("choose another address, or let the switch choose"))
        }
        NodeError::AddressUnusable { .. } => (InvalidArgument, Some("choose another address")),
        NodeError::NoVni | NodeError::Exhausted { .. } => (LimitReached, None),
        NodeError::NotInFile { .. }
        | NodeError::MacDiffers { .. }
        | NodeError::NodeNotInFile { .. }
        | NodeError::Registration(_)
        | NodeError::Withdrawn { .. } => (Conflict, None),
        NodeError::Format(_) => (InvalidArgument, None),
        NodeError::BlocksFull { .. }
        | NodeError::AddressUndecided { .. }
        | NodeError::Registry(_)
        | NodeError::Ended => (Unavailable, Some("see `vswitch registry status`")),
    }
}

fn overlay(error: &OverlayError) -> (ErrorCode, Option<&'static str>) {
    use ErrorCode::{Conflict, Internal, InvalidArgument, LimitReached, NotFound};
    match error {
        OverlayError::NoUnderlay(_) => {
            (Conflict, Some("start the switch with --underlay and an address of this host"))
        }
        OverlayError::NotOurAddress(_) => (InvalidArgument, Some("see `ip address`")),
        OverlayError::Sockets(UdpError::Taken { .. }) => {
            (Conflict, Some("end that program, or choose another --vxlan-port"))
        }
        OverlayError::Sockets(_) => (Internal, Some("see `vswitch doctor`")),
        OverlayError::NodeName(_) => (InvalidArgument, Some("name it with --node")),
        OverlayError::VniMissing(_) => {
            (InvalidArgument, Some("name it with --vni, the same on all nodes"))
        }
        OverlayError::Vni(_) | OverlayError::PeerPort => (InvalidArgument, None),
        OverlayError::NetworkOfRegistry(_) => {
            (Conflict, Some("start the switch with --registry and the URL of that registry"))
        }
        OverlayError::Registered { .. } => (Conflict, Some("mend it in the registry")),
        OverlayError::NoSubnet { .. } => (Conflict, None),
        OverlayError::UsedElsewhere { .. } => (Conflict, Some("detach them on that node first")),
        OverlayError::RangeOfRegistry => (InvalidArgument, Some("leave --ip-range out")),
        OverlayError::HostAddressOfRegistry => (InvalidArgument, Some("leave --host-ip out")),
        OverlayError::VniTaken { .. } => (Conflict, Some("choose another --vni")),
        OverlayError::MtuMax { .. } => {
            (InvalidArgument, Some("choose a smaller --mtu, or leave it out"))
        }
        OverlayError::MtuMin { .. } => (Conflict, Some("give the device a larger MTU")),
        OverlayError::HostAddress(_)
        | OverlayError::SecondHostAddress(_)
        | OverlayError::NoHostPort(_) => (InvalidArgument, Some("choose another --host-ip")),
        OverlayError::Local(_) => {
            (InvalidArgument, Some("create an overlay network: `vswitch network create --overlay`"))
        }
        OverlayError::PeerAddress { .. } => {
            (InvalidArgument, Some("write the address of its underlay, such as 192.0.2.2"))
        }
        OverlayError::PeerOwn(_) => (InvalidArgument, Some("name the other hosts only")),
        OverlayError::PeerFamily { .. } => {
            (InvalidArgument, Some("all nodes have an address of one family"))
        }
        OverlayError::PeerExists { .. } => (Conflict, None),
        OverlayError::NoPeer { .. } => (NotFound, Some("see `vswitch network peer ls`")),
        OverlayError::Absent(_) => (
            NotFound,
            Some("create it: `vswitch network create --overlay`, or `vswitch up --registry URL`"),
        ),
        OverlayError::Joined { .. } => {
            (Conflict, Some("use that one, or remove it: `docker network rm`"))
        }
        OverlayError::Differs { .. } => (Conflict, Some("ask for it as it is")),
        OverlayError::NoRegistry => (NotFound, Some("start it with `vswitch up --registry URL`")),
        OverlayError::PeersMax(_) | OverlayError::VtepsMax => {
            (LimitReached, Some("remove some first"))
        }
    }
}

fn engine(error: &EngineError) -> (ErrorCode, Option<&'static str>) {
    use ErrorCode::{Conflict, Internal, InvalidArgument, NotFound};
    match error {
        EngineError::NoEngine { .. } => (
            NotFound,
            Some(
                "start it (`systemctl start docker` or `podman.socket`), or name its socket with --engine",
            ),
        ),
        EngineError::RelativeSocket(_) => (InvalidArgument, Some("such as /var/run/docker.sock")),
        EngineError::Timeout { .. } => (Internal, Some("see whether `docker ps` answers")),
        EngineError::Protocol { .. } => {
            (Internal, Some("name the socket of Docker or podman with --engine"))
        }
        EngineError::Refused { .. } => (Conflict, None),
        EngineError::NotFound { .. } | EngineError::NoContainer { .. } => {
            (NotFound, Some("see `docker ps`; another engine's socket is named with --engine"))
        }
        EngineError::NotRunning { .. } => (Conflict, Some("start it first")),
        EngineError::Paused(_) => (Conflict, Some("resume it first, with `docker unpause`")),
        EngineError::HostNetwork(_) => {
            (InvalidArgument, Some("run it with --network none, or on a network of the engine"))
        }
        EngineError::OtherUser { .. } => {
            (Conflict, Some("name the socket of the engine itself with --engine"))
        }
        EngineError::Ended(_) => (Conflict, Some("start it again")),
    }
}

fn dns(error: &DnsError) -> (ErrorCode, Option<&'static str>) {
    match error {
        DnsError::Server(_) => (ErrorCode::Internal, Some("see the daemon's log")),
        DnsError::Off => (ErrorCode::Conflict, Some("start it again without --no-dns")),
        DnsError::Name(_) | DnsError::Type(_) => (ErrorCode::InvalidArgument, None),
    }
}

fn pool(error: &PoolError) -> (ErrorCode, Option<&'static str>) {
    match error {
        PoolError::InUse(_) => {
            (ErrorCode::Conflict, Some("choose another address, or let the switch choose"))
        }
        PoolError::Outside { .. } | PoolError::Reserved { .. } => {
            (ErrorCode::InvalidArgument, Some("choose another address of the subnet"))
        }
        PoolError::Exhausted { .. } => {
            (ErrorCode::LimitReached, Some("detach some, wait a minute, or use a larger subnet"))
        }
    }
}

fn host(error: &HostError) -> (ErrorCode, Option<&'static str>) {
    match error {
        HostError::Netns(error) => netns(error),
        HostError::NameTaken(_) | HostError::NameHeld { .. } => (
            ErrorCode::Conflict,
            Some("choose another name with --bridge, or remove that interface"),
        ),
        HostError::LeftOver(_) => {
            (ErrorCode::Unavailable, Some("try again; if it stays, `ip link del NAME`"))
        }
        HostError::Overlap { .. } => (ErrorCode::Conflict, Some("choose another --subnet")),
        HostError::IfnameTaken(_) => {
            (ErrorCode::Conflict, Some("choose another --ifname, or leave it out"))
        }
        HostError::Tap(_)
        | HostError::Netlink(_)
        | HostError::Connect(_)
        | HostError::Sysctl { .. }
        | HostError::NewNetns(_)
        | HostError::Listen { .. }
        | HostError::NotMovedIn(_)
        | HostError::Thread(_) => (ErrorCode::Internal, Some("see `vswitch doctor`")),
    }
}

fn netns(error: &NetnsError) -> (ErrorCode, Option<&'static str>) {
    match error {
        NetnsError::NoProcess(_) => {
            (ErrorCode::NotFound, Some("the process may have exited; see `ps`"))
        }
        NetnsError::NoName(_) => {
            (ErrorCode::NotFound, Some("see `ip netns list`, or create it with `ip netns add`"))
        }
        NetnsError::NoPath(_) => (ErrorCode::NotFound, Some("see `lsns -t net`")),
        NetnsError::Gone(_) => (ErrorCode::NotFound, Some("its last process has exited")),
        NetnsError::BadName(_) | NetnsError::Relative(_) => {
            (ErrorCode::InvalidArgument, Some("give a PID, an absolute path or a name"))
        }
        NetnsError::NotANamespace(_) => {
            (ErrorCode::InvalidArgument, Some("give a file such as /proc/PID/ns/net"))
        }
        NetnsError::Own(_) => (
            ErrorCode::InvalidArgument,
            Some("the host reaches containers by the bridge; attach another namespace"),
        ),
        NetnsError::Open { .. } | NetnsError::Enter { .. } => {
            (ErrorCode::Internal, Some("the daemon needs CAP_SYS_PTRACE and CAP_SYS_ADMIN for it"))
        }
    }
}

fn with_hint(error: ApiError, hint: Option<&str>) -> ApiError {
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
