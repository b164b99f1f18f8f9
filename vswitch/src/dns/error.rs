//! Errors of the DNS service, each one line with the offending value.

use std::io;

/// An error of the server, or of a question of the API.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The server cannot start.
    #[error("cannot start the DNS server: {0}")]
    Server(#[source] io::Error),
    /// There is no server.
    #[error("this switch answers no DNS queries: it was started with --no-dns")]
    Off,
    /// The text is no name.
    #[error("{0:?} cannot be a name in DNS: labels have up to 63 bytes, with dots between them")]
    Name(String),
    /// The text is no type of records that can be asked for.
    #[error("{0:?} is no type of records: write A, AAAA, PTR, MX, TXT, SRV or such")]
    Type(String),
}
