//! Both runs on one chart: the slowest query under way at each moment, on a logarithmic scale.

use std::time::Duration;

use plotters::prelude::{
    AreaSeries, BLACK, ChartBuilder, Circle, Color as _, EmptyElement, IntoDrawingArea as _, IntoFont as _,
    IntoLogRange as _, LineSeries, PathElement, RGBColor, Rectangle, SVGBackend, SeriesLabelPosition, Text,
    WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::Way;
use super::story::Outcome;
use crate::traffic::figures::{self, Sample};

/// Width and height in pixels.
const SIZE: (u32, u32) = (1_000, 520);

/// Slices of time that become one point each.
const SLICE: Duration = Duration::from_millis(50);

/// The lowest latency on the scale, in milliseconds.
const FLOOR_MS: f64 = 0.1;

/// What goes wrong in drawing; the backend writes to memory, so only its own limits are left.
type Trouble = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;

/// One run, ready to be drawn; times in seconds from the start of the migration, latencies in milliseconds.
#[derive(Debug)]
struct Curve {
    label: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
    peak: (f64, f64),
    peak_label: String,
    migration_s: f64,
}

impl Curve {
    fn of(outcome: &Outcome) -> Self {
        let origin = outcome.migration.start.as_secs_f64();
        let worst = figures::worst_per_slice(&outcome.samples, SLICE);
        let at = |index: u32| SLICE.as_secs_f64() * f64::from(index) - origin;
        let points = (0_u32..)
            .zip(&worst)
            .filter_map(|(index, slot)| slot.map(|time| (at(index), milliseconds(time))))
            .collect();
        let longest =
            figures::longest(&outcome.samples).unwrap_or(Sample { at: Duration::ZERO, took: Duration::ZERO });
        let peak = ((longest.at + longest.took / 2).as_secs_f64() - origin, milliseconds(longest.took));
        let migration = outcome.migration.end.saturating_sub(outcome.migration.start);
        Self {
            label: outcome.way.name().to_owned(),
            color: color(outcome.way),
            points,
            peak,
            peak_label: format!("{}: longest stall {}", outcome.way.name(), figures::human(longest.took)),
            migration_s: migration.as_secs_f64(),
        }
    }
}

const fn color(way: Way) -> RGBColor {
    match way {
        Way::Straight => RGBColor(198, 40, 40),
        Way::Through => RGBColor(21, 101, 192),
    }
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).max(FLOOR_MS)
}

/// The picture as SVG text.
pub(super) fn draw(outcomes: &[Outcome]) -> Result<String, Trouble> {
    let curves: Vec<_> = outcomes.iter().map(Curve::of).collect();
    let mut text = String::new();
    render(&curves, &mut text)?;
    Ok(text)
}

fn render(curves: &[Curve], text: &mut String) -> Result<(), Trouble> {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let first = all().map(|point| point.0).fold(0.0, f64::min);
    let last = all().map(|point| point.0).fold(1.0, f64::max);
    let top = all().map(|point| point.1).fold(1_000.0, f64::max) * 4.0;
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What the application waited while Alembic migrated", ("sans-serif", 22))
        .margin(16)
        .x_label_area_size(44)
        .y_label_area_size(76)
        .build_cartesian_2d(first..last, (FLOOR_MS..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc("seconds from the start of the migration")
        .y_desc("slowest query under way")
        .x_label_formatter(&|seconds| format!("{seconds:.1}"))
        .y_label_formatter(&|ms| axis_label(*ms))
        .draw()?;
    for (row, curve) in (0_i32..).zip(curves) {
        let color = curve.color;
        chart.draw_series(AreaSeries::new(curve.points.iter().copied(), FLOOR_MS, color.mix(0.15)))?;
        chart
            .draw_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)))?
            .label(format!("{}, migration {:.1} s", curve.label, curve.migration_s))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(3)));
        chart.draw_series([Rectangle::new(
            [(0.0, top * 0.9_f64.powi(row)), (curve.migration_s, top * 0.9_f64.powi(row + 1))],
            color.mix(0.5).filled(),
        )])?;
        // Above the first peak and below the second, and away from the nearer edge: never on top of each other.
        let side = if curve.peak.0 * 2.0 > first + last { HPos::Right } else { HPos::Left };
        let style = ("sans-serif", 15).into_font().color(&color).pos(Pos::new(side, VPos::Center));
        let label = Text::new(curve.peak_label.clone(), (0, if row == 0 { -14 } else { 16 }), style);
        chart.draw_series([EmptyElement::at(curve.peak) + Circle::new((0, 0), 4, color.filled()) + label])?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()
}

fn axis_label(ms: f64) -> String {
    if ms < 1_000.0 { format!("{ms} ms") } else { format!("{} s", ms / 1_000.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runs_and_their_longest_stalls_are_named() {
        let outcome = |way, took| Outcome {
            way,
            samples: (0..40)
                .map(|n| Sample { at: Duration::from_millis(n * 50), took: Duration::from_millis(took) })
                .collect(),
            failures: 0,
            migration: Duration::from_millis(500)..Duration::from_millis(1_500),
            notices: Vec::new(),
            schema: String::new(),
        };
        let drawn = draw(&[outcome(Way::Straight, 6_000), outcome(Way::Through, 20)]).expect("a picture");
        assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"), "{drawn}");
        assert!(drawn.contains("straight: longest stall 6.00 s"));
        assert!(drawn.contains("through lockkeeper: longest stall 20 ms"));
        assert!(drawn.contains("migration 1.0 s"));
    }

    #[test]
    fn a_run_without_queries_is_drawn_too() {
        let outcome = Outcome {
            way: Way::Straight,
            samples: Vec::new(),
            failures: 0,
            migration: Duration::ZERO..Duration::ZERO,
            notices: Vec::new(),
            schema: String::new(),
        };
        assert!(draw(&[outcome]).is_ok());
    }
}
