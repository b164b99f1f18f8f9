//! Import of any bytes, for the properties and the fuzz target.

use std::sync::Arc;

use vswitch_nat::{
    CompiledPolicy, Nat, NatConfig, OwnerId, Policy, Published, Time, Transport, Zone,
};

/// Later than any timeout.
pub(crate) const NOW: Time = Time(1 << 50);

/// Port 700 leads to a container of zone 1; two addresses are the host's.
pub(crate) fn policy() -> Arc<CompiledPolicy> {
    let server = |transport| Published {
        transport,
        address: None,
        ports: 700..=703,
        zone: Zone(1),
        to_v4: Some([10, 99, 0, 2].into()),
        to_v6: Some([0xfd00, 0, 0, 0, 0, 0, 0, 2].into()),
        to_port: 70,
        owner: OwnerId(1),
        allow_from: Vec::new(),
    };
    let policy = Policy {
        external_v4: Some([192, 0, 2, 1].into()),
        external_v6: Some([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into()),
        sources: Vec::new(),
        host_addrs: vec![[192, 0, 2, 1].into(), [192, 0, 2, 2].into()],
        ports: 20_000..=20_999,
        published: [Transport::Tcp, Transport::Udp, Transport::Sctp].map(server).into(),
        quota: 1_000,
    };
    CompiledPolicy::compile(policy, None)
}

pub(crate) fn table(seed: u64) -> Nat {
    let mut nat = Nat::new(NatConfig { capacity: 512, seed });
    nat.revalidate(&policy());
    nat
}

/// An import fails and leaves the table empty, or gives a table that exports what it imported.
pub(crate) fn check(bytes: &[u8]) {
    let mut nat = table(1);
    let Ok(imported) = nat.import(NOW, bytes) else {
        assert!(nat.is_empty() && nat.mappings() == 0, "a refused import changes nothing");
        return;
    };
    assert_eq!(nat.len(), imported.kept);
    let mut again = table(2);
    let once_more = again.import(NOW, &nat.export()).expect("an export can be imported");
    assert_eq!((once_more.kept, once_more.skipped), (imported.kept, 0));
    assert_eq!(again.export().len(), nat.export().len());
    let ended = nat.flush(|_| true);
    assert_eq!((ended, nat.len(), nat.mappings()), (imported.kept, 0, 0));
}
