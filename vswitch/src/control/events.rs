//! Events of the workers.

use std::sync::Arc;

use tokio::sync::mpsc;
use vswitch_api::event::EventKind;

use super::Control;
use super::model::{NetworkName, SlotOwner};
use super::upkeep;
use crate::datapath::{LoopEvent, LoopSign};
use crate::dataplane::DataplaneEvent;

impl Control {
    /// Handles events until the workers end, or one fails; gives the failure.
    pub(crate) async fn handle_events(
        &self,
        events: &mut mpsc::Receiver<DataplaneEvent>,
    ) -> Option<(usize, String)> {
        while let Some(event) = events.recv().await {
            match event {
                DataplaneEvent::PortGone(slot) => {
                    let owner = self.0.model().slot_owner(slot).cloned();
                    if let Some(SlotOwner::Host(network)) = owner {
                        self.lose_device(network);
                        continue;
                    }
                    if upkeep::is_uplink(owner.as_ref()) {
                        self.lose_uplink();
                        continue;
                    }
                    let control = self.clone();
                    tokio::spawn(async move { control.detach_lost_port(slot).await });
                }
                DataplaneEvent::LoopBlocked(event) => self.log_loop_blocked(event),
                DataplaneEvent::Resolve { next_hop, uplink, port } => {
                    self.resolve(next_hop, uplink, port);
                }
                DataplaneEvent::BlocksWanted { worker, request } => {
                    self.request_blocks(worker, request);
                }
                DataplaneEvent::Portless { remote, protocol } => self.hand_over(remote, protocol),
                DataplaneEvent::DhcpRequest { port, frame } => self.answer_dhcp(port, &frame),
                DataplaneEvent::WorkerFailed { worker, error } => return Some((worker, error)),
            }
        }
        None
    }

    /// Notes that somebody deleted the host device of a network. The host's rules, which name it, go on without.
    fn lose_device(&self, network: NetworkName) {
        // Each worker sends the event.
        if !self.0.model().lose_device(&network) {
            return;
        }
        tracing::error!(%network, "the host device was deleted: containers no longer reach the host; remove \
            and create the network, or run `vswitch down` and then `vswitch up`");
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            inner.set_neighbours(&network, None);
            if let Err(error) = inner.set_host_rules().await {
                tracing::warn!(%network, %error, "the host's rules stay as they are");
            }
        });
    }

    /// Logs that a port is blocked, and when it is open again.
    fn log_loop_blocked(&self, LoopEvent { port, sign, pause }: LoopEvent) {
        let label = |slot| match self.0.model().label(slot) {
            Some(label) => label.into_owned(),
            None => "a port that is gone".to_owned(),
        };
        let (name, pause_s) = (label(port), pause.as_secs());
        let network = self.0.model().network_in_slot(port).map(str::to_owned);
        let detail = format!("a loop, for {pause_s} s");
        self.0.feed.report(EventKind::Block, name.clone(), network.clone(), detail);
        match sign {
            LoopSign::Probe { sent, heard } => {
                let (sent, heard) = (label(sent), label(heard));
                tracing::warn!(%name, pause_s, %sent, %heard,
                    "blocked: there is a loop, a probe came back; look for a bridge between the two");
            }
            LoopSign::Flap { mac, other } => {
                let other = label(other);
                tracing::warn!(%name, pause_s, %mac, %other,
                    "blocked: a MAC address flaps between two ports; look for a bridge between the \
                     two, or a forged address");
            }
        }
        let control = self.clone();
        // One a port at a time: a port that is blocked is not blocked again.
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            if control.0.model().label(port).as_deref() == Some(&name) {
                tracing::info!(%name, "open again after a loop");
                control.0.feed.report(EventKind::Unblock, name, network, String::new());
            }
        });
    }
}
