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
        let mut rest = self.text;
        std::iter::from_fn(move || {
            let (name, value, after) = next(rest)?;
            rest = after;
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
        let mut rest = input;
        while let Some((name, value, after)) = next(rest) {
            see(name, value);
            rest = after;
        }
        let text = &input[..input.len() - rest.len()];
        let rest = grammar::after_lws(rest);
        if rest.starts_with([';', '=']) { Err("malformed parameter") } else { Ok((Self { text }, rest)) }
    }
}

/// The parameter at the start of `rest` with its `;`: name, value, and what follows.
#[inline]
fn next(rest: &str) -> Option<(&str, Option<&str>, &str)> {
    match grammar::usual_parameter(rest) {
        None if rest.is_empty() => None,
        None => grammar::next_parameter(rest).ok().map(|(after, (name, value))| (name, value, after)),
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
