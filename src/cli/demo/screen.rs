//! What is shown while it runs: lines that stay, and on a terminal one line that is written over.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crossterm::cursor::MoveToColumn;
use crossterm::queue;
use crossterm::terminal::{self, Clear, ClearType};

/// How often the last line is renewed on a terminal; elsewhere it is left out.
pub(super) const RENEW_EVERY: Duration = Duration::from_millis(200);

/// Standard output.
#[derive(Debug)]
pub(super) struct Screen {
    out: io::Stdout,
    live: bool,
}

impl Screen {
    pub(super) fn new() -> Self {
        let out = io::stdout();
        let live = out.is_terminal();
        Self { out, live }
    }

    /// A line that stays. Nobody listening is no reason to stop.
    pub(super) fn line(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// The line that is written over.
    pub(super) fn status(&mut self, text: &str) {
        if !self.live {
            return;
        }
        self.clear();
        // Some terminals do not know their width, and say 0.
        let columns = terminal::size().map_or(0, |(columns, _)| usize::from(columns));
        let width = if columns == 0 { 80 } else { columns };
        let fitting: String = text.chars().take(width.saturating_sub(1)).collect();
        let _ = write!(self.out, "{fitting}");
        let _ = self.out.flush();
    }

    fn clear(&mut self) {
        if self.live {
            let _ = queue!(self.out, MoveToColumn(0), Clear(ClearType::CurrentLine));
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
        let _ = self.out.flush();
    }
}
