//! The table of SECURITY.md: each row is there, has a verdict, and names tests that there are, which name its holes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many rows each letter has.
const ROWS: [(char, usize); 3] = [('A', 10), ('B', 10), ('D', 12)];
const VERDICTS: [&str; 3] = ["holds", "in part", "not offered"];

struct Row {
    name: String,
    told: String,
    verdict: String,
    /// Of each, a file and a function of it.
    tests: Vec<(String, String)>,
}

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("SECURITY.md: {name}: {error}"))
}

fn rows() -> Vec<Row> {
    let text = read("SECURITY.md");
    let mut lines = text.lines().skip_while(|line| !line.starts_with("| row | ")).peekable();
    assert_eq!(lines.next(), Some("| row | what went wrong elsewhere | verdict | test |"));
    assert_eq!(lines.next(), Some("| --- | --- | --- | --- |"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [name, told, verdict, tests] = cells[..] else { panic!("four cells: {line}") };
        let test = |word: &str| {
            let inner = word.strip_prefix('`').and_then(|word| word.strip_suffix('`'));
            let split = inner.and_then(|inner| inner.split_once(": "));
            let (file, name) = split.unwrap_or_else(|| panic!("`FILE: TEST`: {word}"));
            (file.to_string(), name.to_string())
        };
        let tests = tests.split(", ").filter(|word| !word.is_empty()).map(test).collect();
        Row { name: name.to_string(), told: told.to_string(), verdict: verdict.to_string(), tests }
    };
    lines.take_while(|line| line.starts_with('|')).map(row).collect()
}

/// What is said above a test of a file; `None`: there is no such test.
fn comment(file: &str, name: &str) -> Option<String> {
    let text = read(file);
    let lines: Vec<&str> = text.lines().collect();
    let by_macro = |line: &str| {
        let words: Vec<_> = line.trim().trim_end_matches(';').split(' ').collect();
        line.starts_with("    ") && line.ends_with(';') && words.len() == 3 && words[0] == name
    };
    let head = |line: &str| line.trim_start_matches("pub ").starts_with(&format!("fn {name}()"));
    let at = lines.iter().position(|line| head(line) || by_macro(line))?;
    if by_macro(lines[at]) {
        return Some(String::new());
    }
    let above = lines[..at].iter().rev();
    let above: Vec<_> = above.take_while(|line| line.starts_with("///") || line.starts_with("#[")).collect();
    above.contains(&&"#[test]").then(|| above.into_iter().copied().collect())
}

/// The numbers of holes in a text.
fn holes(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_digit() || c == '-';
    let start =
        |at: usize| &text[at..at + 4 + text[at + 4..].find(|c| !is_part(c)).unwrap_or(text.len() - at - 4)];
    text.match_indices("CVE-").map(|(at, _)| start(at)).collect()
}

#[test]
fn each_row_is_there_once_and_in_order() {
    let expected: Vec<String> =
        ROWS.iter().flat_map(|(letter, count)| (1..=*count).map(move |n| format!("{letter}{n}"))).collect();
    assert_eq!(rows().into_iter().map(|row| row.name).collect::<Vec<_>>(), expected);
}

#[test]
fn each_verdict_is_shown_by_tests_that_there_are() {
    for Row { name, verdict, tests, .. } in rows() {
        let known = VERDICTS.iter().any(|word| verdict.split([':', ',']).next() == Some(word));
        assert!(known, "{name}: {verdict} is none of {VERDICTS:?}");
        assert_eq!(tests.is_empty(), verdict.starts_with("not offered"), "{name}: {verdict}, {tests:?}");
        let sentence = verdict == "holds" || verdict.contains(": ") || verdict.contains(", ");
        assert!(sentence, "{name}: {verdict} says what of it");
        for (file, test) in tests {
            assert!(comment(&file, &test).is_some(), "{name}: there is no test {test} in {file}");
        }
    }
}

#[test]
fn each_hole_is_named_where_it_is_tested() {
    let mut named = BTreeMap::new();
    for Row { name, told, tests, .. } in rows().into_iter().filter(|row| !row.tests.is_empty()) {
        let comments: String = tests.iter().filter_map(|(file, test)| comment(file, test)).collect();
        for hole in holes(&told) {
            assert!(holes(&comments).contains(&hole), "{name}: no comment of {tests:?} names {hole}");
            named.insert(hole.to_string(), name.clone());
        }
    }
    assert!(named.len() > 50, "{named:?}");
}
