//! Whether the house keeps its own rules: imports, charters, length, and where unsafe code, printing and crates may be.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines that a file may have before its unit tests.
const MAX_LINES: usize = 300;

/// A crate, the word that its use begins with, and the rooms that may use it.
const HOMES: &[(&str, &[&str])] = &[
    ("clap", &["request"]),
    ("landlock", &["plan"]),
    ("anyhow", &["main"]),
    ("users", &["host"]),
    ("serde", &["report", "request", "seccomp"]),
    ("serde_json", &["report", "request", "seccomp"]),
    ("caps", &["capability", "host", "plan", "seccomp"]),
    ("syscalls", &["seccomp"]),
];

struct Source {
    /// Below the crate's directory: `src/launch/child.rs`.
    path: String,
    text: String,
}

impl Source {
    /// The room that the file belongs to: `launch` of `src/launch/child.rs`.
    fn room(&self) -> &str {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
    }

    /// The code before the unit tests, line by line, without comments and with strings emptied.
    fn code(&self) -> impl Iterator<Item = (usize, String)> + '_ {
        let code = self.text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().enumerate().map(|(index, line)| (index + 1, bare(line)))
    }
}

/// A line without its comment and the insides of its strings.
fn bare(line: &str) -> String {
    let (mut out, mut inside, mut escaped) = (String::new(), false, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            // A quote as a character is no string.
            '\'' if !inside && chars.peek() == Some(&'"') => drop(chars.next()),
            '"' => inside = !inside,
            '/' if !inside && chars.peek() == Some(&'/') => break,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

fn sources(dir: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut found, mut dirs) = (Vec::new(), vec![root.join(dir)]);
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).expect("a directory of the house");
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        for path in paths {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a source is text");
                let path = path.strip_prefix(root).expect("below the root").to_string_lossy().into_owned();
                found.push(Source { path, text });
            }
        }
    }
    assert!(!found.is_empty(), "no source in {dir}");
    found
}

fn none(faults: Vec<String>, rule: &str) {
    assert!(faults.is_empty(), "{rule}:\n{}", faults.join("\n"));
}

/// Whether `word` stands in `line` as a word of its own.
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(part) && !line[at + word.len()..].starts_with(part))
}

#[test]
fn a_room_uses_only_rooms_told_before_it() {
    let lib = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).expect("the story");
    let story: Vec<&str> =
        lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    assert!(story.len() > 9, "{story:?}");
    let place = |room: &str| story.iter().position(|told| *told == room);
    let mut faults = Vec::new();
    for source in sources("src") {
        let Some(own) = place(source.room()) else { continue };
        for (number, line) in source.code() {
            for used in line.split("crate::").skip(1) {
                let room: String = used.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if place(&room).is_some_and(|other| other > own) {
                    faults.push(format!("{}:{number}: {room} is told later", source.path));
                }
            }
        }
    }
    none(faults, "a room uses only rooms told before it in src/lib.rs");
}

#[test]
fn each_file_begins_with_its_charter() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let without = all.filter(|source| {
        let first = source.text.lines().next().unwrap_or_default();
        !(first.starts_with("//! ") && first.ends_with('.')) && source.path != "src/lib.rs"
    });
    none(without.map(|source| source.path).collect(), "the first line of a file is its charter, a sentence");
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let all = ["src", "tests", "benches"].into_iter().flat_map(sources);
    let long = all.filter_map(|source| {
        let lines = source.code().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines", source.path))
    });
    none(long.collect(), "a file has 300 lines at most before its unit tests");
}

#[test]
fn unsafe_code_is_in_three_places_and_says_why_it_is_sound() {
    let mut faults = Vec::new();
    for source in sources("src") {
        let allowed = source.room() == "sys"
            || source.path.starts_with("src/launch/child")
            || source.path == "src/launch/init.rs";
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| has_word(line, "unsafe")) {
            if !allowed {
                faults.push(format!("{}:{number}: unsafe", source.path));
            }
            let around = lines[number.saturating_sub(12)..number].iter().chain(lines.get(number));
            let told = around.clone().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            if line.contains("unsafe {") && !told {
                faults.push(format!("{}:{number}: no SAFETY line", source.path));
            }
        }
    }
    none(
        faults,
        "unsafe code is in sys, launch/child and launch/init, with a SAFETY line at most 12 lines above",
    );
}

