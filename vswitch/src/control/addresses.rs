//! Reserved addresses of networks.

use std::net::IpAddr;
use std::sync::Arc;

use vswitch_api::address::{AddressRequest, ReservedAddress};

use super::Control;
use super::error::ControlError;
use super::task::task;

impl Control {
    /// Reserved addresses of a network, IPv4 first.
    pub(crate) fn addresses(&self, network: &str) -> Result<Vec<ReservedAddress>, ControlError> {
        let model = self.0.model();
        let network = &model.network(Some(network))?.spec.name;
        Ok(model.reserved_addresses(network).collect())
    }

    /// Reserves an address of a network.
    pub(crate) async fn reserve_address(
        &self,
        network: &str,
        request: AddressRequest,
    ) -> Result<ReservedAddress, ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let inner = Arc::clone(&self.0);
        let reserved = task(async move {
            let now = inner.started.elapsed();
            let claimed = inner.claim_reservation(&network, request).await?;
            let reserved = inner.model().reserve_address(&network, claimed, now);
            let address = match (reserved, claimed) {
                (Err(error), AddressRequest::Address(address)) => {
                    inner.release_unused(&network, vec![address]).await;
                    return Err(error);
                }
                (reserved, _) => reserved?,
            };
            if let Err(error) = inner.save().await {
                let _ = inner.model().release_address(&network, address, now);
                inner.release_unused(&network, vec![address]).await;
                return Err(error);
            }
            Ok(ReservedAddress { address, port: None })
        });
        reserved.await?.map_err(|error| self.count_limit_hit(error))
    }

    /// Ends the reservation of an address. An endpoint that has the address keeps it.
    pub(crate) async fn release_address(
        &self,
        network: &str,
        address: IpAddr,
    ) -> Result<(), ControlError> {
        let network = self.0.network_to_change(Some(network))?;
        let inner = Arc::clone(&self.0);
        task(async move {
            inner.model().release_address(&network, address, inner.started.elapsed())?;
            if let Err(error) = inner.save().await {
                inner.model().restore_reservation(&network, address);
                return Err(error);
            }
            inner.release_unused(&network, vec![address]).await;
            Ok(())
        })
        .await?
    }
}
