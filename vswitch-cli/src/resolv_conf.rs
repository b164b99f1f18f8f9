//! The `resolv.conf` of a container.

mod target;

pub(crate) use target::Target;
use vswitch::dns::resolv_conf::container_text;
use vswitch::isolate::host_resolv_conf;
use vswitch_api::port::PortDetail;

/// A text that asks the switch, on the network of the default route first; without its DNS service, the text
/// of the host.
pub(crate) fn text(details: &[PortDetail]) -> String {
    let (first, others): (Vec<_>, Vec<_>) =
        details.iter().partition(|detail| detail.is_default_route);
    let details = first.into_iter().chain(others);
    let resolvers: Vec<_> = details.flat_map(|detail| detail.resolvers.iter().copied()).collect();
    match resolvers[..] {
        [] => host_resolv_conf(),
        _ => container_text(&resolvers, &host_resolv_conf()),
    }
}
