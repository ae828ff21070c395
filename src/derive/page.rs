//! A page of YAML as a person writes it: sections, a comment beside each value, what is not known at the end.

use super::forms::FormText;
use crate::time::Duration;
use std::fmt::Write;

/// The page, section by section.
pub(super) struct Page {
    head: String,
    top: Vec<String>,
    sections: Vec<(&'static str, Vec<String>)>,
    /// What the trace does not tell.
    unknown: Vec<String>,
}

impl Page {
    pub(super) fn new(head: &str) -> Self {
        Self { head: head.to_owned(), top: Vec::new(), sections: Vec::new(), unknown: Vec::new() }
    }

    /// A key outside of all sections.
    pub(super) fn top(&mut self, key: &str, value: &str, comment: &str) {
        self.top.push(commented(&format!("{key}: {value}"), 0, comment));
    }

    /// A key of a section.
    pub(super) fn key(&mut self, section: &'static str, key: &str, value: &str, comment: &str) {
        let line = commented(&format!("  {key}: {value}"), 2, comment);
        self.lines(section).push(line);
    }

    /// `forms` of a section: each by its key, and the message that shows it.
    pub(super) fn forms(&mut self, section: &'static str, forms: &[(String, u64, FormText)]) {
        let mut lines = vec!["  forms:".to_owned()];
        for (key, number, form) in forms {
            lines.push(format!("    {key}:                    # message {number}"));
            if let Some(reason) = &form.reason {
                lines.push(format!("      reason: {}", scalar(reason)));
            }
            lines.push("      headers:".to_owned());
            lines.extend(form.headers.iter().map(|header| format!("        - {}", scalar(header))));
            if !form.left_out.is_empty() {
                lines.push(format!("      leave_out: [{}]", form.left_out.join(", ")));
            }
            form.notes.iter().for_each(|note| self.unknown(&format!("message {number}: {note}")));
        }
        self.lines(section).extend(lines);
    }

    /// What could not be told, or not be said by any key.
    pub(super) fn unknown(&mut self, text: &str) {
        if !self.unknown.iter().any(|known| known == text) {
            self.unknown.push(text.to_owned());
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        for line in self.head.lines().flat_map(|line| wrapped(line, 118)) {
            let _ = writeln!(out, "# {line}");
        }
        if !self.top.is_empty() {
            let _ = write!(out, "\n{}\n", self.top.join("\n"));
        }
        for (name, lines) in &self.sections {
            let _ = write!(out, "\n{name}:\n{}\n", lines.join("\n"));
        }
        if !self.unknown.is_empty() {
            out.push_str("\n# What the trace does not tell, or what no key says:\n");
            for text in &self.unknown {
                for (at, line) in wrapped(text, 114).into_iter().enumerate() {
                    let _ = writeln!(out, "# {} {line}", if at == 0 { "-" } else { " " });
                }
            }
        }
        out
    }

    fn lines(&mut self, section: &'static str) -> &mut Vec<String> {
        let at = self.sections.iter().position(|(name, _)| *name == section).unwrap_or_else(|| {
            self.sections.push((section, Vec::new()));
            self.sections.len() - 1
        });
        &mut self.sections[at].1
    }
}

/// A value as YAML: plain where that is safe, else in single quotes.
pub(super) fn scalar(text: &str) -> String {
    // Folded lines of a message are one line.
    let folded: String =
        text.split(['\r', '\n']).map(str::trim_start).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
    let text = if text.contains(['\r', '\n']) { folded.as_str() } else { text };
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    let text = printable.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./+@;()=<>".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '<');
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if begins && text.chars().all(is_plain) && !is_word.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "''"))
}

/// A list of values in one line.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(scalar).collect();
    format!("[{}]", texts.join(", "))
}

/// A time as profiles have it.
pub(super) fn time(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, 0) if seconds > 0 => format!("{seconds}s"),
        _ => format!("{}ms", duration.as_millis().max(1)),
    }
}

/// `line` with a comment behind it, or above it where both are too long.
fn commented(line: &str, indent: usize, comment: &str) -> String {
    if comment.is_empty() {
        return line.to_owned();
    }
    let comment = wrapped(comment, usize::MAX).concat();
    if line.len() + comment.len() + 4 <= 120 {
        return format!("{line:<46} # {comment}");
    }
    let blank = " ".repeat(indent);
    let above: Vec<String> = wrapped(&comment, 116 - indent).iter().map(|part| format!("{blank}# {part}\n")).collect();
    above.concat() + line
}

/// `text` cut at blanks into lines of at most `width` where it has any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // What a message said must not end a comment.
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        let last = lines.last_mut().expect("it begins with one");
        if !last.is_empty() && last.len() + word.len() + 1 > width {
            lines.push(word.to_owned());
        } else {
            last.push_str(if last.is_empty() { "" } else { " " });
            last.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Page, scalar, time};
    use crate::time::Duration;

    #[test]
    fn values_that_yaml_reads_as_they_are() {
        for (text, expected) in [
            ("Via", "Via"),
            ("no", "'no'"),
            ("17", "'17'"),
            ("a b", "'a b'"),
            ("it's", "'it''s'"),
            ("<{uri}>, ", "'<{uri}>, '"),
            ("", "''"),
            ("*", "'*'"),
            ("a;\r\n b", "'a; b'"),
        ] {
            assert_eq!(scalar(text), expected);
        }
        assert_eq!([time(Duration::from_secs(900)), time(Duration::from_millis(500))], ["900s", "500ms"]);
    }

    #[test]
    fn a_comment_holds_no_line_end() {
        let mut page = Page::new("head");
        page.key("ue", "user_agent", "x", "message 1\nextends: lab");
        page.unknown("a\r\nb");
        let text = page.text();
        assert_eq!(text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count(), 2, "{text}");
    }
}
