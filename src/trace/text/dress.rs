//! What a form puts around the lines of a message, and takes off again.

use super::lines::Ahead;
use super::stamp::Stamp;
use super::{kamailio, logcat, ngrep, notes, numbered, pasted, shape};

/// What stands around each line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Dress {
    /// The same octets before each, mostly none: indentation, the marks of a quotation, the name of a container.
    Plain {
        /// Those octets.
        lead: Vec<u8>,
    },
    /// The same, and a dot for each CR.
    Dotted {
        /// See there.
        lead: Vec<u8>,
    },
    /// An empty line after each.
    Spaced,
    /// Bold names, cuts at a column, values on the lines that follow.
    Pasted,
    /// A number before each, empty lines between.
    Numbered,
    /// Time, process and tag before each.
    Logcat(logcat::Source),
}

/// A line as it was before.
pub(super) struct Undressed {
    pub(super) text: Vec<u8>,
    pub(super) has_cr: bool,
    /// Which line follows.
    pub(super) next: usize,
    /// Lines of others that stand before it.
    pub(super) between: Between,
}

/// Lines of others among those of a message.
#[derive(Clone, Copy, Default)]
pub(super) struct Between {
    /// Where the first is.
    pub(super) first: Option<u64>,
    pub(super) octets: usize,
}

impl Between {
    pub(super) fn add(&mut self, more: Self) {
        self.first = self.first.or(more.first);
        self.octets += more.octets;
    }
}

/// The beginning of a message.
pub(super) struct Begin {
    pub(super) dress: Dress,
    pub(super) start: Vec<u8>,
    pub(super) has_cr: bool,
    pub(super) stamp: Option<Stamp>,
    /// Which line follows.
    pub(super) next: usize,
}

/// A message that begins here. A start line alone is none: prose speaks of them.
pub(super) fn begin(ahead: &mut dyn Ahead) -> Option<Begin> {
    let line = ahead.get(0)?;
    memchr::memmem::find(&line.text, b"SIP/2.0")?;
    let (text, has_cr) = (line.text.clone(), line.has_cr);
    let found = |dress: Dress, start: &[u8], stamp, next| {
        let has_cr = has_cr || matches!(dress, Dress::Dotted { .. });
        let start = start.trim_ascii_end().to_vec();
        Some(Begin { dress, start, has_cr, stamp, next })
    };
    if let Some(start) = numbered::strip(&text)
        && shape::is_start(start)
    {
        return follows_header(&Dress::Numbered, ahead, 1).then(|| found(Dress::Numbered, start, None, 1))?;
    }
    if let Some((source, stamp, start)) = logcat::begin(&text) {
        let dress = Dress::Logcat(source);
        return follows_header(&dress, ahead, 1).then(|| found(dress, start, stamp, 1))?;
    }
    let lead = shape::lead(&text);
    let start = notes::without_remark(&text[lead.len()..]);
    let undotted = ngrep::without_dot(start).0;
    if shape::is_start(undotted) {
        let plain = Dress::Plain { lead: lead.to_vec() };
        let next = plain.undress(ahead, 1).map(|line| line.text).unwrap_or_default();
        if ngrep::is_dotted(start, &next) {
            let dress = Dress::Dotted { lead: lead.to_vec() };
            return follows_header(&dress, ahead, 1).then(|| found(dress, undotted, None, 1))?;
        }
    }
    if shape::is_start(start) {
        if lead.is_empty() && is_spaced(ahead) {
            return found(Dress::Spaced, start, None, 2);
        }
        if lead.is_empty() && pasted::applies(ahead) {
            return follows_header(&Dress::Pasted, ahead, 1).then(|| found(Dress::Pasted, start, None, 1))?;
        }
        let dress = Dress::Plain { lead: lead.to_vec() };
        return follows_header(&dress, ahead, 1).then(|| found(dress, start, None, 1))?;
    }
    behind_a_prefix(ahead, &text).and_then(|(dress, at)| {
        let stamp = Stamp::read(&text).map(|(stamp, _)| stamp);
        follows_header(&dress, ahead, 1).then(|| found(dress, &text[at..], stamp, 1))?
    })
}

impl Dress {
    /// The line at `index` without its dress. `None` where the text ends or the line is not of this message.
    pub(super) fn undress(&self, ahead: &mut dyn Ahead, index: usize) -> Option<Undressed> {
        match self {
            Self::Plain { lead } => plain(ahead, index, lead),
            Self::Dotted { lead } => {
                let mut line = plain(ahead, index, lead)?;
                let (text, has_dot) = ngrep::without_dot(&line.text);
                line.text = text.to_vec();
                line.has_cr |= has_dot;
                Some(line)
            }
            Self::Spaced => {
                let line = ahead.get(index)?;
                let (text, has_cr) = (line.text.clone(), line.has_cr);
                let is_followed = ahead.text(index + 1).is_some_and(shape::is_blank);
                Some(Undressed {
                    text,
                    has_cr,
                    next: index + 1 + usize::from(is_followed),
                    between: Between::default(),
                })
            }
            Self::Pasted => {
                let line = ahead.get(index)?;
                let text = pasted::without_bold(&line.text);
                Some(Undressed { text, has_cr: line.has_cr, next: index + 1, between: Between::default() })
            }
            Self::Numbered => numbered::undress(ahead, index),
            Self::Logcat(source) => source.undress(ahead, index),
        }
    }
}

fn plain(ahead: &mut dyn Ahead, index: usize, lead: &[u8]) -> Option<Undressed> {
    let line = ahead.get(index)?;
    let text = match line.text.strip_prefix(lead) {
        Some(text) => kamailio::without_rule(text).to_vec(),
        // An editor took the white space at its end.
        None if shape::is_blank(&line.text) || line.text == lead.trim_ascii_end() => Vec::new(),
        None => return None,
    };
    Some(Undressed { text, has_cr: line.has_cr, next: index + 1, between: Between::default() })
}

/// True where a header is what comes next, at most an empty line before it.
fn follows_header(dress: &Dress, ahead: &mut dyn Ahead, index: usize) -> bool {
    let Some(line) = dress.undress(ahead, index) else { return false };
    if !shape::is_blank(&line.text) {
        return shape::header_name(&line.text).is_some();
    }
    dress.undress(ahead, line.next).is_some_and(|line| shape::is_known_header(&line.text))
}

/// True where an empty line stands after the start line and after the header that follows.
fn is_spaced(ahead: &mut dyn Ahead) -> bool {
    let mut is = |index, shape: fn(&[u8]) -> bool| ahead.text(index).is_some_and(shape);
    is(1, shape::is_blank) && is(2, shape::is_known_header) && is(3, shape::is_blank)
}

/// The dress of a message whose start line stands behind the prefix of a log, and where it begins.
fn behind_a_prefix(ahead: &mut dyn Ahead, text: &[u8]) -> Option<(Dress, usize)> {
    let at = shape::start_at_end(text).filter(|&at| at > 0)?;
    let prefix = &text[..at];
    let is_word =
        prefix.strip_suffix(b":").is_some_and(|word| word.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_'));
    if is_word {
        return Some((Dress::Pasted, at));
    }
    let is_on_each = ahead.text(1).is_some_and(|next| next.starts_with(prefix));
    let lead = if is_on_each { prefix.to_vec() } else { Vec::new() };
    Some((Dress::Plain { lead }, at))
}
