//! Standard output of commands that say much: it may be closed before they end, as by `head`.

use std::io::{self, Write};

/// Standard output, until its reader goes.
pub(super) struct Out {
    stdout: io::BufWriter<io::Stdout>,
    /// Nobody reads any more.
    pub(super) is_closed: bool,
}

impl Out {
    pub(super) fn new() -> Self {
        Self { stdout: io::BufWriter::new(io::stdout()), is_closed: false }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.text(line);
        self.text("\n");
    }

    pub(super) fn text(&mut self, text: &str) {
        self.is_closed |= self.stdout.write_all(text.as_bytes()).is_err();
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        // Whoever closed the pipe wants no more.
        let _ = self.stdout.flush();
    }
}
