//! Answers that a worker gives itself: plain queries by UDP for addresses of names of ours.
//!
//! The server is a thread of its own behind a TAP: a query that goes there wakes it, and its answer wakes the worker
//! again. Most queries need none of that. [`Names::answer`] reads a query's bytes and writes those of the answer,
//! without memory of its own and without waiting: while control changes the table, the server answers.
//!
//! The server also answers all that is less plain: other types than A and AAAA, names below `arpa` and of the
//! service's own zone, EDNS options, answers that do not fit, what is malformed, and what is nobody's name. What is
//! answered here has the meaning of the server's answer, which tests and a fuzz target hold.

mod message;
mod plain;

use fastpath::PortIndex;

use super::names::Names;
use message::Writer;
use plain::Plain;

impl Names {
    /// Writes the answer to a port's query, and gives its length; nothing where the server is to be asked.
    pub fn answer(&self, port: PortIndex, query: &[u8], answer: &mut [u8]) -> Option<usize> {
        let query = Plain::parse(query)?;
        let mut writer = Writer::new(&query, answer)?;
        let is_found =
            self.try_addresses(port, query.name(), query.asked, |address| writer.address(address))?;
        if !is_found {
            writer.no_data()?;
        }
        let len = writer.finish()?;
        self.direct().count(is_found);
        Some(len)
    }
}
