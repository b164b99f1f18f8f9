//! Static entries of the forwarding database.

use std::sync::Arc;

use vswitch_api::fdb::{EntryKey, StaticEntry};

use super::error::ControlError;
use super::model::{NetworkName, Owner, StaticKey};
use super::task::task;
use super::{Control, unicast_mac};

/// Highest VLAN id; 4095 is reserved (IEEE 802.1Q).
const VLAN_MAX: u16 = 4094;

impl Control {
    /// Sets a static entry, or replaces it.
    pub(crate) async fn set_static(&self, entry: StaticEntry) -> Result<(), ControlError> {
        let (network, key) = self.static_key(&entry.key)?;
        let of_device =
            self.0.model().network_of_device(&entry.port).map(|it| it.spec.name.clone());
        let owner = if of_device.as_ref() == Some(&network) {
            Owner::Host
        } else {
            Owner::Endpoint(entry.port.parse()?)
        };
        self.change_static(network, key, Some(owner))
            .await
            .map_err(|error| self.count_limit_hit(error))
    }

    /// Removes a static entry.
    pub(crate) async fn remove_static(&self, entry: EntryKey) -> Result<(), ControlError> {
        let (network, key) = self.static_key(&entry)?;
        self.change_static(network, key, None).await
    }

    fn static_key(&self, key: &EntryKey) -> Result<(NetworkName, StaticKey), ControlError> {
        let network = self.0.network_to_change(key.network.as_deref())?;
        if key.vlan > VLAN_MAX {
            return Err(ControlError::Vlan(key.vlan));
        }
        Ok((network, (unicast_mac(key.mac)?, key.vlan)))
    }

    async fn change_static(
        &self,
        network: NetworkName,
        key: StaticKey,
        owner: Option<Owner>,
    ) -> Result<(), ControlError> {
        let inner = Arc::clone(&self.0);
        task(async move {
            let former = match owner {
                Some(owner) => inner.model().set_static(&network, key, owner)?,
                None => Some(inner.model().remove_static(&network, key)?),
            };
            if let Err(error) = inner.save().await {
                let mut model = inner.model();
                let _ = model.remove_static(&network, key);
                // The former entry fits, since it was there; only its endpoint may be gone.
                let _ = former.map(|owner| model.set_static(&network, key, owner));
                return Err(error);
            }
            inner.commit_snapshot();
            Ok(())
        })
        .await?
    }
}
