//! Destinations beyond a network, compiled once for all networks with the same uplink.

use std::sync::Arc;

use crate::datapath::router::{OuterFib, RouterConf};

/// Destinations that were compiled last: networks with the same uplink share them.
#[derive(Default)]
pub(super) struct SharedFib(Option<(RouterConf, Arc<OuterFib>)>);

impl SharedFib {
    /// Those of a router: of the network before, of the last snapshot, or new ones.
    pub(super) fn compile(
        &mut self,
        conf: &RouterConf,
        last: Option<(&RouterConf, &Arc<OuterFib>)>,
    ) -> Arc<OuterFib> {
        if let Some((known, outer)) = &self.0
            && known.has_same_routes(conf)
        {
            return Arc::clone(outer);
        }
        let same = last.filter(|(last, _)| last.has_same_routes(conf));
        let outer = same.map_or_else(|| Arc::new(OuterFib::new(conf)), |(_, it)| Arc::clone(it));
        self.0 = Some((conf.clone(), Arc::clone(&outer)));
        outer
    }
}