/// Whether `part` stands in `line` and no word runs into it.
fn begins(line: &str, part: &str) -> bool {
    line.match_indices(part).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Whether the crate `name` is used in `line`, and not a module of ours that is called like it.
fn uses(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let is_ours = |before: &str| before.strip_suffix("::").is_some_and(|before| before.ends_with(word));
    line.match_indices(&format!("{name}::"))
        .any(|(at, _)| !line[..at].ends_with(word) && !is_ours(&line[..at]))
}

#[test]
fn only_the_edge_prints_or_exits() {
    let words = ["println!", "eprintln!", "print!", "eprint!", "process::exit", "stdout()", "stderr()"];
    let mut faults = Vec::new();
    for source in sources("src").into_iter().filter(|source| source.path != "src/main.rs") {
        for (number, line) in source.code() {
            let word = words.iter().find(|word| begins(&line, word));
            if let Some(word) = word {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    none(faults, "only src/main.rs prints or exits");
}

#[test]
fn each_crate_has_its_home() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (number, line) in source.code() {
            for (name, rooms) in HOMES {
                if uses(&line, name) && !rooms.contains(&source.room()) {
                    faults.push(format!("{}:{number}: {name}", source.path));
                }
            }
        }
    }
    none(faults, "a dependency is used only where it is at home");
}

/// What reaches for the machine; of the crates that make system calls, the plan has types alone.
const IMPURE: [&str; 10] = [
    "std::fs",
    "std::env",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "rustix::",
    "users::",
];
/// The types of other crates that it may name.
const TYPES: [&str; 2] = ["nix::sys::signal::SigSet", "caps::Capability"];
/// Of our own, what asks the machine.
const ASKING: [&str; 10] = [
    "SigSet::thread_",
    "crate::sys",
    "crate::terminal",
    "crate::procfs",
    "crate::launch",
    "Host::probe",
    "crate::host::named",
    "Instant::now",
    "SystemTime::now",
    "Command::new",
];

#[test]
fn the_plan_makes_no_system_call() {
    let mut faults = Vec::new();
    for source in sources("src").into_iter().filter(|source| source.room() == "plan") {
        for (number, line) in source.code() {
            let types = TYPES.iter().fold(line.clone(), |line, name| line.replace(name, ""));
            let named = ["nix::", "libc::", "caps::"].iter().find(|word| begins(&types, word));
            let impure = IMPURE.iter().chain(&ASKING).find(|word| begins(&line, word));
            if let Some(word) = impure.or(named) {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
            // A path on which somebody asks whether it is there.
            let asks =
                [".exists()", ".is_file()", ".is_dir()", ".metadata()", ".canonicalize()", ".read_link()"];
            if let Some(word) = asks.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    none(faults, "src/plan reads nothing of the machine: it decides on what host has asked");
}

/// The words of the list of this name in tests/machine.
fn listed(name: &str) -> Vec<String> {
    let source = sources("tests").into_iter().find(|source| source.path == "tests/machine/ability.rs");
    let text = source.expect("it is there").text;
    let list = text.split_once(&format!("const {name}: ")).and_then(|(_, rest)| rest.split_once("];"));
    list.expect("a list").0.split('"').skip(1).step_by(2).map(str::to_string).collect()
}

#[test]
fn each_word_of_the_machine_is_asked_for() {
    let text: String = sources("tests")
        .into_iter()
        .filter(|source| source.path != "tests/machine/ability.rs")
        .map(|source| source.text)
        .collect();
    let unasked = ["WORDS", "PROGRAMS"].iter().flat_map(|name| listed(name)).filter(|word| {
        let word = format!("\"{word}\"");
        let asks = |line: &str| {
            (line.contains("can(&[") || line.contains("needs: &[") || line.contains(", &["))
                && line.contains(&word)
        };
        !text.lines().any(asks)
    });
    none(unasked.collect(), "a word that no test asks for could be promised in vain");
}

#[test]
fn nothing_is_left_for_later() {
    let mut faults = Vec::new();
    for source in sources("src") {
        for (index, line) in source.text.lines().enumerate() {
            if ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"].iter().any(|word| has_word(line, word)) {
                faults.push(format!("{}:{}: {}", source.path, index + 1, line.trim()));
            }
        }
    }
    none(faults, "what is known to be missing is an issue, not a comment");
}
