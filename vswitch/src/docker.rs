//! The network and IPAM plugin of Docker, on a Unix socket of its own.
//!
//! Docker calls the methods of its remote driver protocols by `POST /NAME.METHOD` with JSON ([`protocol`]), and prints
//! the text of a failure to the user. Networks and endpoints of Docker are networks and ports of the switch; a network
//! may stand for an overlay network ([`overlay`]). Docker's ids are labels of these ([`NETWORK_ID`], [`ENDPOINT_ID`]), so that
//! they survive a restart.
//!
//! An endpoint's life: *created* (a port, whose TAP is in the host's namespace), *joined* (Docker knows the TAP's
//! name and moves it into the container), *left* (Docker takes the TAP back), *deleted*. In between, Docker says which
//! of a container's networks has its published ports and its default route (`ProgramExternalConnectivity`,
//! `RevokeExternalConnectivity`). All methods may be called again: Docker repeats a request whose answer it has
//! not got. It waits up to 15 s for a switch that starts again, and then goes on without it: it deletes endpoints and
//! networks that the switch still has ([`forgotten`]).
//!
//! Names, aliases and labels of containers are not in these requests: [`names`] asks Docker's API for them.

mod driver;
mod error;
mod follow;
mod forgotten;
mod ipam;
pub(crate) mod limits;
mod names;
mod options;
mod overlay;
mod port_map;
mod protocol;

use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, post};
use axum::{Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::control::Control;
use crate::server::{self, Bounds, Limits, Socket};
use driver::Driver;
use forgotten::Forgotten;
use limits::{BODY_TIME_MAX, DOCKER_BODY_MAX, DOCKER_CONNECTIONS_MAX};
use names::Names;
use protocol::{Activation, Allocated, Capabilities, Done, Failure};

/// Label of a network: its id in Docker.
pub(crate) const NETWORK_ID: &str = "docker.network-id";

/// Label of a port: its endpoint's id in Docker.
pub(crate) const ENDPOINT_ID: &str = "docker.endpoint-id";

/// Label of a network whose containers get addresses of IPv4 only, although Docker does not give them.
const FAMILY_LABEL: &str = "docker.family";

/// The error of a request without contents. Docker sends those of a repeated request only once.
const EMPTY: &str = "the request is empty: the switch ended while it had it, and Docker repeats it without its \
                     contents; try again";

/// Serves the plugin until `stop` turns true, then waits for the requests in progress.
pub(crate) async fn run(
    socket: Option<&Socket>,
    control: Control,
    api: &Path,
    stop: watch::Receiver<bool>,
) {
    let Some(socket) = socket else { return };
    let names = Names::new(control.clone(), api);
    names.learn_all();
    let forgotten = Forgotten::new(control.clone(), api);
    forgotten.remove_all();
    let open = router(Driver::new(control.clone(), names, forgotten));
    let closed =
        Router::new().fallback(|| async { Json(Failure::new("you may not control the switch")) });
    let bounds = Bounds {
        name: "docker-connections",
        connections: Limits {
            served: DOCKER_CONNECTIONS_MAX,
            of_peer: DOCKER_CONNECTIONS_MAX,
            spare: 0,
        },
        lifetime: Duration::MAX,
        // Docker would keep idle ones until the switch ends them, and might send a request at that moment.
        keep_alive: false,
    };
    let next = async || {
        let stream = socket.accept().await?;
        let (peer, is_permitted) = server::peer(&stream);
        let router = if is_permitted { open.clone() } else { closed.clone() };
        Ok((stream, peer, router))
    };
    let moves = follow::follow_moves(control.clone(), stop.clone());
    tokio::join!(server::accept(next, bounds, control, stop), moves);
}

fn router(driver: Driver) -> Router {
    let network = |method: &str| format!("/NetworkDriver.{method}");
    let ipam = |method: &str| format!("/IpamDriver.{method}");
    Router::new()
        .route("/Plugin.Activate", post(activate))
        .route(&network("GetCapabilities"), post(capabilities))
        .route(&network("AllocateNetwork"), post(allocate_network))
        .route(&network("FreeNetwork"), post(done))
        .route(&network("DiscoverNew"), post(done))
        .route(&network("DiscoverDelete"), post(done))
        .route(&network("CreateNetwork"), call(Driver::create_network))
        .route(&network("DeleteNetwork"), call(Driver::delete_network))
        .route(&network("CreateEndpoint"), call(Driver::create_endpoint))
        .route(&network("DeleteEndpoint"), call(Driver::delete_endpoint))
        .route(&network("EndpointOperInfo"), call(Driver::endpoint_info))
        .route(&network("Join"), call(Driver::join))
        .route(&network("Leave"), call(Driver::leave))
        .route(&network("ProgramExternalConnectivity"), call(Driver::program))
        .route(&network("RevokeExternalConnectivity"), call(Driver::revoke))
        .route(&ipam("GetCapabilities"), post(ipam::capabilities))
        .route(&ipam("GetDefaultAddressSpaces"), post(ipam::address_spaces))
        .route(&ipam("RequestPool"), call(ipam::request_pool))
        .route(&ipam("ReleasePool"), call(ipam::release_pool))
        .route(&ipam("RequestAddress"), call(ipam::request_address))
        .route(&ipam("ReleaseAddress"), call(ipam::release_address))
        .with_state(driver)
}

async fn activate() -> Json<Activation> {
    Json(Activation { implements: vec!["NetworkDriver", "IpamDriver"] })
}

async fn capabilities() -> Json<Capabilities> {
    Json(Capabilities { scope: "local", connectivity_scope: "local" })
}

/// The answer for networks of a swarm, which the capabilities exclude.
async fn allocate_network() -> Json<Allocated> {
    Json(Allocated { options: Default::default() })
}

async fn done() -> Json<Done> {
    Json(Done {})
}

/// A handler that calls a method of the driver. Docker reads failures from a response with status 200.
fn call<Q, A, F>(
    method: impl Fn(Driver, Q) -> F + Clone + Send + Sync + 'static,
) -> MethodRouter<Driver>
where
    Q: DeserializeOwned + Send + 'static,
    A: Serialize,
    F: Future<Output = Result<A, String>> + Send,
{
    post(|State(driver): State<Driver>, request: Request| async move {
        let path = request.uri().path().to_owned();
        let answer = match read(&driver, request.into_body()).await {
            Ok(request) => method(driver, request).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(answer) => Json(answer).into_response(),
            Err(err) => {
                tracing::warn!(method = path.trim_start_matches('/'), error = err, "refused");
                Json(Failure::new(err)).into_response()
            }
        }
    })
}

/// Reads a request. Docker's content type is of its own.
async fn read<Q: DeserializeOwned>(driver: &Driver, body: Body) -> Result<Q, String> {
    let bytes = match tokio::time::timeout(BODY_TIME_MAX, to_bytes(body, DOCKER_BODY_MAX)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => {
            driver.control().count_refusal("docker-request-body");
            return Err(format!("the request is longer than {DOCKER_BODY_MAX} bytes"));
        }
        Err(_) => return Err("the request did not come in time".to_owned()),
    };
    if bytes.is_empty() {
        return Err(EMPTY.to_owned());
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("malformed request: {error}"))
}
