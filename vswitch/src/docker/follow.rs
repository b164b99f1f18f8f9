//! Follows the TAPs that Docker moves into containers.
//!
//! ```text
//! following --(the kernel's messages end)--> pause --(subscribed anew)--> following
//! ```
//!
//! The kernel drops a listener's messages when more come than it reads. Each time that the following begins, all TAPs
//! are looked for that could have moved unseen.

use futures_util::{Stream, StreamExt};
use tokio::sync::watch;
use tokio::time::sleep;

use super::limits::FOLLOW_PAUSE;
use crate::control::Control;
use crate::host::HostError;
use crate::host::departures::departures;

/// Follows them until `stop` turns true.
pub(super) async fn follow_moves(control: Control, mut stop: watch::Receiver<bool>) {
    let missed = || control.unfollowed();
    let moved = |tap: String| {
        let control = control.clone();
        tokio::spawn(async move { control.note_move(&tap).await });
    };
    tokio::select! {
        _ = stop.wait_for(|stop| *stop) => {}
        () = follow(departures, missed, moved) => {}
    }
}

/// Never ends.
async fn follow<S: Stream<Item = String> + Unpin>(
    subscribe: impl Fn() -> Result<S, HostError>,
    missed: impl Fn() -> Vec<String>,
    moved: impl Fn(String),
) {
    loop {
        match subscribe() {
            Ok(mut departures) => {
                missed().into_iter().for_each(&moved);
                while let Some(tap) = departures.next().await {
                    moved(tap);
                }
                tracing::warn!("the kernel's messages about interfaces ended; asked again");
            }
            Err(error) => {
                tracing::error!(%error, "containers of Docker will lose their network at a restart");
            }
        }
        sleep(FOLLOW_PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use futures_util::stream::{self, BoxStream};

    use super::*;

    /// The second subscription fails, the first and the third one end.
    #[tokio::test(start_paused = true)]
    async fn an_end_of_the_messages_is_not_the_end() {
        let (rounds, seen) = (Cell::new(0), RefCell::new(Vec::new()));
        let subscribe = || {
            rounds.set(rounds.get() + 1);
            let messages: BoxStream<'static, String> = match rounds.get() {
                2 => return Err(HostError::Connect(std::io::Error::other("no buffer"))),
                round @ (1 | 3) => stream::iter([format!("tap{round}")]).boxed(),
                _ => stream::pending().boxed(),
            };
            Ok(messages)
        };
        let missed = || vec![format!("missed{}", rounds.get())];
        let moved = |tap| seen.borrow_mut().push(tap);
        let following = follow(subscribe, missed, moved);
        let _ = tokio::time::timeout(FOLLOW_PAUSE * 10, following).await;
        assert_eq!(*seen.borrow(), ["missed1", "tap1", "missed3", "tap3", "missed4"]);
    }
}
