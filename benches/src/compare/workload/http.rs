//! HTTP requests in a second over connections that stay open: `wrk` against `nginx`.

use anyhow::{Context as _, Result};

use super::{
    Figures, SHORT_LEAD, Times, Turn, Workload, listens, message_cost_metrics, message_costs,
};
use crate::limits::HTTP_CONNECTIONS;
use crate::metric::Metric;
use crate::shell::Job;

/// Where its server listens.
pub(crate) const PORT: u16 = 8_080;
const KEY: &str = "http";
const TITLE: &str = "HTTP requests";

/// One worker, and an answer of half a kilobyte from memory.
const CONFIGURATION: &str = "
daemon off; worker_processes 1; pid FOLDER/pid; error_log FOLDER/error;
events { worker_connections 256; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path FOLDER/a; proxy_temp_path FOLDER/b; fastcgi_temp_path FOLDER/c;
  uwsgi_temp_path FOLDER/d; scgi_temp_path FOLDER/e;
  server { listen PORT; location / { return 200 'BODY'; } }
}";

#[derive(Debug)]
pub(crate) struct Http;

impl Workload for Http {
    fn key(&self) -> &str {
        KEY
    }

    fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![
            Metric::higher(format!("{KEY}.per_s"), TITLE.into(), "1/s"),
            Metric::lower(format!("{KEY}.p50_us"), format!("{TITLE}: p50"), "us"),
        ];
        metrics.extend(message_cost_metrics(KEY, TITLE, "requests"));
        metrics
    }

    fn seconds(&self, times: Times) -> f64 {
        times.load as f64 + 0.2
    }

    fn run(&self, turn: &Turn<'_>) -> Result<Figures> {
        let dir = tempfile::TempDir::with_prefix("vswb-").context("folder for nginx")?;
        let folder = dir.path().display().to_string();
        let text = CONFIGURATION
            .replace("FOLDER", &folder)
            .replace("PORT", &PORT.to_string())
            .replace("BODY", &"vswitch ".repeat(64));
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, text).context("write nginx.conf")?;
        let mut command = turn.server().load("nginx")?;
        let mut server = Job::spawn(command.arg("-p").arg(dir.path()).arg("-c").arg(&file))?;
        listens(&mut server, PORT)?;
        let mut client = turn.client().load("wrk")?;
        client.args(["--latency", "-t1", &format!("-c{HTTP_CONNECTIONS}")]);
        client.arg(format!("-d{}", turn.seconds));
        let (address, port) = turn.target(PORT);
        client.arg(format!("http://{address}:{port}/"));
        let (text, usage) = turn.load(Job::spawn(&mut client)?, SHORT_LEAD)?;
        let Requests { per_second, p50_us } = parse(&text)?;
        let mut figures =
            vec![(format!("{KEY}.per_s"), per_second), (format!("{KEY}.p50_us"), p50_us)];
        figures.extend(message_costs(KEY, usage, per_second));
        Ok(figures)
    }
}

#[derive(Debug, PartialEq)]
struct Requests {
    per_second: f64,
    p50_us: f64,
}

/// What `wrk --latency` prints. Requests that failed make the run void.
fn parse(text: &str) -> Result<Requests> {
    let after = |mark: &str| {
        let line = text.lines().map(str::trim).find(|line| line.starts_with(mark))?;
        Some(line[mark.len()..].trim())
    };
    for mark in ["Socket errors:", "Non-2xx or 3xx responses:"] {
        if let Some(rest) = after(mark) {
            anyhow::bail!("wrk: {mark} {rest}");
        }
    }
    let rate = after("Requests/sec:").context("wrk gives no Requests/sec")?;
    let per_second: f64 = rate.parse().with_context(|| format!("requests a second: {rate}"))?;
    anyhow::ensure!(per_second > 0.0, "wrk got no answer");
    let p50_us = microseconds(after("50%").context("wrk gives no 50%")?)?;
    Ok(Requests { per_second, p50_us })
}

/// A time as `wrk` writes it: 123.00us, 1.23ms, 1.02s.
fn microseconds(text: &str) -> Result<f64> {
    let units = [("us", 1.0), ("ms", 1e3), ("s", 1e6)];
    let (digits, unit) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        .with_context(|| format!("a time without a unit: {text}"))?;
    Ok(digits.parse::<f64>().with_context(|| format!("a time: {text}"))? * unit)
}

#[cfg(test)]
mod tests;
