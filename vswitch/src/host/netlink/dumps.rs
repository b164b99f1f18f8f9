//! Dumps of a netlink socket, one at a time: the kernel refuses a second one (`EBUSY`) until the first was read to its end
//! (netlink(7), `netlink_dump_start`).

use std::sync::Arc;
use std::time::Duration;

use futures_util::{TryStream, TryStreamExt};
use tokio::sync::Mutex;

/// Tries of a dump, and the time between two, while one that nobody waits for any more is read.
const TRIES_MAX: usize = 200;
const PAUSE: Duration = Duration::from_millis(1);

/// The turn of the next dump; clones share it.
#[derive(Debug, Clone, Default)]
pub(in crate::host) struct Dumps(Arc<Mutex<()>>);

impl Dumps {
    /// All messages of a dump. `start` sends its request at once.
    pub(in crate::host) async fn run<S>(
        &self,
        start: impl Fn() -> S,
    ) -> Result<Vec<S::Ok>, rtnetlink::Error>
    where
        S: TryStream<Error = rtnetlink::Error>,
    {
        let _alone = self.0.lock().await;
        let mut tries = 1;
        loop {
            match start().try_collect().await {
                Err(error) if is_busy(&error) && tries < TRIES_MAX => tries += 1,
                result => return result,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn is_busy(error: &rtnetlink::Error) -> bool {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.raw_code() == -libc::EBUSY,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Netlink;

    #[tokio::test]
    async fn dumps_at_the_same_time_do_not_disturb_each_other() {
        let netlink = Netlink::connect().unwrap();
        let all = || async {
            netlink.links().await?;
            netlink.all_addresses().await?;
            netlink.all_routes().await
        };
        let results = futures_util::future::join_all((0..32).map(|_| all())).await;
        for result in results {
            result.unwrap();
        }
    }

    #[tokio::test]
    async fn a_dump_that_nobody_waits_for_is_waited_out() {
        let netlink = Netlink::connect().unwrap();
        for _ in 0..20 {
            // Sent, and dropped before its answer.
            let dropped = tokio::time::timeout(std::time::Duration::ZERO, netlink.all_routes());
            let _ = dropped.await;
            netlink.links().await.unwrap();
        }
    }
}
