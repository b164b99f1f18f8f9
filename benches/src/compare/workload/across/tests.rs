use super::{AcrossHosts, Workload};
use crate::workload::connect::Connect;

#[test]
fn the_two_links_have_metrics_of_their_own() {
    let [nic, veth] = [
        AcrossHosts::nic("overlay-connect", Connect).metrics(),
        AcrossHosts::veth("overlay-veth-connect", Connect).metrics(),
    ];
    assert_eq!(nic[0].key, "overlay-connect.per_s");
    assert_eq!(veth[0].key, "overlay-veth-connect.per_s");
    for (nic, veth) in nic.iter().zip(&veth) {
        assert_ne!(nic.title, veth.title);
    }
}
