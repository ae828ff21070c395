//! Standard output of commands that say much: it may be closed before they end, as by `head`.

use super::progress::CLEAR;
use std::io::{self, IsTerminal, Write};

/// Standard output, until its reader goes.
pub(super) struct Out {
    stdout: io::BufWriter<io::Stdout>,
    /// A bar may stand where the next line goes, and lines are seen at once.
    is_terminal: bool,
    /// Nobody reads any more.
    pub(super) is_closed: bool,
}

impl Out {
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        Self { stdout: io::BufWriter::new(stdout), is_terminal, is_closed: false }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.begin();
        self.add(line);
        self.add("\n");
        self.end();
    }

    /// Whole lines.
    pub(super) fn text(&mut self, text: &str) {
        self.begin();
        self.add(text);
        self.end();
    }

    fn begin(&mut self) {
        if self.is_terminal {
            self.add(CLEAR);
        }
    }

    fn add(&mut self, text: &str) {
        self.is_closed |= self.stdout.write_all(text.as_bytes()).is_err();
    }

    fn end(&mut self) {
        if self.is_terminal {
            self.is_closed |= self.stdout.flush().is_err();
        }
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // Whoever closed the pipe wants no more.
        let _ = self.stdout.flush();
    }
}
