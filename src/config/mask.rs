//! Key material in what is shown of a file.

/// `text` with everything that may be a key replaced by `..`: keys end up in wrong places, and a message must not print
/// them there either.
pub fn mask_value(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (word, is_key) in words(text) {
        out.push_str(if is_key { ".." } else { word });
    }
    out
}

/// A line with every character of a key replaced by a dot, so that columns stay.
pub(super) fn mask_line(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut secret = false;
    for (word, is_key) in words(line) {
        if !word.starts_with(is_word_character) {
            secret &= !word.contains([',', '}', ']', '#']);
            out.push_str(word);
        } else if is_key || secret {
            out.extend(word.chars().map(|_| '.'));
        } else {
            secret = SECRET_KEYS.contains(&word);
            out.push_str(word);
        }
    }
    out
}

/// Keys of a subscriber whose values are never shown.
pub(super) const SECRET_KEYS: [&str; 7] = ["k", "op", "opc", "top", "topc", "password", "ha1"];

/// The text cut into runs of word characters and of others; true for a run that looks like a key.
fn words(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let kind = is_word_character(first);
        let end = rest.find(|c| is_word_character(c) != kind).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        Some((word, kind && looks_like_key(word)))
    })
}

const fn is_word_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Longer than an IMSI or IMEI and mostly hexadecimal digits, a slip of the pen or two included; or a piece of a key
/// that a slip has cut or run into another word: eight hexadecimal digits in a row or more, letters and digits mixed.
fn looks_like_key(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let whole = word.len() >= 20 && digits * 10 >= word.len() * 8;
    let mixed = |run: &str| (1..run.len()).contains(&run.bytes().filter(u8::is_ascii_digit).count());
    whole || word.split(|c: char| !c.is_ascii_hexdigit()).any(|run| run.len() >= 8 && mixed(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "465b5ce8b199b49faa5f0a2ee238a6bc";

    #[test]
    fn keys_are_masked_wherever_they_are() {
        assert_eq!(mask_value(&format!("amf {K}")), "amf ..");
        assert_eq!(mask_value(&format!("k:{}x", &K[..30])), "k:..");
        assert_eq!(mask_value(&format!("{},{}", &K[..14], &K[14..])), "..,..");
        assert_eq!(mask_value("ge48a5994e37a02baf"), "..");
        assert_eq!(mask_value("001010000000001"), "001010000000001");
        assert_eq!(mask_value("ims.mnc001.mcc001.3gppnetwork.org"), "ims.mnc001.mcc001.3gppnetwork.org");
    }

    #[test]
    fn a_line_keeps_its_columns() {
        let line = format!("  - {{imsi: 1, k: {K}, opc: \"short\", amf: 8000}}");
        let masked = mask_line(&line);
        assert_eq!(masked, format!("  - {{imsi: 1, k: {}, opc: \".....\", amf: 8000}}", ".".repeat(32)));
        assert_eq!(mask_line("    k: zz-yy # old"), "    k: ..-.. # old");
    }
}
