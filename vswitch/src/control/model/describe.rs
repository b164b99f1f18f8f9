//! Names and labels of endpoints and networks that come after these.

use std::collections::BTreeMap;

use super::{EndpointKey, EndpointState, Model, Name, NetworkName};
use crate::control::error::ControlError;
use crate::control::limits::{ALIASES_MAX, LABELS_BYTES_MAX, LABELS_MAX};

impl Model {
    /// Sets the aliases of an active endpoint, and adds labels. Of those above the limits none.
    pub(crate) fn describe_endpoint(
        &mut self,
        key: &EndpointKey,
        mut aliases: Vec<Name>,
        labels: BTreeMap<String, String>,
    ) -> Result<(), ControlError> {
        let endpoint = self.active_endpoint(key)?;
        aliases.truncate(ALIASES_MAX);
        let mut all = endpoint.labels.clone();
        all.extend(labels);
        let bytes: usize = all.iter().map(|(key, text)| key.len() + text.len()).sum();
        let fits = all.len() <= LABELS_MAX && bytes <= LABELS_BYTES_MAX;
        if !fits {
            tracing::warn!(name = %key, labels = all.len(), bytes, "too many labels: left out");
        }
        self.change(key, |endpoint| {
            endpoint.aliases = aliases;
            if fits {
                endpoint.labels = all;
            }
        });
        Ok(())
    }

    /// Sets a label of a network.
    pub(crate) fn set_network_label(&mut self, network: &NetworkName, key: &str, text: String) {
        if let Some(network) = self.networks.get_mut(network) {
            network.spec.labels.insert(key.to_owned(), text);
        }
    }

    /// Removes labels of a network.
    pub(crate) fn remove_network_labels(&mut self, network: &NetworkName, keys: &[&str]) {
        if let Some(network) = self.networks.get_mut(network) {
            network.spec.labels.retain(|key, _| !keys.contains(&key.as_str()));
        }
    }

    /// Renames one active endpoint. Another of the new name may be there on another network only, and only
    /// of the same container: with the same text at the label `same`.
    pub(crate) fn rename_endpoint(
        &mut self,
        key: &EndpointKey,
        new: &Name,
        same: &str,
    ) -> Result<EndpointKey, ControlError> {
        let container = self.active_endpoint(key)?.labels.get(same);
        let mut namesakes = self.endpoints.iter().filter(|(other, _)| other.name == *new);
        let is_of_another = namesakes.any(|(other, endpoint)| {
            let is_same = container.is_some() && endpoint.labels.get(same) == container;
            other.network == key.network || !is_same || endpoint.state != EndpointState::Active
        });
        if is_of_another {
            return Err(ControlError::NameTaken(new.to_string()));
        }
        if self.networks().any(|network| network.spec.is_label(new.as_str())) {
            return Err(ControlError::NameOfBridge(new.to_string()));
        }
        let renamed = self.rename_one(key, new);
        self.invalidate_uplinks(true);
        renamed.ok_or_else(|| ControlError::UnknownPort(key.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::AttachSpec;
    use super::super::tests::{attach_spec, key, model, network, open_network, spec};
    use super::*;
    use crate::config::Uplink;

    const SAME: &str = "id";

    fn container(key: EndpointKey, id: &str) -> AttachSpec {
        let labels = [(SAME.to_owned(), id.to_owned())].into();
        AttachSpec { labels, ..AttachSpec::new(key) }
    }

    #[test]
    fn endpoints_of_one_container_have_one_name_and_others_keep_theirs() {
        let mut model = model();
        open_network(&mut model, network("blue", Uplink::None));
        for (name, network, id) in [("x1", "br0", "1"), ("x2", "blue", "1"), ("y", "blue", "2")] {
            let lease = attach_spec(&mut model, container(key(name, network), id));
            assert_eq!(lease.name.as_str(), name);
        }
        let web: Name = "web".parse().unwrap();
        let mut rename =
            |name: &str, network: &str| model.rename_endpoint(&key(name, network), &web, SAME);
        assert_eq!(rename("x1", "br0").unwrap(), key("web", "br0"));
        assert_eq!(rename("x2", "blue").unwrap(), key("web", "blue"));
        assert!(matches!(rename("y", "blue"), Err(ControlError::NameTaken(_))));
        assert!(matches!(rename("x1", "br0"), Err(ControlError::UnknownPort(_))));
        attach_spec(&mut model, spec("plain"));
        let taken = model.rename_endpoint(&key("y", "blue"), &"plain".parse().unwrap(), SAME);
        assert!(
            matches!(taken, Err(ControlError::NameTaken(_))),
            "on another network, but another's"
        );
    }

    #[test]
    fn aliases_and_labels_come_later_within_the_limits() {
        let mut model = model();
        let lease = attach_spec(&mut model, container(key("x1", "br0"), "1"));
        let aliases = vec!["shop".parse().unwrap()];
        let labels = [("app".to_owned(), "shop".to_owned())].into();
        model.describe_endpoint(&lease.key(), aliases, labels).unwrap();
        let names: Vec<_> =
            model.name_records(&lease.network).into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["shop", "x1"]);
        let endpoint = model.active_endpoint(&lease.key()).unwrap();
        assert_eq!(endpoint.labels.len(), 2);
        let long = [("long".to_owned(), "x".repeat(LABELS_BYTES_MAX))].into();
        model.describe_endpoint(&lease.key(), Vec::new(), long).unwrap();
        assert_eq!(model.active_endpoint(&lease.key()).unwrap().labels.len(), 2);
        model.set_network_label(&lease.network, "name", "blue".to_owned());
        assert_eq!(model.document().networks[0].labels["name"], "blue");
        model.remove_network_labels(&lease.network, &["name"]);
        assert!(model.document().networks[0].labels.is_empty());
    }
}
