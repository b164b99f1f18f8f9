//! Names, aliases and labels that a runtime tells after the endpoint is there.

use std::collections::BTreeMap;

use vswitch_api::event::EventKind;

use super::Control;
use super::error::ControlError;
use super::name::Name;
use super::runtime::Label;
use super::task::task;

/// The names of an endpoint's container.
#[derive(Debug, Clone)]
pub(crate) struct RuntimeNames {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
    /// A label for its network.
    pub(crate) network: (&'static str, String),
    /// Endpoints with the same text at this label are one container, and may have one name.
    pub(crate) same: &'static str,
}

impl Control {
    /// Ids of endpoints, each behind that of its network; both ids are labels. All, or those with one more label.
    pub(crate) fn ids(
        &self,
        network: &str,
        endpoint: &str,
        wanted: Option<(&str, String)>,
    ) -> Vec<(String, String)> {
        let model = self.0.model();
        let ids = model.active().filter_map(|(it, _)| {
            let has = |(key, text): &(&str, String)| it.labels.get(*key) == Some(text);
            let spec = &model.network_named(&it.lease.network)?.spec;
            let ids = (spec.labels.get(network)?.clone(), it.labels.get(endpoint)?.clone());
            wanted.as_ref().is_none_or(has).then_some(ids)
        });
        ids.collect()
    }

    /// Gives an endpoint the names of its container. Those that cannot be are left out, with a line in the log:
    /// the name of another attachment, and labels or aliases above the limits.
    pub(crate) async fn name_handed_out(
        &self,
        label: &Label,
        names: &RuntimeNames,
    ) -> Result<(), ControlError> {
        let (control, label, names) = (self.clone(), label.clone(), names.clone());
        task(async move { control.run_naming(&label, names).await }).await?
    }

    async fn run_naming(&self, label: &Label, names: RuntimeNames) -> Result<(), ControlError> {
        let inner = &self.0;
        inner.check_not_ending()?;
        let _alone = inner.renaming.write().await;
        let mut publisher = inner.publisher.lock().await;
        let new: Name = names.name.parse()?;
        let former = self.key_of(label)?;
        let mut key = former.clone();
        {
            let mut model = inner.model();
            let aliases = names.aliases.iter().filter_map(|alias| Name::alias(alias).ok());
            model.describe_endpoint(&former, aliases.collect(), names.labels)?;
            model.set_network_label(&former.network, names.network.0, names.network.1);
            if new != former.name {
                match model.rename_endpoint(&former, &new, names.same) {
                    Ok(renamed) => key = renamed,
                    Err(error @ (ControlError::NameTaken(_) | ControlError::NameOfBridge(_))) => {
                        tracing::warn!(name = %former, container = %new, %error,
                            "it keeps a name of its own");
                    }
                    Err(error) => return Err(error),
                }
            }
            inner.update_names(&model, &key);
            inner.publish_snapshot(&mut model);
        }
        inner.announce_soon(&key);
        if key != former {
            publisher.rename_endpoint(&former, &key);
            tracing::info!(name = %key, former = %former, "named as its container");
            inner.feed.send(EventKind::Rename, &key, format!("was {}", former.name));
        }
        drop(publisher);
        inner.save().await
    }
}
