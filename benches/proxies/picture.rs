//! The picture: bars for the proxies, workload by workload.

use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::contender::Contender;
use crate::results::{Figure, Results};
use crate::workload::Workload;

/// Pixels: of the whole, of the column with the names, and of one bar.
const WIDTH: i32 = 1_000;
const NAMES: i32 = 290;
const BAR: i32 = 12;

/// Space between groups of bars, above a panel's bars, and below them.
const GAP: i32 = 9;
const HEAD: i32 = 54;
const FOOT: i32 = 16;

/// What goes wrong in drawing; the backend writes to memory, so only its own limits are left.
type Trouble = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// One group of bars for each workload.
struct Panel {
    title: &'static str,
    scale: Scale,
    rows: Vec<Row>,
}

/// What the length of a bar means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    /// A ratio: there is a line at one, and what is far beyond it would make all others too short to compare.
    Ratio,
    /// An amount.
    Amount,
}

/// Bars of ratios end here.
const RATIO_MAX: f64 = 1.8;

struct Row {
    name: &'static str,
    bars: Vec<(Contender, f64)>,
}

impl Panel {
    fn height(&self) -> i32 {
        let rows = self.rows.iter().map(Row::height).sum::<i32>();
        if self.rows.is_empty() { 0 } else { HEAD + rows + FOOT }
    }

    fn longest(&self) -> f64 {
        let all = self.rows.iter().flat_map(|row| &row.bars);
        let longest = all.map(|bar| bar.1).fold(1.0, f64::max);
        if self.scale == Scale::Ratio { longest.min(RATIO_MAX) } else { longest }
    }
}

impl Row {
    fn height(&self) -> i32 {
        self.bars.iter().map(|_| BAR).sum::<i32>() + GAP
    }
}

/// The picture as SVG text.
pub(crate) fn draw(results: &Results, workloads: &[&'static Workload]) -> anyhow::Result<String> {
    let cpu = |workload: &Workload, contender| {
        results.ratio(workload.id, Figure::CpuUs, (contender, Contender::Pgbouncer))
    };
    let rate = |workload: &Workload, contender: Contender| {
        let contender = Some(contender).filter(|one| one.is_proxy())?;
        results.ratio(workload.id, Figure::Rate, (contender, Contender::Direct))
    };
    let memory = |workload: &Workload, contender| results.value(workload.id, contender, Figure::UsedKib);
    let panels = [
        Panel {
            title: "Processor time of the proxy, pgbouncer = 1 (less is better)",
            scale: Scale::Ratio,
            rows: rows(results, workloads, &cpu),
        },
        Panel {
            title: "Throughput, no proxy = 1 (more is better)",
            scale: Scale::Ratio,
            rows: rows(results, workloads, &rate),
        },
        Panel {
            title: "KiB for each idle session after a big result (less is better)",
            scale: Scale::Amount,
            rows: rows(results, workloads, &memory),
        },
    ];
    let mut text = String::new();
    render(&panels, &mut text)?;
    Ok(text)
}

fn rows(
    results: &Results,
    workloads: &[&'static Workload],
    value: &dyn Fn(&Workload, Contender) -> Option<f64>,
) -> Vec<Row> {
    let contenders = results.contenders();
    let row = |workload: &&'static Workload| {
        let bars: Vec<_> = contenders.iter().filter_map(|&one| Some((one, value(workload, one)?))).collect();
        (!bars.is_empty()).then_some(Row { name: workload.title, bars })
    };
    workloads.iter().filter_map(row).collect()
}

fn render(panels: &[Panel], text: &mut String) -> Result<(), Trouble> {
    let height = panels.iter().map(Panel::height).sum::<i32>();
    let size = (WIDTH.unsigned_abs(), height.max(1).unsigned_abs());
    let area = SVGBackend::with_string(text, size).into_drawing_area();
    area.fill(&WHITE)?;
    let mut top = 0;
    for panel in panels.iter().filter(|panel| !panel.rows.is_empty()) {
        draw_panel(&area, top, panel)?;
        top += panel.height();
    }
    area.present()
}

fn draw_panel(area: &Area, top: i32, panel: &Panel) -> Result<(), Trouble> {
    area.draw(&Text::new(panel.title, (16, top + 14), style(22, HPos::Left)))?;
    legend(area, top + 38, panel)?;
    // Room for the number behind the longest bar.
    let longest = panel.longest();
    let scale = f64::from(WIDTH - NAMES - 120) / longest;
    let mut y = top + HEAD;
    let bottom = y + panel.rows.iter().map(Row::height).sum::<i32>() - GAP;
    for row in &panel.rows {
        let center = y + (row.height() - GAP) / 2;
        area.draw(&Text::new(row.name, (NAMES - 8, center), style(16, HPos::Right)))?;
        for &(contender, value) in &row.bars {
            let end = NAMES + pixels(value.min(longest) * scale);
            area.draw(&Rectangle::new([(NAMES, y), (end, y + BAR - 1)], color(contender).filled()))?;
            area.draw(&Text::new(label(value, longest), (end + 4, y + BAR / 2), style(13, HPos::Left)))?;
            y += BAR;
        }
        y += GAP;
    }
    if panel.scale == Scale::Amount {
        return Ok(());
    }
    let one = NAMES + pixels(scale);
    area.draw(&PathElement::new([(one, top + HEAD - 4), (one, bottom + 4)], BLACK.mix(0.4).stroke_width(1)))
}

fn legend(area: &Area, y: i32, panel: &Panel) -> Result<(), Trouble> {
    let mut seen: Vec<Contender> =
        panel.rows.iter().flat_map(|row| &row.bars).map(|&(contender, _)| contender).collect();
    seen.sort();
    seen.dedup();
    let mut x = NAMES;
    for contender in seen {
        area.draw(&Rectangle::new([(x, y - 5), (x + 10, y + 5)], color(contender).filled()))?;
        area.draw(&Text::new(contender.name(), (x + 15, y), style(16, HPos::Left)))?;
        x += 170;
    }
    Ok(())
}

fn label(value: f64, longest: f64) -> String {
    if value > longest { format!("{value:.2} (cut off)") } else { format!("{value:.2}") }
}

/// Black, beside its point and level with it.
fn style(size: i32, side: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center))
}

const fn color(contender: Contender) -> RGBColor {
    match contender {
        Contender::Direct => RGBColor(120, 120, 120),
        Contender::Haproxy => RGBColor(141, 110, 99),
        Contender::Pgbouncer => RGBColor(239, 140, 0),
        Contender::Lockkeeper => RGBColor(21, 101, 192),
        Contender::Against => RGBColor(120, 170, 220),
        Contender::Forwarder => RGBColor(160, 190, 160),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "within the width of the picture")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}
