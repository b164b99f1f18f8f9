//! Echo requests.

use std::net::IpAddr;
use std::time::Duration;

use crate::{Netns, Output, wait_for};

impl Netns {
    /// Sends `count` echo requests, whatever the result.
    #[track_caller]
    pub fn try_ping(&self, to: IpAddr, count: u32) -> Output {
        let (to, count) = (to.to_string(), count.to_string());
        self.exec_within(
            &["ping", "-n", "-c", &count, "-i", "0.05", "-W", "2", &to],
            Duration::from_secs(60),
        )
    }

    /// Sends three echo requests, all of which must be answered once.
    #[track_caller]
    pub fn ping(&self, to: IpAddr) {
        let output = self.try_ping(to, 3);
        assert!(output.stdout.contains(" 0% packet loss"), "{output}");
        assert!(!output.stdout.contains("DUP!"), "{output}");
    }

    /// Pings until one answer arrives, for instance after a restart.
    #[track_caller]
    pub fn ping_soon(&self, to: IpAddr, limit: Duration) {
        wait_for(&format!("{} reaches {to}", self.name()), limit, || {
            self.exec(&["ping", "-n", "-c1", "-W1", &to.to_string()]).status.success()
        });
    }
}
