//! For the tests of files of one kind: texts in place of files, and the example of a module's own documentation.

use super::fault::Collector;
use super::source::{Origin, Sources};
use super::yaml::{self, Node};

/// What a text says, or all its faults.
pub(super) fn read<T>(text: &str, decode: impl FnOnce(&Node, &mut Collector) -> Option<T>) -> Result<T, Vec<String>> {
    let mut sources = Sources::default();
    let mut faults = Collector::default();
    let origin = Origin { path: "f.yaml".to_owned(), embedded: false };
    let number = sources.add_file(&origin, text.to_owned());
    let decoded = decode(&yaml::parse(text, number).expect("YAML"), &mut faults);
    faults.finish(&sources, decoded).map_err(|f| f.0.iter().map(ToString::to_string).collect())
}

/// The YAML that the documentation of a module shows.
pub(super) fn example(source: &str) -> String {
    let lines = source.lines().skip_while(|line| *line != "//! ```yaml").skip(1).take_while(|line| *line != "//! ```");
    lines.flat_map(|line| [line.trim_start_matches("//! "), "\n"]).collect()
}
