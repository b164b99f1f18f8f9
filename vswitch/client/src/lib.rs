//! A client of the vswitch control API: HTTP/1.1 and JSON over the daemon's Unix socket.
//!
//! [`Client`] has one method for each method of each path. Each request opens a connection of its own,
//! so a client holds no state and survives a restart of the daemon. The caller brings the tokio runtime
//! (with I/O and time enabled).
//!
//! ```no_run
//! # async fn example() -> Result<(), vswitch_client::ClientError> {
//! let client = vswitch_client::Client::new(vswitch_api::DEFAULT_SOCKET);
//! for port in client.ports().await? {
//!     println!("{} {}", port.name, port.mac);
//! }
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod client;
mod error;
mod events;
mod http;
mod limits;

pub use client::Client;
pub use error::ClientError;
pub use events::Events;
