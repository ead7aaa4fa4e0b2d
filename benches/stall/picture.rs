//! The picture: for each operation the longest wait straight and through the proxy, on a logarithmic scale.

use std::time::Duration;

use lockkeeper::traffic::figures::human;
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, Color as _, DrawingArea, IntoDrawingArea as _, IntoFont as _, PathElement, RGBColor, Rectangle,
    SVGBackend, Text, WHITE,
};
use plotters::style::TextStyle;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::results::{MAX_STALL, Row, Way};

/// Pixels: of the whole, of the column with the names, of one bar, and between operations.
const WIDTH: i32 = 1_000;
const NAMES: i32 = 230;
const BAR: i32 = 11;
const GAP: i32 = 7;

/// Space above a panel's bars, and below them.
const HEAD: i32 = 76;
const FOOT: i32 = 18;

/// Room for the figure behind the longest bar.
const FIGURE: i32 = 90;

/// Where the scale begins, in milliseconds.
const FLOOR_MS: f64 = 1.0;

const STRAIGHT: RGBColor = RGBColor(198, 40, 40);
const THROUGH: RGBColor = RGBColor(21, 101, 192);

/// What goes wrong in drawing; the backend writes to memory, so only its own limits are left.
type Trouble = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture as SVG text.
pub(crate) fn draw(rows: &[Row]) -> Result<String, Trouble> {
    let mut text = String::new();
    let count = i32::try_from(rows.len()).unwrap_or_default();
    let panel = HEAD + count * (2 * BAR + GAP) + FOOT;
    let size = (WIDTH.unsigned_abs(), (2 * panel).unsigned_abs());
    {
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let scale = Scale::of(rows);
        draw_panel(&area, 0, rows, (true, scale))?;
        draw_panel(&area, panel, rows, (false, scale))?;
        area.present()?;
    }
    Ok(text)
}

/// How long a bar is.
#[derive(Debug, Clone, Copy)]
struct Scale {
    top_ms: f64,
}

impl Scale {
    fn of(rows: &[Row]) -> Self {
        let both = [false, true].map(|reader| [Way::Straight, Way::Through].map(|way| (way, reader)));
        let cases = both.into_iter().flatten();
        let all = cases.flat_map(|(way, reader)| rows.iter().filter_map(move |row| row.of(way, reader)));
        let top = all.map(|one| one.longest).max().unwrap_or_default();
        Self { top_ms: milliseconds(top).max(1_000.0) }
    }

    fn at(self, time: Duration) -> i32 {
        let share = (milliseconds(time) / FLOOR_MS).ln() / (self.top_ms / FLOOR_MS).ln();
        NAMES + pixels(share * f64::from(WIDTH - NAMES - FIGURE))
    }
}

fn draw_panel(
    area: &Area<'_>,
    top: i32,
    rows: &[Row],
    (reader, scale): (bool, Scale),
) -> Result<(), Trouble> {
    let title = if reader {
        "Longest wait of the application while somebody reads the tables"
    } else {
        "Longest wait of the application without a long reader"
    };
    area.draw(&Text::new(title, (16, top + 18), style(20, HPos::Left)))?;
    legend(area, top + 42)?;
    let first = top + HEAD;
    let bottom = first + i32::try_from(rows.len()).unwrap_or_default() * (2 * BAR + GAP);
    for (label, ms) in [("1 ms", 1), ("10 ms", 10), ("100 ms", 100), ("1 s", 1_000), ("10 s", 10_000)] {
        let time = Duration::from_millis(ms);
        if milliseconds(time) > scale.top_ms {
            continue;
        }
        let x = scale.at(time);
        let (strength, width) = if time == MAX_STALL { (0.9, 2) } else { (0.2, 1) };
        area.draw(&PathElement::new([(x, first - 4), (x, bottom)], BLACK.mix(strength).stroke_width(width)))?;
        area.draw(&Text::new(label, (x, first - 12), style(13, HPos::Center)))?;
    }
    let mut y = first;
    for row in rows {
        area.draw(&Text::new(row.operation.id, (NAMES - 8, y + BAR), style(15, HPos::Right)))?;
        for (way, color) in [(Way::Straight, STRAIGHT), (Way::Through, THROUGH)] {
            if let Some(measured) = row.of(way, reader) {
                let end = scale.at(measured.longest).max(NAMES + 2);
                area.draw(&Rectangle::new([(NAMES, y), (end, y + BAR - 1)], color.filled()))?;
                let figure = human(measured.longest);
                area.draw(&Text::new(figure, (end + 5, y + BAR / 2), style(12, HPos::Left)))?;
            }
            y += BAR;
        }
        y += GAP;
    }
    Ok(())
}

fn legend(area: &Area<'_>, y: i32) -> Result<(), Trouble> {
    let mut x = NAMES;
    for (name, color) in [("straight", STRAIGHT), ("through lockkeeper", THROUGH)] {
        area.draw(&Rectangle::new([(x, y - 5), (x + 10, y + 5)], color.filled()))?;
        area.draw(&Text::new(name, (x + 15, y), style(15, HPos::Left)))?;
        x += 120;
    }
    let words = "logarithmic; the thick line is max_stall";
    area.draw(&Text::new(words, (x + 60, y), style(13, HPos::Left)))
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).max(FLOOR_MS)
}

#[expect(clippy::cast_possible_truncation, reason = "a width on the picture")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

/// Black, beside its point and level with it.
fn style(size: i32, side: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center))
}
