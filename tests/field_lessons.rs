//! `docs/field-lessons.md` says which test holds which lesson: every lesson is there once, and every test named is.

use std::fs;
use std::path::Path;

#[test]
fn every_lesson_has_a_test_that_exists_or_a_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("docs/field-lessons.md")).expect("the table");
    let mut numbers = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| |")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, number, lesson, held_by, _] = cells[..] else { panic!("three cells expected: {line}") };
        let Ok(number) = number.parse::<u32>() else { continue };
        numbers.push(number);
        assert!(!lesson.is_empty());
        let tests: Vec<(&str, &str)> =
            held_by.split("[`").skip(1).filter_map(|rest| rest.split_once("`](../")).collect();
        if tests.is_empty() {
            let reason = held_by.strip_prefix("not held here: ").unwrap_or_default();
            assert!(reason.len() > 20, "lesson {number} has neither test nor reason");
        }
        for (name, rest) in tests {
            let path = rest.split(')').next().expect("a link");
            let source = fs::read_to_string(root.join(path)).unwrap_or_else(|e| panic!("lesson {number}: {path}: {e}"));
            let at =
                source.find(&format!("fn {name}(")).unwrap_or_else(|| panic!("lesson {number}: no {name} in {path}"));
            let before = &source[source[..at].rfind("\n\n").unwrap_or(0)..at];
            assert!(before.contains("test]"), "lesson {number}: {name} in {path} is no test");
        }
    }
    assert_eq!(numbers, (1..=90).collect::<Vec<_>>());
}
