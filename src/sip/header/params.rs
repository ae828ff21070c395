//! `;name=value` lists, checked once and read lazily.

/// Parameters of a header or a URI. Names compare in any case; unknown ones are kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Params<'a> {
    /// From the first `;` on, or empty. White space and folds are allowed around `;` and `=` in headers.
    pub text: &'a str,
}

impl<'a> Params<'a> {
    /// All parameters in order: name, and value if there is `=`. A quoted value comes without its quotes, escapes
    /// unresolved.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Option<&'a str>)> + use<'a> {
        std::iter::empty()
    }

    /// The first parameter of this name: `None` absent, `Some(None)` a flag.
    pub fn get(&self, _name: &str) -> Option<Option<&'a str>> {
        todo!()
    }

    /// The value of the first parameter of this name.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.get(name).flatten()
    }

    /// True when the parameter is there, with or without a value.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}
