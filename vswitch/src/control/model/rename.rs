//! A new name for the endpoints of one attachment.

use super::{EndpointKey, EndpointState, Model, Name, Owner, SlotOwner};
use crate::control::error::ControlError;

impl Model {
    /// Renames all endpoints of that name, or none. Gives their new keys.
    pub(crate) fn rename(
        &mut self,
        former: &Name,
        new: &Name,
    ) -> Result<Vec<EndpointKey>, ControlError> {
        self.check_rename(former, new)?;
        let keys = self.endpoints.keys().filter(|key| key.name == *former).cloned();
        let keys: Vec<EndpointKey> = keys.collect();
        let renamed = keys.into_iter().filter_map(|key| self.rename_one(&key, new)).collect();
        self.invalidate_uplinks(true);
        Ok(renamed)
    }

    fn check_rename(&self, former: &Name, new: &Name) -> Result<(), ControlError> {
        let mut named = self.endpoints.iter().filter(|(key, _)| key.name == *former).peekable();
        if named.peek().is_none() {
            return Err(ControlError::UnknownPort(former.to_string()));
        }
        for (_, endpoint) in named {
            match endpoint.state {
                EndpointState::Active | EndpointState::Waiting => {}
                EndpointState::Detaching => {
                    return Err(ControlError::Busy(former.to_string(), "detached"));
                }
                EndpointState::Reserved | EndpointState::Bound => {
                    return Err(ControlError::Busy(former.to_string(), "attached"));
                }
            }
        }
        if self.endpoints.keys().any(|key| key.name == *new) {
            return Err(ControlError::NameTaken(new.to_string()));
        }
        if self.networks().any(|network| network.spec.is_label(new.as_str())) {
            return Err(ControlError::NameOfBridge(new.to_string()));
        }
        Ok(())
    }

    pub(super) fn rename_one(&mut self, key: &EndpointKey, new: &Name) -> Option<EndpointKey> {
        let mut endpoint = self.endpoints.remove(key)?;
        endpoint.lease.name = new.clone();
        let renamed = endpoint.lease.key();
        self.slots.reassign(endpoint.lease.slot, SlotOwner::Endpoint(renamed.clone()));
        self.endpoints.insert(renamed.clone(), endpoint);
        if let Some(network) = self.networks.get_mut(&key.network) {
            let former = Owner::Endpoint(key.name.clone());
            let own = network.statics.values_mut().filter(|owner| **owner == former);
            own.for_each(|owner| *owner = Owner::Endpoint(new.clone()));
        }
        self.invalidate_network(&key.network);
        Some(renamed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{attach_spec, key, model, spec};
    use super::*;

    #[test]
    fn publications_statics_slot_and_records_follow() {
        let mut model = model();
        let mut web = spec("web");
        web.publish = vec![serde_json::from_str(r#"{"ports": "8080:80"}"#).unwrap()];
        let lease = attach_spec(&mut model, web);
        let mac = "02:00:00:00:00:0a".parse().unwrap();
        let owner = Owner::Endpoint(lease.name.clone());
        model.set_static(&lease.network, (mac, 0), owner).unwrap();
        let (former, new) = ("web".parse().unwrap(), "shop".parse().unwrap());
        assert_eq!(model.rename(&former, &new).unwrap(), [key("shop", "br0")]);
        assert!(matches!(model.find("web"), Err(ControlError::UnknownPort(_))));
        let shop = model.active_endpoint(&key("shop", "br0")).unwrap();
        assert_eq!((shop.lease.ipv4, shop.publications.len()), (lease.ipv4, 1));
        assert_eq!(model.label(lease.slot).as_deref(), Some("shop"));
        let records = model.name_records(&lease.network);
        assert_eq!(records.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["shop"]);
        let document = model.document();
        assert_eq!(document.attachments[0].name.as_str(), "shop");
        assert_eq!(document.statics[0].port.as_ref().map(Name::as_str), Some("shop"));
        // A static entry follows into the snapshot.
        model.snapshot();
        let compiled = model[&lease.network].compiled.fresh().unwrap();
        assert_eq!(compiled.statics[0].port, lease.slot);
    }

    #[test]
    fn taken_unknown_and_busy_names_are_refused_and_change_nothing() {
        let mut model = model();
        attach_spec(&mut model, spec("a"));
        attach_spec(&mut model, spec("b"));
        let mut rename =
            |former: &str, new: &str| model.rename(&former.parse().unwrap(), &new.parse().unwrap());
        assert!(matches!(rename("a", "b"), Err(ControlError::NameTaken(_))));
        assert!(matches!(rename("a", "br0"), Err(ControlError::NameOfBridge(_))));
        assert!(matches!(rename("x", "y"), Err(ControlError::UnknownPort(_))));
        model.begin_detach(&key("a", "br0")).unwrap();
        let busy = model.rename(&"a".parse().unwrap(), &"c".parse().unwrap());
        assert!(matches!(busy, Err(ControlError::Busy(..))));
        assert!(model.find("a").is_ok() && model.find("b").is_ok());
    }
}
