//! Entries of the registry that are left out, with the reason.

use std::collections::BTreeMap;

use super::super::limits::FAULTS_MAX;

/// Faults by key; a fault that goes on is logged once.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    texts: BTreeMap<String, String>,
    /// Faults without their text.
    further: usize,
}

impl Faults {
    /// Adds a fault of a key.
    pub(crate) fn set(&mut self, key: &str, problem: String) {
        if self.texts.get(key) == Some(&problem) {
            return;
        }
        if self.texts.len() >= FAULTS_MAX && !self.texts.contains_key(key) {
            self.further += 1;
            return;
        }
        tracing::warn!(key, problem, "registry entry left out");
        self.texts.insert(key.to_owned(), problem);
    }

    /// A key is right, or gone.
    pub(crate) fn clear(&mut self, key: &str) {
        self.texts.remove(key);
    }

    /// Keeps the faults of these keys only.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.texts.retain(|key, _| is_kept(key));
    }

    /// One line for each.
    pub(crate) fn lines(&self) -> Vec<String> {
        let lines = self.texts.iter().map(|(key, problem)| match problem.contains(key.as_str()) {
            true => problem.clone(),
            false => format!("registry key {key}: {problem}"),
        });
        let further = (self.further > 0).then(|| format!("and {} further ones", self.further));
        lines.chain(further).collect()
    }
}
