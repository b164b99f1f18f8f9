//! Handlers of the paths.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::map_response_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use vswitch_api::address::{AddressRequest, ReservedAddress};
use vswitch_api::conntrack::{Connection, ConnectionFilter, Flushed};
use vswitch_api::cut_through::CutThroughConnection;
use vswitch_api::dns::{DnsAnswer, DnsName, DnsQuery};
use vswitch_api::error::{ApiError, ErrorCode};
use vswitch_api::fdb::{EntryKey, FdbEntry, StaticEntry};
use vswitch_api::limits::Limit;
use vswitch_api::network::{
    EndpointRequest, Network, NetworkDetail, NetworkRemoval, NetworkRequest,
};
use vswitch_api::overlay::{Peer, PeerRequest};
use vswitch_api::port::{AttachRequest, NameChange, Port, PortDetail, Pruned};
use vswitch_api::port_settings::{PortSettings, SettingsChange};
use vswitch_api::publish::{Publication, PublicationKey};
use vswitch_api::registry::RegistryStatus;
use vswitch_api::routes;
use vswitch_api::stats::Stats;
use vswitch_api::status::{Shutdown, Status};

use super::error::Failure;
use super::extract::{Body, PathSegment};
use super::limits::BODY_MAX;
use super::{events, metrics};
use crate::control::Control;

/// The API.
pub(super) fn router(control: Control) -> Router {
    Router::new()
        .route(routes::STATUS, get(status))
        .route(routes::SHUTDOWN, post(shutdown))
        .route(routes::NETWORKS, get(networks).post(create_network))
        .route(routes::NETWORK, get(network).delete(remove_network))
        .route(routes::ENDPOINTS, post(connect))
        .route(routes::ENDPOINT, delete(disconnect))
        .route(routes::ADDRESSES, get(addresses).post(reserve_address))
        .route(routes::ADDRESS, delete(release_address))
        .route(routes::NETWORK_PEERS, get(network_peers).post(add_peer).delete(remove_peer))
        .route(routes::PEERS, get(peers))
        .route(routes::REGISTRY, get(registry))
        .route(routes::PORTS, get(ports).post(attach))
        .route(routes::LABELLED_PORTS, get(labelled_ports))
        .route(routes::PORT, get(port).patch(rename).delete(detach))
        .route(routes::PORT_SETTINGS, get(port_settings).patch(set_port_settings))
        .route(routes::PORT_PUBLICATIONS, get(publications).post(publish).delete(unpublish))
        .route(routes::CONNTRACK, get(connections).delete(flush))
        .route(routes::CUT_THROUGH, get(cut_through))
        .route(routes::FDB, get(fdb).put(set_static).delete(remove_static))
        .route(routes::DNS, get(dns_names))
        .route(routes::DNS_QUERY, post(dns_query))
        .route(routes::PRUNE, post(prune))
        .route(routes::EVENTS, get(events::stream))
        .route(routes::STATS, get(stats))
        .route(routes::LIMITS, get(limits))
        .route(routes::METRICS, get(metrics::scrape))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(map_response_with_state(control.clone(), count_refusals))
        .with_state(control)
}

/// Refuses users without permission.
pub(super) fn denied() -> Router {
    Router::new().fallback(|| async {
        let error = ApiError::new(ErrorCode::PermissionDenied, "you may not control the switch")
            .with_hint("run as root, or as the user that the daemon runs as");
        Failure::new(StatusCode::FORBIDDEN, error)
    })
}

async fn status(State(control): State<Control>) -> Json<Status> {
    Json(control.status().await)
}

async fn shutdown(State(control): State<Control>) -> (StatusCode, Json<Shutdown>) {
    let left = control.stop_cut_through().await;
    control.request_shutdown();
    (StatusCode::ACCEPTED, Json(Shutdown { left: left.into_iter().collect() }))
}

async fn cut_through(State(control): State<Control>) -> Json<Vec<CutThroughConnection>> {
    Json(control.cut_through().await)
}

async fn networks(State(control): State<Control>) -> Json<Vec<Network>> {
    Json(control.networks())
}

async fn network(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
) -> Result<Json<NetworkDetail>, Failure> {
    Ok(Json(control.network(&name).await?))
}

async fn create_network(
    State(control): State<Control>,
    Body(request): Body<NetworkRequest>,
) -> Result<(StatusCode, Json<NetworkDetail>), Failure> {
    Ok((StatusCode::CREATED, Json(control.create_network(request).await?)))
}

