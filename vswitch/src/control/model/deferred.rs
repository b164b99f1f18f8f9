//! Records of the document that have no room now: all ports are in use.
//!
//! They stay in the document, with their static entries, and are tried again (`control/kept.rs`). `status` shows each
//! as a fault, `vswitch ls` does not: they have no port. A detach of their name forgets them.

use super::{EndpointKey, Model};
use crate::control::error::ControlError;
use crate::control::store::{Attachment, StaticRecord};

/// A record, and its static entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deferred {
    pub(crate) record: Attachment,
    pub(crate) statics: Vec<StaticRecord>,
}

impl Deferred {
    fn part(&self) -> String {
        format!("the attachment {} on {}", self.record.name, self.record.network)
    }
}

impl ControlError {
    /// Whether there may be room later.
    pub(crate) fn is_for_room(&self) -> bool {
        matches!(self, Self::PortsMax(_))
    }
}

impl Model {
    /// Sets a record aside until there is room.
    pub(crate) fn defer(&mut self, deferred: Deferred, reason: &str) {
        let part = deferred.part();
        let fault = format!("{part} is not attached again yet: {reason}");
        self.set_host_fault(&part, Some(fault));
        self.deferred.push(deferred);
    }

    /// All of them.
    pub(crate) fn deferred(&self) -> &[Deferred] {
        &self.deferred
    }

    /// Keeps a static entry of such a record; says whether it is of one.
    pub(crate) fn defer_static(&mut self, entry: &StaticRecord) -> bool {
        let mut all = self.deferred.iter_mut();
        let owner = all.find(|it| {
            entry.network == it.record.network && entry.port.as_ref() == Some(&it.record.name)
        });
        match owner {
            Some(deferred) => {
                deferred.statics.push(entry.clone());
                true
            }
            None => false,
        }
    }

    /// Takes records out: they have room, or are to be forgotten.
    pub(crate) fn take_deferred(
        &mut self,
        is_taken: impl Fn(&EndpointKey) -> bool,
    ) -> Vec<Deferred> {
        let is_of = |it: &mut Deferred| it.record.spec().is_ok_and(|spec| is_taken(&spec.key()));
        let taken: Vec<_> = self.deferred.extract_if(.., is_of).collect();
        for one in &taken {
            self.set_host_fault(&one.part(), None);
        }
        taken
    }

    /// The records that the document has beside those of endpoints: one that is being tried is there once.
    pub(super) fn deferred_beside(&self, attachments: &[Attachment]) -> Vec<Attachment> {
        let is_beside = |it: &&Attachment| {
            !attachments.iter().any(|one| one.name == it.name && one.network == it.network)
        };
        self.deferred.iter().map(|it| &it.record).filter(is_beside).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::{attach_spec, key, model, model_with_slots, spec};
    use super::super::{AttachSpec, Owner};
    use super::*;

    #[test]
    fn a_record_without_a_free_port_stays_in_the_document_until_it_has_one() {
        let mut former = model();
        for name in ["a", "b"] {
            let lease = attach_spec(&mut former, spec(name));
            former.set_persisted(&lease.key(), true);
            let entry = ([2, 0, 0, 0, 7, lease.mac.0[5]].into(), 0);
            former.set_static(&lease.network, entry, Owner::Endpoint(lease.name)).unwrap();
        }
        let document = former.document();
        // The host port's, and one more.
        let mut model = model_with_slots(2);
        let wishes: Vec<AttachSpec> =
            document.attachments.iter().map(|it| it.spec().unwrap()).collect();
        let mut random = || Ok(7);
        let keep = |model: &mut Model, number: usize, random: &mut dyn FnMut() -> _| {
            let (stored, wish) = (&document.attachments[number], &wishes[number]);
            model.keep(stored, wish, "busy".into(), Duration::ZERO, random)
        };
        keep(&mut model, 0, &mut random).unwrap();
        let error = keep(&mut model, 1, &mut random).unwrap_err();
        assert!(error.is_for_room(), "{error}");
        let record = document.attachments[1].clone();
        model.defer(Deferred { record, statics: Vec::new() }, &error.to_string());
        for entry in &document.statics {
            let owner = Owner::Endpoint(entry.port.clone().unwrap());
            if !model.defer_static(entry) {
                let network = entry.network.parse().unwrap();
                model.restore_static(&network, (entry.mac, entry.vlan), owner).unwrap();
            }
        }
        assert_eq!(model.document().attachments, document.attachments);
        assert_eq!(model.document().statics, document.statics);
        assert_eq!(model.faults(), 2, "it is shown");
        let (_, fault) = model.host_faults().next().unwrap();
        assert!(fault.contains("the attachment b on br0") && fault.contains("ports"), "{fault}");
        // There is room: it is in the document once while it is tried, and after that.
        model.remove(&key("a", "br0"), Duration::ZERO);
        keep(&mut model, 1, &mut random).unwrap();
        assert_eq!(model.document().attachments, document.attachments[1..]);
        let taken = model.take_deferred(|it| *it == key("b", "br0"));
        assert_eq!(taken[0].statics, document.statics[1..]);
        assert!(model.deferred().is_empty() && model.host_faults().next().is_none());
        assert_eq!(model.document().attachments, document.attachments[1..]);
    }
}
