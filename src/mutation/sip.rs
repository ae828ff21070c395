//! A SIP message as lines of text, changed without asking what they mean: what is changed may be wrong.

use super::Shape;

/// Start line, headers in their order, body.
#[derive(Clone, Debug)]
pub(crate) struct SipText {
    pub(super) start: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl SipText {
    /// `None` for what is no message, a keep-alive for instance.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let start = lines.next().filter(|start| start.contains("SIP/2.0"))?.to_owned();
        let mut headers: Vec<(String, String)> = Vec::new();
        for line in lines {
            match (line.strip_prefix([' ', '\t']), headers.last_mut()) {
                (Some(more), Some((_, value))) => {
                    value.push(' ');
                    value.push_str(more.trim());
                }
                _ => {
                    let (name, value) = line.split_once(':')?;
                    headers.push((name.trim().to_owned(), value.trim().to_owned()));
                }
            }
        }
        Some(Self { start, headers, body: body.to_owned() })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = format!("{}\r\n", self.start);
        for (name, value) in &self.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        out.push_str("\r\n");
        out.push_str(&self.body);
        out.into_bytes()
    }

    /// The status of a response.
    pub(super) fn status(&self) -> Option<&str> {
        self.start.strip_prefix("SIP/2.0 ").and_then(|rest| rest.split(' ').next())
    }

    /// The first line of a header.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(of, _)| is(of, name)).map(|(_, value)| value.as_str())
    }

    /// All lines of a header as one list.
    pub(crate) fn list(&self, name: &str) -> Option<String> {
        let lines: Vec<&str> =
            self.headers.iter().filter(|(of, _)| is(of, name)).map(|(_, value)| value.as_str()).collect();
        (!lines.is_empty()).then(|| lines.join(", "))
    }

    /// A parameter in each element of a header that has it, once where all say the same; `None`: nowhere.
    pub(crate) fn parameter(&self, header: &str, name: &str) -> Option<String> {
        let list = self.list(header)?;
        let mut values: Vec<&str> = if is_digest(header) {
            split(list.split_once(' ')?.1, ',')
                .into_iter()
                .filter_map(|part| {
                    let (of, value) = part.split_once('=')?;
                    of.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
                })
                .collect()
        } else {
            split(&list, ',').into_iter().filter_map(|element| parameter(element, name)).collect()
        };
        values.dedup();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers.retain(|(of, _)| !is(of, name));
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        let at = self.headers.iter().position(|(of, _)| is(of, name));
        self.remove(name);
        self.headers.insert(at.unwrap_or(self.headers.len()), (name.to_owned(), value));
    }

    pub(super) fn add(&mut self, name: &str, value: String) {
        let last = self.headers.iter().rposition(|(of, _)| is(of, name));
        self.headers.insert(last.map_or(self.headers.len(), |at| at + 1), (name.to_owned(), value));
    }

    pub(super) fn replace_in(&mut self, name: &str, old: &str, new: &str) {
        for (_, value) in self.headers.iter_mut().filter(|(of, _)| is(of, name)) {
            *value = value.replace(old, new);
        }
    }

    pub(super) fn set_parameter(&mut self, name: &str, element: Option<usize>, parameter: &str, new: Option<&str>) {
        let mut number = 0;
        for (_, line) in self.headers.iter_mut().filter(|(of, _)| is(of, name)) {
            if is_digest(name) {
                *line = in_digest(line, parameter, new);
                continue;
            }
            let elements: Vec<String> = split(line, ',')
                .into_iter()
                .map(|text| {
                    number += 1;
                    if element.is_none_or(|wanted| wanted == number) {
                        in_element(text, parameter, new)
                    } else {
                        text.to_owned()
                    }
                })
                .collect();
            *line = elements.join(", ");
        }
    }

    pub(super) fn shape(&mut self, name: &str, shape: Shape) {
        let Some(list) = self.list(name) else { return };
        let mut elements: Vec<String> = split(&list, ',').into_iter().map(str::to_owned).collect();
        match shape {
            Shape::Reversed => elements.reverse(),
            Shape::First => elements.truncate(1),
            Shape::Last => drop(elements.drain(..elements.len() - 1)),
            Shape::Repeated => elements.extend(elements.first().cloned()),
            Shape::Lines => {
                let at = self.headers.iter().position(|(of, _)| is(of, name)).unwrap_or(self.headers.len());
                self.remove(name);
                let lines = elements.into_iter().map(|element| (name.to_owned(), element));
                self.headers.splice(at..at, lines);
                return;
            }
        }
        self.set(name, elements.join(", "));
    }

    /// States how long the body is, where that was stated before.
    pub(super) fn state_length(&mut self) {
        let len = self.body.len().to_string();
        for (_, value) in self.headers.iter_mut().filter(|(of, _)| is(of, "Content-Length")) {
            value.clone_from(&len);
        }
    }
}

