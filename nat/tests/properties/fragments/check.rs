//! Fragments as they come, for the properties and the fuzz target.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use vswitch_nat::fragment::{Fragments, Verdict};
use vswitch_nat::limits::{FRAGMENT_FRAMES_MAX, FRAGMENT_PACKETS_MAX, FRAGMENT_TIMEOUT};
use vswitch_nat::{
    Endpoint, Fragment, Kind, OwnerId, Realm, Time, Translation, Transport, Tuple, View, Zone,
};

/// A fragment as it comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming {
    pub(crate) owner: u8,
    pub(crate) ident: u8,
    /// In units of eight bytes.
    pub(crate) start: u8,
    pub(crate) units: u8,
    pub(crate) more: bool,
    pub(crate) is_v6: bool,
    /// Time since the one before, in seconds.
    pub(crate) pause_s: u8,
}

/// What becomes of every packet.
pub(crate) const OK: Verdict = Ok(Translation::NotOurs);

/// The fragment's view.
pub(crate) fn view(coming: &Coming) -> View {
    let address: IpAddr = if coming.is_v6 { [0xfd00; 8].into() } else { [10, 99, 0, 2].into() };
    let end = Endpoint::new(address, 1);
    let tuple = Tuple { transport: Transport::Udp, src: end, dst: end };
    let kind = match coming.start {
        0 => Kind::Flow { tuple, segment: None, is_request: false },
        _ => Kind::Tail(Transport::Udp),
    };
    let (offset, len) = (u32::from(coming.start) * 8, u32::from(coming.units) * 8);
    let fragment = Fragment { ident: coming.ident.into(), offset, len, more: coming.more };
    View { src: address, dst: address, kind, fragment: Some(fragment), len }
}

/// Hands everything to a store: each frame comes back exactly once, and no bound is passed.
pub(crate) fn check(all: &[Coming]) {
    let mut store = Fragments::new();
    let (mut now, mut back) = (Time(1), BTreeMap::new());
    for (n, coming) in all.iter().enumerate() {
        now = now.after(Duration::from_secs(coming.pause_s.into()));
        let from = match coming.owner {
            0 => Realm::External,
            owner => Realm::Internal(OwnerId(owner.into()), Zone(0)),
        };
        let mut give = |frame: usize, _: Verdict| *back.entry(frame).or_insert(0) += 1;
        match coming.start {
            0 => {
                let _ = store.head(now, from, &view(coming), OK, &mut give);
                give(n, OK);
            }
            _ => store.tail(now, from, &view(coming), n, &mut give),
        }
        assert!(
            store.len() <= FRAGMENT_PACKETS_MAX && store.frames_waiting() <= FRAGMENT_FRAMES_MAX
        );
        assert_eq!(back.len() + store.frames_waiting(), n + 1, "in hand, or given back");
    }
    let gone = now.after(FRAGMENT_TIMEOUT);
    store.tick(gone, usize::MAX, &mut |frame, _| *back.entry(frame).or_insert(0) += 1);
    assert!(store.is_empty() && store.frames_waiting() == 0);
    assert!(back.len() == all.len() && back.values().all(|times| *times == 1), "exactly once");
}