async fn remove_network(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
    Body(removal): Body<NetworkRemoval>,
) -> Result<StatusCode, Failure> {
    control.remove_network(&name, removal.force).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn connect(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
    Body(request): Body<EndpointRequest>,
) -> Result<(StatusCode, Json<PortDetail>), Failure> {
    Ok((StatusCode::CREATED, Json(control.connect(&network, request).await?)))
}

async fn disconnect(
    State(control): State<Control>,
    PathSegment((network, name)): PathSegment<(String, String)>,
) -> Result<StatusCode, Failure> {
    control.disconnect(&network, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn addresses(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
) -> Result<Json<Vec<ReservedAddress>>, Failure> {
    Ok(Json(control.addresses(&network)?))
}

async fn reserve_address(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
    Body(request): Body<AddressRequest>,
) -> Result<(StatusCode, Json<ReservedAddress>), Failure> {
    Ok((StatusCode::CREATED, Json(control.reserve_address(&network, request).await?)))
}

async fn release_address(
    State(control): State<Control>,
    PathSegment((network, address)): PathSegment<(String, IpAddr)>,
) -> Result<StatusCode, Failure> {
    control.release_address(&network, address).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn network_peers(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
) -> Result<Json<Vec<SocketAddr>>, Failure> {
    Ok(Json(control.network_peers(&network)?))
}

async fn add_peer(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
    Body(request): Body<PeerRequest>,
) -> Result<(StatusCode, Json<SocketAddr>), Failure> {
    Ok((StatusCode::CREATED, Json(control.add_peer(&network, request).await?)))
}

async fn remove_peer(
    State(control): State<Control>,
    PathSegment(network): PathSegment,
    Body(request): Body<PeerRequest>,
) -> Result<StatusCode, Failure> {
    control.remove_peer(&network, request).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn peers(State(control): State<Control>) -> Result<Json<Vec<Peer>>, Failure> {
    Ok(Json(control.peers().await?))
}

async fn registry(State(control): State<Control>) -> Result<Json<RegistryStatus>, Failure> {
    Ok(Json(control.registry_status().await?))
}

async fn ports(State(control): State<Control>) -> Result<Json<Vec<Port>>, Failure> {
    Ok(Json(control.ports().await?))
}

async fn labelled_ports(
    State(control): State<Control>,
    PathSegment((key, value)): PathSegment<(String, String)>,
) -> Result<Json<Vec<Port>>, Failure> {
    Ok(Json(control.ports_with_label(&key, &value).await?))
}

async fn attach(
    State(control): State<Control>,
    Body(request): Body<AttachRequest>,
) -> Result<(StatusCode, Json<PortDetail>), Failure> {
    Ok((StatusCode::CREATED, Json(control.attach(request).await?)))
}

async fn port(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
) -> Result<Json<Vec<PortDetail>>, Failure> {
    Ok(Json(control.attachments(&name).await?))
}

async fn detach(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
) -> Result<StatusCode, Failure> {
    control.detach(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn rename(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
    Body(change): Body<NameChange>,
) -> Result<Json<Vec<PortDetail>>, Failure> {
    Ok(Json(control.rename(&name, &change.name).await?))
}

async fn prune(State(control): State<Control>) -> Result<Json<Pruned>, Failure> {
    Ok(Json(control.prune().await?))
}

async fn port_settings(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
) -> Result<Json<PortSettings>, Failure> {
    Ok(Json(control.settings(&name)?))
}

async fn set_port_settings(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
    Body(change): Body<SettingsChange>,
) -> Result<Json<PortSettings>, Failure> {
    Ok(Json(control.set_port_settings(&name, change).await?))
}

async fn publications(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
) -> Result<Json<Vec<Publication>>, Failure> {
    Ok(Json(control.published(&name)?))
}

async fn publish(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
    Body(wanted): Body<Publication>,
) -> Result<(StatusCode, Json<Publication>), Failure> {
    Ok((StatusCode::CREATED, Json(control.publish(&name, wanted).await?)))
}

async fn unpublish(
    State(control): State<Control>,
    PathSegment(name): PathSegment,
    Body(key): Body<PublicationKey>,
) -> Result<Json<Vec<Publication>>, Failure> {
    Ok(Json(control.unpublish(&name, key).await?))
}

async fn connections(State(control): State<Control>) -> Result<Json<Vec<Connection>>, Failure> {
    Ok(Json(control.connections().await?))
}

async fn flush(
    State(control): State<Control>,
    Body(filter): Body<ConnectionFilter>,
) -> Result<Json<Flushed>, Failure> {
    Ok(Json(control.flush(filter).await?))
}

async fn fdb(State(control): State<Control>) -> Result<Json<Vec<FdbEntry>>, Failure> {
    Ok(Json(control.fdb().await?))
}

async fn set_static(
    State(control): State<Control>,
    Body(entry): Body<StaticEntry>,
) -> Result<StatusCode, Failure> {
    control.set_static(entry).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_static(
    State(control): State<Control>,
    Body(key): Body<EntryKey>,
) -> Result<StatusCode, Failure> {
    control.remove_static(key).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn dns_names(State(control): State<Control>) -> Json<Vec<DnsName>> {
    Json(control.dns_names())
}

async fn dns_query(
    State(control): State<Control>,
    Body(query): Body<DnsQuery>,
) -> Result<Json<DnsAnswer>, Failure> {
    Ok(Json(control.dns_query(query).await?))
}

async fn stats(State(control): State<Control>) -> Result<Json<Stats>, Failure> {
    Ok(Json(control.stats().await?))
}

async fn limits(State(control): State<Control>) -> Result<Json<Vec<Limit>>, Failure> {
    Ok(Json(control.limits().await?))
}

/// Counts responses that a limit of the server causes.
async fn count_refusals(State(control): State<Control>, response: Response) -> Response {
    match response.status() {
        StatusCode::PAYLOAD_TOO_LARGE => control.count_refusal("request-body"),
        StatusCode::REQUEST_TIMEOUT => control.count_refusal("request-body-time"),
        _ => {}
    }
    response
}

async fn no_such_path(uri: Uri) -> Failure {
    let error = ApiError::new(ErrorCode::NotFound, format!("there is no path {}", uri.path()))
        .with_hint("the API is described in docs/openapi.json");
    Failure::new(StatusCode::NOT_FOUND, error)
}

async fn no_such_method(method: Method, uri: Uri) -> Failure {
    let message = format!("{} does not know the method {method}", uri.path());
    let error = ApiError::new(ErrorCode::InvalidArgument, message)
        .with_hint("the API is described in docs/openapi.json");
    Failure::new(StatusCode::METHOD_NOT_ALLOWED, error)
}
