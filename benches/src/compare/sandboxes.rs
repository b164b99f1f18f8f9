//! Namespaces that play the containers of a contender.

use anyhow::Result;
use testkit::Netns;

/// Namespaces, created in advance and handed out one by one.
#[derive(Debug, Default)]
pub(crate) struct Sandboxes {
    spare: Vec<Netns>,
    used: Vec<Netns>,
}

impl Sandboxes {
    /// Creates namespaces in advance, so that they cost nothing while ports are measured.
    pub(crate) fn prepare(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.spare.push(Netns::create("c")?);
        }
        Ok(())
    }

    /// The next namespace, and its number from 0.
    pub(crate) fn take(&mut self) -> Result<(usize, &Netns)> {
        let netns = match self.spare.pop() {
            Some(netns) => netns,
            None => Netns::create("c")?,
        };
        self.used.push(netns);
        let number = self.used.len() - 1;
        Ok((number, &self.used[number]))
    }

    /// Deletes all namespaces.
    pub(crate) fn clear(&mut self) {
        self.spare.clear();
        self.used.clear();
    }
}
