//! Which S-CSCF serves a user (TS 29.228 clause 6.7, TS 24.229 clause 5.3.1.2).

use super::ScscfEntry;
use crate::cx::Capabilities;
use std::rc::Rc;

/// The S-CSCF for these capabilities: the operator's list in its order, then whoever has all mandatory capabilities
/// and most of the optional ones. None that was tried before.
pub(super) fn select<'n>(scscfs: &'n [ScscfEntry], wanted: &Capabilities<'n>, tried: &[Rc<str>]) -> Option<&'n str> {
    let fresh = |name: &str| !tried.iter().any(|t| t.eq_ignore_ascii_case(name));
    if let Some(name) = wanted.server_names.iter().find(|name| fresh(name)) {
        return Some(name);
    }
    let able = |s: &&ScscfEntry| wanted.mandatory.iter().all(|c| s.capabilities.contains(c));
    let mut best: Option<(usize, &ScscfEntry)> = None;
    for entry in scscfs.iter().filter(|s| fresh(&s.name)).filter(able) {
        let fit = wanted.optional.iter().filter(|c| entry.capabilities.contains(c)).count();
        // Of equals the first configured.
        if best.is_none_or(|(most, _)| fit > most) {
            best = Some((fit, entry));
        }
    }
    best.map(|(_, entry)| &*entry.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, capabilities: &[u32]) -> ScscfEntry {
        ScscfEntry { name: name.into(), capabilities: capabilities.to_vec() }
    }

    fn wanted<'a>(mandatory: &[u32], optional: &[u32], names: &[&'a str]) -> Capabilities<'a> {
        Capabilities { mandatory: mandatory.to_vec(), optional: optional.to_vec(), server_names: names.to_vec() }
    }

    #[test]
    fn all_mandatory_most_optional_first_configured() {
        let all = [entry("a", &[1]), entry("b", &[1, 2, 3]), entry("c", &[1, 2, 3, 4]), entry("d", &[9])];
        let pick = |m: &[u32], o: &[u32], tried: &[Rc<str>]| select(&all, &wanted(m, o, &[]), tried).map(str::to_owned);
        assert_eq!(pick(&[], &[], &[]).as_deref(), Some("a"));
        assert_eq!(pick(&[1], &[2, 3], &[]).as_deref(), Some("b"));
        assert_eq!(pick(&[1], &[2, 3, 4], &[]).as_deref(), Some("c"));
        assert_eq!(pick(&[1], &[2, 3], &["B".into()]).as_deref(), Some("c"));
        assert_eq!(pick(&[1, 9], &[], &[]), None);
        assert_eq!(pick(&[9], &[], &["d".into()]), None);
    }

    #[test]
    fn the_operators_list_comes_first_and_in_its_order() {
        let all = [entry("a", &[1])];
        let list = wanted(&[1], &[], &["x", "y"]);
        assert_eq!(select(&all, &list, &[]), Some("x"));
        assert_eq!(select(&all, &list, &["x".into()]), Some("y"));
        assert_eq!(select(&all, &list, &["x".into(), "y".into()]), Some("a"));
        assert_eq!(select(&all, &list, &["x".into(), "y".into(), "a".into()]), None);
    }
}
