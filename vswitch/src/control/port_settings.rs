//! Changes of the settings of active ports.

use std::sync::Arc;

use vswitch_api::port_settings::limits::{Limits, LimitsChange, MacCount};
use vswitch_api::port_settings::{PortSettings, SettingsChange};

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::task::task;
use crate::datapath::limits::MACS_PER_PORT;

impl Control {
    /// Changes the settings of a port. Gives all of its settings.
    pub(crate) async fn set_port_settings(
        &self,
        name: &str,
        change: SettingsChange,
    ) -> Result<PortSettings, ControlError> {
        self.0.check_not_ending()?;
        let (inner, name) = (Arc::clone(&self.0), name.to_owned());
        task(async move {
            let named = Arc::clone(&inner);
            let _named = named.renaming.read().await;
            check_macs(&inner, &name, &change.limits).await?;
            let (former, settings) = inner.model().change_settings(&name, &change)?;
            if former == settings {
                return Ok(settings);
            }
            if let Err(error) = inner.save().await {
                // A port that is gone needs no restore.
                let _ = inner.model().set_port_settings(&name, former);
                return Err(error);
            }
            inner.commit_snapshot();
            let changed = inner.model().leases_of(&name);
            for lease in changed {
                inner.install_host_neighbours(&lease).await;
                if is_policy(&former, &settings) {
                    inner.leave_cut_through(&lease.key()).await;
                }
            }
            tracing::info!(%name, "settings changed");
            Ok(settings)
        })
        .await?
    }
}

/// Whether a change may forbid connections that run cut through. A limit of a rate is for new ones.
fn is_policy(former: &PortSettings, settings: &PortSettings) -> bool {
    let without_limits =
        |it: &PortSettings| PortSettings { limits: Limits::default(), ..it.clone() };
    without_limits(former) != without_limits(settings)
}

/// Refuses a limit of MAC addresses below the number in use.
async fn check_macs(inner: &Inner, name: &str, change: &LimitsChange) -> Result<(), ControlError> {
    let Some(ceiling) = change.macs_max else { return Ok(()) };
    let (slot, is_host) = inner.model().slot_of(name)?;
    let default = (!is_host).then_some(MacCount::of(MACS_PER_PORT as u64));
    let Some(limit) = ceiling.or(default) else { return Ok(()) };
    let rows = inner.dataplane.fdb().await?;
    let in_use = rows.iter().filter(|row| row.destination == slot.into() && !row.is_static).count();
    if in_use as u64 > limit.get() {
        return Err(ControlError::MacsInUse { port: name.to_owned(), limit, in_use });
    }
    Ok(())
}
