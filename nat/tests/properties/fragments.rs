//! The store of fragments: against a model that remembers bytes one by one, and under more than it can
//! hold, where each frame must still come back exactly once.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use vswitch_nat::fragment::{Fragments, Verdict};
use vswitch_nat::limits::FRAGMENT_FRAMES_OWNER_MAX;
use vswitch_nat::{NatDrop, Realm, Time};

mod check;

use check::{Coming, OK, check, view};

/// One packet, unit by unit.
#[derive(Default)]
struct Model {
    units: BTreeSet<u32>,
    end: Option<u32>,
    is_known: bool,
    is_dead: bool,
    waiting: Vec<usize>,
}

impl Model {
    /// What comes back of frame `n`; a head is given back as well.
    fn take(&mut self, n: usize, coming: &Coming) -> Vec<(usize, Verdict)> {
        let overlap = Err(NatDrop::Overlap);
        let (start, end) = (u32::from(coming.start), u32::from(coming.start + coming.units));
        let is_head = start == 0;
        if is_head && !coming.is_v6 && (self.is_known || self.is_dead) {
            *self = Self::default();
        }
        if self.is_dead {
            return vec![(n, overlap)];
        }
        let seen = (start..end).filter(|unit| self.units.contains(unit)).count() as u32;
        let is_whole = seen == end - start;
        if is_whole && (coming.more || self.end == Some(end)) {
            return vec![(n, overlap)];
        }
        let behind = self.units.last().is_some_and(|last| *last >= end);
        let contradicts = match (self.end, coming.more) {
            (Some(known), more) => end > known || (more && end == known) || (!more && end != known),
            (None, more) => !more && behind,
        };
        if seen != 0 || contradicts {
            self.is_dead = true;
            let mut dropped: Vec<_> =
                self.waiting.drain(..).map(|frame| (frame, overlap)).collect();
            dropped.push((n, overlap));
            return dropped;
        }
        self.units.extend(start..end);
        if !coming.more {
            self.end = Some(end);
        }
        self.is_known |= is_head;
        self.waiting.push(n);
        if !self.is_known {
            return Vec::new();
        }
        // The head's own frame is with the caller, who hears of it last.
        let released = self.waiting.drain(..).map(|frame| (frame, OK)).collect();
        if self.end.is_some_and(|end| self.units.len() as u32 == end) {
            *self = Self::default();
        }
        released
    }
}

fn coming(owners: u8, idents: u8, pause_s: u8) -> impl Strategy<Value = Coming> {
    let (owner, ident) = (0..owners, 0..idents);
    (owner, ident, 0..8_u8, 1..4_u8, any::<bool>(), any::<bool>(), 0..=pause_s).prop_map(
        |(owner, ident, start, units, more, is_v6, pause_s)| Coming {
            owner,
            ident,
            start,
            units,
            more,
            is_v6,
            pause_s,
        },
    )
}

proptest! {
    #![proptest_config(crate::config())]

    #[test]
    fn one_packet_is_as_in_the_model(all in vec(coming(1, 1, 0), 0..30), is_v6 in any::<bool>()) {
        prop_assert!(all.len() < FRAGMENT_FRAMES_OWNER_MAX);
        let (mut store, mut model) = (Fragments::new(), Model::default());
        for (n, coming) in all.into_iter().enumerate() {
            let coming = Coming { is_v6, ..coming };
            let mut given = Vec::new();
            let mut give = |frame, fate| given.push((frame, fate));
            match coming.start {
                0 => {
                    let fate = store.head(Time(1), Realm::External, &view(&coming), OK, &mut give);
                    given.push((n, fate));
                }
                _ => store.tail(Time(1), Realm::External, &view(&coming), n, &mut give),
            }
            prop_assert_eq!(given, model.take(n, &coming), "{:?}", coming);
            prop_assert_eq!(store.frames_waiting(), model.waiting.len());
        }
    }

    #[test]
    fn few_packets_give_each_frame_back_once(all in vec(coming(3, 3, 15), 0..60)) {
        check(&all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..crate::config() })]

    #[test]
    fn floods_give_each_frame_back_once(all in vec(coming(40, 200, 0), 0..5_000)) {
        check(&all);
    }
}
