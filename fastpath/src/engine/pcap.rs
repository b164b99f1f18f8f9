//! Ports on capture files: frames come from one file and go to another.
//!
//! Files hold Ethernet frames (`LINKTYPE_ETHERNET`) without a virtio-net header, so a frame that is
//! sent with a partial checksum is written with that checksum as it is. Files of a port of datagrams hold
//! payloads with their [`crate::datagram::Header`] (`LINKTYPE_USER0`).

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::time::Duration;

use pcap_file::DataLink;
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};

use super::port_queue::Framing;
use super::{Engine, EngineCounters, EngineEvent, PortQueue, Received, Wait};
use crate::datagram;
use crate::limits::{FRAME_MAX, PORTS_MAX, READ_DEPTH_MAX};
use crate::pool::{Frame, Pool};
use crate::port::{PortIndex, PortIoCounters, TxDrop};

type Source = PcapReader<Box<dyn Read>>;
type Sink = PcapWriter<Box<dyn Write>>;

#[derive(Default)]
struct PcapPort {
    framing: Framing,
    source: Option<Source>,
    sink: Option<Sink>,
    io: PortIoCounters,
}

/// Packet I/O from and to capture files, which never blocks.
#[derive(Default)]
pub struct PcapEngine {
    ports: Vec<PcapPort>,
    events: VecDeque<EngineEvent>,
}

impl PcapEngine {
    /// An engine without ports.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens a port that reads from one capture and writes another.
    ///
    /// # Errors
    /// When `source` is no capture of Ethernet frames, or `sink` cannot be written.
    pub fn open(
        &mut self,
        port: PortIndex,
        source: Option<Box<dyn Read>>,
        sink: Option<Box<dyn Write>>,
    ) -> io::Result<()> {
        self.open_as(port, Framing::Vnet, source, sink)
    }

    /// Opens a port of datagrams.
    ///
    /// # Errors
    /// When `source` is no capture of such a port, or `sink` cannot be written.
    pub fn open_datagrams(
        &mut self,
        port: PortIndex,
        source: Option<Box<dyn Read>>,
        sink: Option<Box<dyn Write>>,
    ) -> io::Result<()> {
        self.open_as(port, Framing::Datagram, source, sink)
    }

    fn open_as(
        &mut self,
        port: PortIndex,
        framing: Framing,
        source: Option<Box<dyn Read>>,
        sink: Option<Box<dyn Write>>,
    ) -> io::Result<()> {
        let (datalink, content) = match framing {
            Framing::Vnet => (DataLink::ETHERNET, "Ethernet frames"),
            Framing::Datagram => (DataLink::USER0, "datagrams"),
        };
        let source = source.map(PcapReader::new).transpose().map_err(io::Error::other)?;
        if let Some(source) = &source
            && source.header().datalink != datalink
        {
            let found = source.header().datalink;
            return Err(io::Error::other(format!("not a capture of {content}: {found:?}")));
        }
        let header = PcapHeader { snaplen: FRAME_MAX as u32, datalink, ..PcapHeader::default() };
        let sink = sink
            .map(|sink| PcapWriter::with_header(sink, header))
            .transpose()
            .map_err(io::Error::other)?;
        *self.port(port) = PcapPort { framing, source, sink, io: PortIoCounters::default() };
        Ok(())
    }

    fn port(&mut self, port: PortIndex) -> &mut PcapPort {
        if self.ports.len() <= port.get() {
            self.ports.resize_with(port.get() + 1, PcapPort::default);
        }
        &mut self.ports[port.get()]
    }
}

impl PcapPort {
    /// The next frame; false when the capture has ended, is broken, or no buffer is free.
    fn read(&mut self, pool: &mut Pool, port: PortIndex, received: &mut Vec<Received>) -> bool {
        let Some(source) = self.source.as_mut().filter(|_| pool.available() > 0) else {
            return false;
        };
        match source.next_packet() {
            None => {
                self.source = None;
                false
            }
            Some(Ok(packet)) => {
                let frame = match self.framing {
                    Framing::Vnet => pool.alloc_with(&packet.data),
                    Framing::Datagram if packet.data.len() < datagram::LEN => None,
                    Framing::Datagram => pool.alloc_copy(&packet.data),
                };
                match frame {
                    Some(frame) => {
                        let (frames, bytes) = self.framing.measure(pool, &frame);
                        self.io.traffic.count_rx_frames(frames, bytes);
                        received.push(Received { port, frame });
                    }
                    None => self.io.rx_errors += 1,
                }
                true
            }
            Some(Err(_)) => {
                self.io.rx_errors += 1;
                self.source = None;
                false
            }
        }
    }
}

impl Engine for PcapEngine {
    /// Capture ports have no descriptor: use [`PcapEngine::open`].
    fn attach(&mut self, _port: PortIndex, _queue: PortQueue) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn detach(&mut self, port: PortIndex) {
        let PcapPort { io, framing, .. } = *self.port(port);
        *self.port(port) = PcapPort { io, framing, ..PcapPort::default() };
        self.events.push_back(EngineEvent::Detached(port));
    }

    fn is_open(&self, port: PortIndex) -> bool {
        self.ports.get(port.get()).is_some_and(|port| port.sink.is_some())
    }

    fn send(&mut self, pool: &mut Pool, port: PortIndex, frame: Frame) {
        let to = self.port(port);
        let (frames, len) = to.framing.measure(pool, &frame);
        let bytes = match to.framing {
            Framing::Vnet => pool.ethernet(&frame),
            Framing::Datagram => pool.bytes(&frame),
        };
        let packet = PcapPacket::new(Duration::ZERO, bytes.len() as u32, bytes);
        match to.sink.as_mut().map(|sink| sink.write_packet(&packet)) {
            Some(Ok(_)) => to.io.traffic.count_tx_frames(frames, len),
            Some(Err(_)) => to.io.drop_tx_frames(TxDrop::Refused, frames),
            None => to.io.drop_tx_frames(TxDrop::Gone, frames),
        }
        pool.release(frame);
    }

    fn round(
        &mut self,
        pool: &mut Pool,
        _wait: Wait,
        received: &mut Vec<Received>,
    ) -> io::Result<()> {
        for (index, port) in self.ports.iter_mut().enumerate() {
            let Some(number) = PortIndex::new(index) else { break };
            for _ in 0..READ_DEPTH_MAX {
                if !port.read(pool, number, received) {
                    break;
                }
            }
        }
        Ok(())
    }

    fn next_event(&mut self) -> Option<EngineEvent> {
        self.events.pop_front()
    }

    fn take_closed(&mut self, _port: PortIndex) -> Option<PortQueue> {
        None
    }

    fn is_busy(&self) -> bool {
        self.ports.iter().any(|port| port.source.is_some())
    }

    fn set_spin_rounds(&mut self, _rounds: u16) {}

    fn writes_in_flight(&self) -> usize {
        0
    }

    fn port_io(&self, port: PortIndex) -> PortIoCounters {
        self.ports.get(port.get()).map(|port| port.io).unwrap_or_default()
    }

    fn capacity(&self) -> usize {
        PORTS_MAX
    }

    fn slots(&self) -> usize {
        self.ports.len()
    }

    fn stats(&self) -> EngineCounters {
        EngineCounters::default()
    }
}
