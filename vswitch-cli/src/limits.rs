//! Limits of the command: waits and sizes.

use std::time::Duration;

/// How long `up --detach` waits for the daemon without progress.
pub(crate) const UP_TIMEOUT: Duration = Duration::from_secs(30);

/// Interval between two reports of the progress.
pub(crate) const UP_SAY_EVERY: Duration = Duration::from_secs(5);

/// `TimeoutStartSec` and `TimeoutStopSec` of the unit of systemd: a start or an end without attachments.
pub(crate) const UNIT_TIMEOUT: Duration = Duration::from_secs(60);

/// `up --detach` rotates a longer log.
pub(crate) const LOG_BYTES_MAX: u64 = 4 << 20;

/// How long `down` waits without progress of the daemon.
pub(crate) const DOWN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a daemon that no longer answers to be gone, before `down` says so.
pub(crate) const DYING_MAX: Duration = Duration::from_millis(500);

/// How much longer `down` waits for each port of a daemon that was killed, whose ports the kernel closes unseen.
pub(crate) const DOWN_UNSEEN_PORT: Duration = Duration::from_millis(50);

/// Interval between two looks of `down` at the progress.
pub(crate) const DOWN_LOOK: Duration = Duration::from_millis(500);

/// Interval between two reports of it.
pub(crate) const DOWN_SAY_EVERY: Duration = Duration::from_secs(5);

/// Interval between two looks of `down` at the socket.
pub(crate) const DOWN_POLL: Duration = Duration::from_millis(20);

/// Longest name of an attachment.
pub(crate) const NAME_BYTES_MAX: usize = 128;

/// How long a completion waits for the daemon: as long as a person does. On a busy host 300 ms were too short at times.
pub(crate) const COMPLETE_TIMEOUT: Duration = Duration::from_secs(1);

/// Attempts to find a name for an attachment without one.
pub(crate) const NAMES_TRIED_MAX: usize = 16;

/// Lines that `logs` shows by default.
pub(crate) const LOG_LINES: usize = 100;

/// Interval between two looks of `logs --follow` at the log.
pub(crate) const LOG_POLL: Duration = Duration::from_millis(200);

/// Publications that a hint names.
pub(crate) const SHOWN_MAX: usize = 4;
