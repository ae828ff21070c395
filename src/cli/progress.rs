//! How far a large file has been read: a bar on standard error, where that is a terminal.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};

/// A file whose reading moves a bar.
pub(super) struct Watched {
    file: File,
    bar: Option<Bar>,
}

impl Watched {
    /// There is no bar for what is small or has no length, nor where nobody looks.
    pub(super) fn new(file: File) -> Self {
        let octets = file.metadata().map_or(0, |about| about.len());
        let is_wanted = octets > LARGE && io::stderr().is_terminal();
        Self { file, bar: is_wanted.then_some(Bar { octets, read: 0, drawn: None }) }
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        if let Some(line) = self.bar.as_mut().and_then(|bar| bar.add(len)) {
            say(&line);
        }
        Ok(len)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.bar.is_some() {
            say(CLEAR);
        }
    }
}

#[derive(Debug)]
struct Bar {
    octets: u64,
    read: u64,
    /// The percentage that stands on the terminal.
    drawn: Option<u64>,
}

impl Bar {
    /// So many octets more were read; what to draw, if that moves it.
    fn add(&mut self, octets: usize) -> Option<String> {
        self.read += octets as u64;
        let percent = (self.read * 100 / self.octets).min(100);
        (self.drawn.replace(percent) != Some(percent)).then(|| line(percent, self.read, self.octets))
    }
}

fn line(percent: u64, read: u64, octets: u64) -> String {
    let mut line = String::from(CLEAR);
    let filled = usize::try_from(percent).map_or(0, |percent| percent * WIDTH / 100);
    let _ = write!(
        line,
        "[{}{}] {percent:3} %  {} of {} MB",
        "#".repeat(filled),
        "-".repeat(WIDTH - filled),
        read / 1_000_000,
        octets / 1_000_000
    );
    line
}

/// A terminal that has gone needs no bar.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

/// To the beginning of the line, and nothing on it.
pub(super) const CLEAR: &str = "\r\x1b[K";
const WIDTH: usize = 40;
/// Smaller files are read before anybody looks.
const LARGE: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_what_is_read() {
        let ends = |percent: u64| line(percent, percent * 1_000_000, 100_000_000);
        assert_eq!(ends(0), format!("{CLEAR}[{}]   0 %  0 of 100 MB", "-".repeat(40)));
        assert_eq!(ends(50), format!("{CLEAR}[{}{}]  50 %  50 of 100 MB", "#".repeat(20), "-".repeat(20)));
        assert_eq!(ends(100), format!("{CLEAR}[{}] 100 %  100 of 100 MB", "#".repeat(40)));
    }

    #[test]
    fn reading_moves_it_by_whole_percents() {
        let mut bar = Bar { octets: 400, read: 0, drawn: None };
        assert!(bar.add(3).is_some_and(|line| line.contains("  0 %")));
        assert_eq!(bar.add(0), None);
        assert!(bar.add(200).is_some_and(|line| line.contains(" 50 %")));
        assert_eq!((bar.add(1), bar.read), (Some(line(51, 204, 400)), 204));
    }
}
