//! Bars with whiskers, one SVG file for each figure that is worth one.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::metric::{Better, Metric};
use crate::result::{Entry, Outcome};
use crate::stats::Spread;
use crate::table::number;

const SIZE: (u32, u32) = (720, 380);
const OWN: RGBColor = RGBColor(0x1f, 0x6f, 0xb5);
const OTHER: RGBColor = RGBColor(0xa9, 0xb4, 0xc0);
/// Half of a bar's width; bars are one apart.
const HALF: f64 = 0.36;
/// Room above the highest whisker.
const HEADROOM: f64 = 1.15;

/// Writes the plots and returns their files.
pub(crate) fn all(outcome: &Outcome, folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow!("make the folder {}: {error}", folder.display()))?;
    let mut files = Vec::new();
    for metric in outcome.metrics.iter().filter(|metric| is_plotted(metric)) {
        let bars: Vec<_> = outcome
            .contenders
            .iter()
            .filter_map(|entry| Some((entry, entry.spread(&metric.key)?)))
            .collect();
        if bars.is_empty() {
            continue;
        }
        let file = folder.join(format!("{}.svg", metric.key));
        draw(metric, &bars, &file).map_err(|error| anyhow!("draw {}: {error}", file.display()))?;
        files.push(file);
    }
    Ok(files)
}

/// The main figure of each workload, tails, and what a gigabyte costs.
fn is_plotted(metric: &Metric) -> bool {
    metric.is_main || metric.key.ends_with(".p99_us") || metric.key.ends_with(".cpu_s_per_gb")
}

type Error = Box<dyn std::error::Error>;

fn draw(metric: &Metric, bars: &[(&Entry, Spread)], file: &Path) -> Result<(), Error> {
    let root = SVGBackend::new(file, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let top = bars.iter().map(|(_, spread)| spread.max).fold(0.0, f64::max).max(1e-3) * HEADROOM;
    let better = match metric.better {
        Better::Higher => "more is better",
        Better::Lower => "less is better",
    };
    let title = format!("{} ({better})", metric.title);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(34)
        .y_label_area_size(64)
        .build_cartesian_2d(-0.5..bars.len() as f64 - 0.5, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_desc(&metric.unit)
        .y_label_formatter(&|value| number(*value))
        .light_line_style(WHITE)
        .draw()?;
    for (n, (entry, spread)) in bars.iter().enumerate() {
        let x = n as f64;
        let colour = if entry.is_own { OWN } else { OTHER };
        let corners = [(x - HALF, 0.0), (x + HALF, spread.median)];
        chart.draw_series([Rectangle::new(corners, colour.filled())])?;
        let whisker = |points: Vec<(f64, f64)>| PathElement::new(points, BLACK.stroke_width(1));
        let cap = |y| whisker(vec![(x - HALF / 4.0, y), (x + HALF / 4.0, y)]);
        let stem = whisker(vec![(x, spread.min), (x, spread.max)]);
        chart.draw_series([stem, cap(spread.min), cap(spread.max)])?;
        let style = |v| ("sans-serif", 13).into_font().color(&BLACK).pos(Pos::new(HPos::Center, v));
        let above = EmptyElement::at((x, spread.max))
            + Text::new(number(spread.median), (0, -4), style(VPos::Bottom));
        chart.draw_series([above])?;
        let below =
            EmptyElement::at((x, 0.0)) + Text::new(entry.name.clone(), (0, 8), style(VPos::Top));
        chart.plotting_area().draw(&below)?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests;
