//! `;name=value` lists, checked once and read lazily.

use super::grammar;

/// Parameters of a header or a URI. Names compare in any case; unknown ones are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Params<'a> {
    /// From the first `;` on, or empty. White space and folds are allowed around `;` and `=` in headers.
    pub text: &'a str,
}

impl<'a> Params<'a> {
    /// All parameters in order: name, and value if there is `=`. A quoted value comes without its quotes, escapes
    /// unresolved.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        let (text, mut at) = (self.text, 0);
        std::iter::from_fn(move || {
            let (name, value, after) = next(text, at)?;
            at = after;
            Some((name, value))
        })
    }

    /// The first parameter of this name: `None` absent, `Some(None)` a flag.
    pub fn get(&self, name: &str) -> Option<Option<&'a str>> {
        self.iter().find(|(n, _)| grammar::same(n.as_bytes(), name.as_bytes())).map(|(_, value)| value)
    }

    /// The value of the first parameter of this name.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    /// True when the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Reads parameters from the start of `input` for as long as a `;` follows, shows each to `see`, and returns them
    /// with what is left. `Err`: a `;` without a parameter after it, or a value that is none.
    #[inline]
    pub(crate) fn take(
        input: &'a str,
        mut see: impl FnMut(&'a str, Option<&'a str>),
    ) -> Result<(Self, &'a str), &'static str> {
        let mut at = 0;
        while let Some((name, value, after)) = next(input, at) {
            see(name, value);
            at = after;
        }
        let (text, rest) = input.split_at(at);
        let rest = grammar::after_lws(rest);
        if rest.starts_with([';', '=']) { Err("malformed parameter") } else { Ok((Self { text }, rest)) }
    }
}

/// The parameter at `at` with its `;`: name, value, and where what follows begins.
#[inline]
fn next(text: &str, at: usize) -> Option<(&str, Option<&str>, usize)> {
    match grammar::usual_parameter(text, at) {
        None if at == text.len() => None,
        None => {
            let (after, (name, value)) = grammar::next_parameter(&text[at..]).ok()?;
            Some((name, value, text.len() - after.len()))
        }
        usual => usual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_found_in_any_case_with_or_without_value() {
        let (params, rest) = Params::take(";Tag=x ; lr;q=\"a;b\" , next", |_, _| ()).unwrap();
        assert_eq!(rest, ", next");
        assert_eq!(params.value("tag"), Some("x"));
        assert_eq!(params.get("LR"), Some(None));
        assert_eq!(params.value("q"), Some("a;b"));
        assert!(!params.has("x"));
    }

    #[test]
    fn separators_without_parameter_are_faults() {
        for text in [";", ";a;;", ";a;", ";=b", ";a=", ";a=;b"] {
            assert!(Params::take(text, |_, _| ()).is_err(), "{text}");
        }
    }
}
