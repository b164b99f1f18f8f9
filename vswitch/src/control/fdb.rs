//! Static entries of the forwarding database.

use std::sync::Arc;

use vswitch_api::fdb::{EntryKey, StaticEntry};

use super::error::ControlError;
use super::model::{Model, NetworkName, Owner, StaticKey};
use super::task::task;
use super::{Control, unicast_mac};

/// Highest VLAN id; 4095 is reserved (IEEE 802.1Q).
const VLAN_MAX: u16 = 4094;

impl Control {
    /// Sets a static entry, or replaces it.
    pub(crate) async fn set_static(&self, entry: StaticEntry) -> Result<(), ControlError> {
        let (network, key) = self.static_key(&entry.key)?;
        let owner = if entry.port == network.as_str() {
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
            let former = {
                let mut model = inner.model();
                let former = model.remove_static(&network, key);
                match (owner, &former) {
                    (Some(owner), _) => {
                        if let Err(error) = model.set_static(&network, key, owner) {
                            restore_static(&mut model, &network, key, former);
                            return Err(error);
                        }
                    }
                    (None, Some(_)) => {}
                    (None, None) => {
                        let network = network.to_string();
                        return Err(ControlError::NoStatic { network, mac: key.0, vlan: key.1 });
                    }
                }
                former
            };
            if let Err(error) = inner.save().await {
                restore_static(&mut inner.model(), &network, key, former);
                return Err(error);
            }
            inner.commit_snapshot();
            Ok(())
        })
        .await?
    }
}

/// Restores a static entry.
fn restore_static(model: &mut Model, network: &NetworkName, key: StaticKey, former: Option<Owner>) {
    model.remove_static(network, key);
    if let Some(owner) = former {
        // It fits, since it was there; only its endpoint may be gone.
        let _ = model.set_static(network, key, owner);
    }
}
