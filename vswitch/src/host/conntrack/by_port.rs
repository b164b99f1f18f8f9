//! Forwards by protocol and port: entries and publications may be many, so nobody walks through both.

use std::collections::HashMap;

use crate::host::nft::{Forward, protocol_number};

/// Ports of a forward that each have a row of their own.
const ROWS_PER_FORWARD: usize = 256;

#[derive(Debug, Default)]
pub(super) struct ByPort {
    forwards: Vec<Forward>,
    /// Positions of the forwards with a port.
    rows: HashMap<(u8, u16), Vec<usize>>,
    /// Positions of those with too many ports: few, since they share 65,535.
    long: Vec<usize>,
}

impl ByPort {
    pub(super) fn is_empty(&self) -> bool {
        self.forwards.is_empty()
    }

    pub(super) fn all(&self) -> &[Forward] {
        &self.forwards
    }

    /// The forwards that may be for a port, those that are among them.
    pub(super) fn candidates(&self, protocol: u8, port: u16) -> impl Iterator<Item = &Forward> {
        let rows = self.rows.get(&(protocol, port)).map_or(&[][..], Vec::as_slice);
        rows.iter().chain(&self.long).map(|at| &self.forwards[*at])
    }
}

impl FromIterator<Forward> for ByPort {
    fn from_iter<T: IntoIterator<Item = Forward>>(forwards: T) -> Self {
        let mut all = Self { forwards: forwards.into_iter().collect(), ..Self::default() };
        for (at, forward) in all.forwards.iter().enumerate() {
            let published = &forward.published;
            if published.ports.len() > ROWS_PER_FORWARD {
                all.long.push(at);
                continue;
            }
            let protocol = protocol_number(published.protocol);
            for port in published.ports.clone() {
                all.rows.entry((protocol, port)).or_default().push(at);
            }
        }
        all
    }
}
