//! A new name for an attachment, on all of its networks at once.
//!
//! Publications, static entries and name records follow. The publisher is locked meanwhile, since it knows
//! open ports by their endpoint's name, and so are changes that keep a name over an await
//! ([`Inner::renaming`](super::inner::Inner)). If the document cannot be written, the former name is back.

use vswitch_api::event::EventKind;
use vswitch_api::port::PortDetail;

use super::Control;
use super::error::ControlError;
use super::inner::Inner;
use super::model::EndpointKey;
use super::name::Name;
use super::task::task;

impl Control {
    /// Renames an attachment. Gives it once per network.
    pub(crate) async fn rename(
        &self,
        former: &str,
        new: &str,
    ) -> Result<Vec<PortDetail>, ControlError> {
        self.0.check_not_ending()?;
        let (former, new): (Name, Name) = (former.parse()?, new.parse()?);
        if former == new {
            return self.attachments(new.as_str()).await;
        }
        let (control, said) = (self.clone(), new.clone());
        let renamed = task(async move { control.run_rename(&former, &new).await }).await?;
        for (key, former) in renamed? {
            self.0.feed.send(EventKind::Rename, &key, format!("was {former}"));
        }
        self.attachments(said.as_str()).await
    }

    async fn run_rename(
        &self,
        former: &Name,
        new: &Name,
    ) -> Result<Vec<(EndpointKey, Name)>, ControlError> {
        let inner = &self.0;
        let _alone = inner.renaming.write().await;
        let mut publisher = inner.publisher.lock().await;
        let keys = inner.rename(former, new)?;
        publisher.rename(former, new);
        if let Err(error) = inner.save().await {
            // No change of these endpoints ran meanwhile, so the way back is open.
            if let Err(error) = inner.rename(new, former) {
                tracing::error!(%error, "the former name is not back");
            }
            publisher.rename(new, former);
            return Err(error);
        }
        keys.iter().for_each(|key| inner.announce_soon(key));
        tracing::info!(name = %new, %former, "renamed");
        Ok(keys.into_iter().map(|key| (key, former.clone())).collect())
    }
}

impl Inner {
    /// Renames an attachment in the model, in the names, and for the datapath.
    fn rename(&self, former: &Name, new: &Name) -> Result<Vec<EndpointKey>, ControlError> {
        let mut model = self.model();
        let keys = model.rename(former, new)?;
        keys.iter().for_each(|key| self.update_names(&model, key));
        self.publish_snapshot(&mut model);
        Ok(keys)
    }
}
