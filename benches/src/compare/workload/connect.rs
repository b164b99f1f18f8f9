//! New TCP connections in a second: handshake, a byte each way, reset. The reset leaves no socket in
//! TIME_WAIT, so that the ports of the client do not run out.

use anyhow::{Context as _, Result};

use super::{Figures, Times, Turn, Workload, message_cost_metrics, message_costs};
use crate::limits::CONNECT_CLIENTS;
use crate::metric::Metric;

/// Where its server listens.
pub(crate) const PORT: u16 = 9_001;
const KEY: &str = "connect";
const TITLE: &str = "new TCP connections";

#[derive(Debug)]
pub(crate) struct Connect;

impl Workload for Connect {
    fn key(&self) -> &str {
        KEY
    }

    fn metrics(&self) -> Vec<Metric> {
        let rate = Metric::higher(format!("{KEY}.per_s"), TITLE.into(), "1/s");
        std::iter::once(rate).chain(message_cost_metrics(KEY, TITLE, "connections")).collect()
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + 0.2
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let words = format!("accept --port {PORT} --threads {CONNECT_CLIENTS}");
        let _server = turn.agent(turn.server(), &words)?.ready()?;
        let (address, port) = turn.target(PORT);
        let words = format!(
            "connect --to {address}:{port} --clients {CONNECT_CLIENTS} --seconds {}",
            turn.seconds
        );
        let (shown, usage) = turn.agent_load(&words)?;
        let per_second = shown["per_second"].as_f64().context("the agent says no rate")?;
        let mut figures = vec![(format!("{KEY}.per_s"), per_second)];
        figures.extend(message_costs(KEY, usage, per_second));
        Ok(figures)
    }
}
