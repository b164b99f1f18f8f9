//! Published ports of endpoints of a runtime.
//!
//! The document marks them, so that the runtime withdraws its own ones alone: a user may publish further ports.

use vswitch_api::publish::Publication;

use super::Control;
use super::error::ControlError;
use super::runtime::Label;

impl Control {
    /// Publishes at an endpoint one of each list of choices, or nothing.
    pub(crate) async fn publish_bindings(
        &self,
        label: &Label,
        wanted: Vec<Vec<Publication>>,
    ) -> Result<(), (Publication, ControlError)> {
        for choices in wanted {
            if let Err(refused) = self.publish_one(label, choices).await {
                if let Err(error) = self.unpublish_bindings(label).await {
                    tracing::warn!(name = label.text, %error, "published still");
                }
                return Err(refused);
            }
        }
        Ok(())
    }

    /// Publishes the first of these that the host has free.
    async fn publish_one(
        &self,
        label: &Label,
        choices: Vec<Publication>,
    ) -> Result<(), (Publication, ControlError)> {
        let mut refused = None;
        for one in choices {
            let error = loop {
                let key = match self.key_of(label) {
                    Ok(key) => key,
                    Err(error) => break error,
                };
                match self.publish_at(key.clone(), one.clone(), true).await {
                    Ok(_) => return Ok(()),
                    // It was renamed just now.
                    Err(ControlError::UnknownPort(_))
                        if self.key_of(label).is_ok_and(|it| it != key) => {}
                    Err(error) => break error,
                }
            };
            refused = refused.or(Some((one, error)));
        }
        refused.map_or(Ok(()), Err)
    }

    /// Withdraws the publications of an endpoint that the runtime has made, and no others.
    pub(crate) async fn unpublish_bindings(&self, label: &Label) -> Result<(), ControlError> {
        while let Ok(key) = self.key_of(label) {
            let Some(ports) = self.0.model().published_by_runtime(&key) else { break };
            match self.unpublish_at(key.clone(), ports).await {
                // Another client was faster, and its withdrawal may fail still.
                Err(ControlError::NotPublished { .. }) => break,
                // It was renamed just now.
                Err(ControlError::UnknownPort(_))
                    if self.key_of(label).is_ok_and(|it| it != key) => {}
                result => {
                    result?;
                }
            }
        }
        Ok(())
    }
}
