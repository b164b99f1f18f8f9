//! What the datapath asks of names.

use std::fmt::Debug;

use fastpath::PortIndex;

/// The names that a worker can answer for.
pub trait NameService: Debug + Send + Sync {
    /// Writes the answer to a port's query, and gives its length; nothing where the server is to be asked. Does not
    /// wait, and takes no memory.
    fn answer(&self, port: PortIndex, query: &[u8], answer: &mut [u8]) -> Option<usize>;
}
