//! The picture: the longest answer of the application and how far the standby was behind, each on a scale of its own.

use lockkeeper::traffic::figures::human;
use plotters::coord::Shift;
use plotters::prelude::{
    BLACK, DrawingArea, IntoDrawingArea as _, IntoFont as _, RGBColor, Rectangle, SVGBackend, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, TextStyle};

use crate::measure::{Measured, Way};
use crate::page::megabytes;

/// Pixels: of the whole, of the column with the names, of one bar with what is below it, above the bars, and behind the longest.
const WIDTH: i32 = 900;
const NAMES: i32 = 190;
const BAR: i32 = 20;
const HEAD: i32 = 44;
const FIGURE: i32 = 90;

/// What goes wrong in drawing; the backend writes to memory, so only its own limits are left.
type Trouble = plotters::drawing::DrawingAreaErrorKind<std::io::Error>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The picture as SVG text.
pub(crate) fn draw(rows: &[Measured]) -> Result<String, Trouble> {
    let mut text = String::new();
    let panel = HEAD + i32::try_from(rows.len()).unwrap_or_default() * BAR + 20;
    {
        let size = (WIDTH.unsigned_abs(), (2 * panel).unsigned_abs());
        let area = SVGBackend::with_string(&mut text, size).into_drawing_area();
        area.fill(&WHITE)?;
        let stall = |row: &Measured| (row.longest.as_secs_f64(), human(row.longest));
        draw_panel(&area, (0, "Longest answer of the application meanwhile"), rows, &stall)?;
        #[expect(clippy::cast_precision_loss, reason = "a length on the picture")]
        let behind = |row: &Measured| (row.behind.bytes as f64, megabytes(row.behind.bytes));
        draw_panel(&area, (panel, "Furthest that the standby was behind"), rows, &behind)?;
        area.present()?;
    }
    Ok(text)
}

/// How long a bar is, in any unit, and its figure.
type Figure<'a> = &'a dyn Fn(&Measured) -> (f64, String);

fn draw_panel(
    area: &Area<'_>,
    (top, title): (i32, &str),
    rows: &[Measured],
    figure: Figure<'_>,
) -> Result<(), Trouble> {
    area.draw(&Text::new(title, (16, top + 18), style(18, HPos::Left)))?;
    let most = rows.iter().map(|row| figure(row).0).fold(f64::MIN_POSITIVE, f64::max);
    for (row, y) in rows.iter().zip((top + HEAD..).step_by(BAR.unsigned_abs() as usize)) {
        let (length, words) = figure(row);
        let name = format!("{}, {}", row.tag, row.way.name());
        area.draw(&Text::new(name, (NAMES - 8, y + 7), style(14, HPos::Right)))?;
        let end = NAMES + pixels(length / most * f64::from(WIDTH - NAMES - FIGURE)).max(2);
        let color = match row.way {
            Way::Plain => RGBColor(198, 40, 40),
            Way::Loop => RGBColor(239, 150, 30),
            Way::Through => RGBColor(21, 101, 192),
        };
        area.draw(&Rectangle::new([(NAMES, y), (end, y + 14)], color.filled()))?;
        area.draw(&Text::new(words, (end + 6, y + 7), style(13, HPos::Left)))?;
    }
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "a width on the picture")]
fn pixels(length: f64) -> i32 {
    length.round() as i32
}

/// Black, beside its point and level with it.
fn style(size: i32, side: HPos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&BLACK).pos(Pos::new(side, VPos::Center))
}