/// A parameter of one element, as of Security-Client or Contact.
pub(crate) fn parameter<'t>(element: &'t str, name: &str) -> Option<&'t str> {
    split(element, ';').into_iter().skip(1).find_map(|part| {
        let (of, value) = part.split_once('=').unwrap_or((part, ""));
        of.trim().eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Parts of a list, not split in quotes nor in angle brackets.
pub(crate) fn split(text: &str, at: char) -> Vec<&str> {
    let (mut quoted, mut angled, mut start) = (false, false, 0);
    let mut parts = Vec::new();
    for (index, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            _ if c == at && !quoted && !angled => {
                parts.push(text[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts
}

fn in_element(element: &str, name: &str, new: Option<&str>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut is_there = false;
    for (index, part) in split(element, ';').into_iter().enumerate() {
        let of = part.split('=').next().unwrap_or(part).trim();
        if index == 0 || !of.eq_ignore_ascii_case(name) {
            parts.push(part.to_owned());
        } else if let Some(value) = new.filter(|_| !is_there) {
            parts.push(pair(of, value));
            is_there = true;
        }
    }
    if let Some(value) = new.filter(|_| !is_there) {
        parts.push(pair(name, value));
    }
    parts.join(";")
}

/// `Digest a=b, c="d"`
fn in_digest(line: &str, name: &str, new: Option<&str>) -> String {
    let Some((scheme, rest)) = line.split_once(' ') else { return line.to_owned() };
    let mut parts: Vec<String> = Vec::new();
    let mut is_there = false;
    for part in split(rest, ',') {
        let of = part.split('=').next().unwrap_or(part).trim();
        if !of.eq_ignore_ascii_case(name) {
            parts.push(part.to_owned());
        } else if let Some(value) = new {
            parts.push(pair(of, value));
            is_there = true;
        }
    }
    if let Some(value) = new.filter(|_| !is_there) {
        parts.push(pair(name, value));
    }
    format!("{scheme} {}", parts.join(", "))
}

fn pair(name: &str, value: &str) -> String {
    if value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
}

fn is_digest(name: &str) -> bool {
    ["Authorization", "WWW-Authenticate"].iter().any(|digest| digest.eq_ignore_ascii_case(name))
}

fn is(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str) -> SipText {
        let text = format!("REGISTER sip:a SIP/2.0\r\n{}\r\n\r\nbody", lines.replace('\n', "\r\n"));
        SipText::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn parameters_of_elements_and_of_digests() {
        let mut sip =
            text("Security-Client: ipsec-3gpp;alg=a;spi-c=1,ipsec-3gpp;alg=b;spi-c=2\nContact: <sip:u;x=1>;expires=5");
        sip.set_parameter("security-client", Some(2), "spi-c", Some("7"));
        sip.set_parameter("Security-Client", None, "alg", None);
        sip.set_parameter("Contact", None, "x", Some("2"));
        assert_eq!(sip.value("Security-Client"), Some("ipsec-3gpp;spi-c=1, ipsec-3gpp;spi-c=7"));
        assert_eq!(sip.value("Contact"), Some("<sip:u;x=1>;expires=5;x=2"));
        let mut sip = text("Authorization: Digest username=\"a,b\", nonce=\"x\", response=\"y\"");
        sip.set_parameter("Authorization", None, "nonce", Some("\"\""));
        sip.set_parameter("Authorization", None, "response", None);
        sip.set_parameter("Authorization", None, "nc", Some("1"));
        assert_eq!(sip.value("Authorization"), Some("Digest username=\"a,b\", nonce=\"\", nc=1"));
    }

    #[test]
    fn elements_take_other_shapes() {
        let mut sip = text("A: 1\nS: a, b\nS: c\nB: 2");
        sip.shape("S", Shape::Reversed);
        assert_eq!(sip.value("S"), Some("c, b, a"));
        sip.shape("S", Shape::Lines);
        let names: Vec<&str> = sip.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["A", "S", "S", "S", "B"]);
        sip.shape("S", Shape::Last);
        assert_eq!((sip.list("S").as_deref(), sip.headers.len()), (Some("a"), 3));
    }
}
