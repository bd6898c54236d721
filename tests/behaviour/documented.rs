//! What the manual, the README and the help say of statuses, examples and the report, held against what the program does.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::helpers::with_helper;
use crate::machine::processes::until;
use crate::machine::{call, can, finish, scratch, script, seclude, sh};

fn read(name: &str) -> String {
    fs::read_to_string(format!("{}/{name}", env!("CARGO_MANIFEST_DIR"))).expect("a file of the house")
}

/// The lines of a section of the manual.
fn section(name: &str) -> String {
    let page = read("man/seclude.1");
    let rest = page.split_once(&format!("\n.Sh {name}\n")).unwrap_or_else(|| panic!("no {name}")).1;
    rest.split("\n.Sh ").next().expect("there is a first").to_string()
}

/// What each status means: as the table of the README has it, as the manual, and as the help.
fn tables() -> [(&'static str, BTreeMap<String, String>); 3] {
    let readme = read("README.md");
    let rows = readme.lines().filter_map(|line| {
        let [status, meaning] =
            <[&str; 2]>::try_from(line.strip_prefix("| ")?.split(" | ").collect::<Vec<_>>()).ok()?;
        status.starts_with('1').then(|| (status.replace(' ', ""), meaning.to_string()))
    });
    let manual = section("EXIT STATUS");
    let items = manual.split("\n.It ").filter_map(|item| {
        let (status, meaning) = item.split_once('\n')?;
        status.starts_with('1').then(|| (status.to_string(), meaning.replace('\n', " ")))
    });
    let help = call(&["--help"]).out.replace('\n', " ");
    let parts = help.split_once("Exit status: ").expect("the help has them").1.to_string();
    let parts = parts.split("; ").filter_map(|part| {
        let (status, meaning) = part.split_once(" where ")?;
        status.starts_with('1').then(|| (status.to_string(), meaning.to_string()))
    });
    [("README", rows.collect()), ("manual", items.collect()), ("help", parts.collect())]
}

#[test]
fn each_status_means_what_readme_manual_and_help_say_of_it() {
    let timeout = ["-q", "--timeout", "0.05"];
    let seen = [
        ("124", "time", sh(&timeout, "exec sleep 60").status),
        ("125", "refused or failed", call(&["--usr", "true"]).status),
        ("126", "can't be executed", call(&["/etc"]).status),
        ("127", "not found", call(&["/nope"]).status),
        ("128+N", "ended", sh(&["-q"], "kill -TERM $$").status.map(|status| status - 15)),
    ];
    for (name, table) in tables() {
        assert_eq!(
            table.keys().map(String::as_str).collect::<Vec<_>>(),
            seen.map(|(status, ..)| status),
            "{name}"
        );
        for (status, _, found) in seen {
            let number: i32 = status.trim_end_matches("+N").parse().unwrap();
            assert_eq!(found, Some(number), "{status}");
            // Its own word, and that of no other.
            let words: Vec<&str> = seen
                .iter()
                .filter(|(_, word, _)| table[status].contains(word))
                .map(|(status, ..)| *status)
                .collect();
            assert_eq!(words, [status], "{name}: {}", table[status]);
        }
    }
}

/// The examples of the manual, as scripts.
fn examples() -> Vec<String> {
    let text = section("EXAMPLES");
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match (&mut block, line) {
            (None, line) if line.starts_with(".Bd -literal") => block = Some(String::new()),
            (Some(_), ".Ed") => found.extend(block.take()),
            (Some(script), line) => *script += &format!("{line}\n"),
            (None, line) => found.extend(line.strip_prefix(".Dl ").map(|line| format!("{line}\n"))),
        }
    }
    found.into_iter().map(|script| script.replace("\\e", "\\")).collect()
}

/// What an example takes of the machine, by a word of it.
const TAKES: [(&str, &[&str]); 6] = [
    ("--user nobody", &["root"]),
    ("--user 1234:1234", &["root"]),
    ("--persist", &["root", "unshare"]),
    ("--map auto", &["subids"]),
    ("--unshare net --map self", &["userns"]),
    ("user", &["userns"]),
];

#[test]
fn each_example_of_the_manual_does_what_it_is_there_for() {
    let examples = examples();
    assert!(examples.len() >= 12 && examples.iter().all(|text| text.contains("seclude ")), "{examples:?}");
    for example in examples {
        let takes = TAKES.iter().find(|(word, _)| example.contains(word));
        if takes.is_some_and(|(_, words)| !can(words)) {
            continue;
        }
        // What is in /tmp and /run there is in a directory of the test's own, and so are the programs that it starts.
        let dir = scratch("example");
        for name in ["make", "ip", "ps"] {
            script(&dir.join(name), "#!/bin/sh\necho \"$0 ran\"\n");
        }
        let place = dir.to_str().unwrap();
        let text = example.replace("/tmp/", &format!("{place}/")).replace("/run/", &format!("{place}/"));
        let path = env::var_os("PATH").unwrap_or_default();
        let dirs = [dir.clone(), seclude().parent().unwrap().to_path_buf()]
            .into_iter()
            .chain(env::split_paths(&path));
        let mut command = match example.contains("umount") {
            true => {
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "private", "sh", "-euc", &text]);
                command
            }
            false => {
                let mut command = Command::new("sh");
                command.args(["-euc", &text]);
                command
            }
        };
        let seen = finish(command.env("PATH", env::join_paths(dirs).unwrap()).current_dir(&dir));
        assert_eq!(seen.status, Some(0), "{example}: {seen:?}");
        assert!(!seen.err.contains("cannot"), "{example}: {seen:?}");
        if example.contains("job.pid") {
            let last = || {
                let told = fs::read_to_string(dir.join("job.json")).unwrap_or_default();
                serde_json::from_str::<Value>(told.lines().last()?).ok()
            };
            until("the end of the job", || last().is_some_and(|record| record["event"] == "ended"));
            assert_eq!(last().unwrap()["signal"]["name"], "SIGTERM");
            assert!(!dir.join("job.pid").exists());
        }
    }
}

/// The members that the manual has for the report.
fn written() -> BTreeSet<String> {
    let text = section("REPORT");
    let macros = ["Va", "No", "Pq", "Po", "Pc", "Qq", "Ns", "Fl"];
    let lines = text.lines().filter(|line| line.starts_with(".Va ") || line.contains(" Va "));
    // Behind No is prose, until the next Va.
    let words = lines.flat_map(|line| {
        let mut is_member = false;
        line.trim_start_matches('.')
            .split_whitespace()
            .filter_map(move |word| {
                match word {
                    "Va" => is_member = true,
                    "No" => is_member = false,
                    _ => {}
                }
                let plain = word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
                (is_member && plain && !macros.contains(&word)).then(|| word.to_string())
            })
            .collect::<Vec<_>>()
    });
    words.collect()
}

/// The members of all objects within a value, but for the kinds of namespace.
fn members(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| members(value, into)),
        Value::Object(map) => {
            for (name, value) in map {
                if !crate::namespaces::KINDS.iter().any(|(kind, _)| kind == name) {
                    into.insert(name.clone());
                }
                members(value, into);
            }
        }
        _ => {}
    }
}

#[test]
fn the_members_of_the_report_are_those_of_the_manual() {
    if !can(&["root", "userns", "newuidmap"]) {
        return;
    }
    let new = ["-n", "user,net", "--user", "0:0", "--groups", "7"];
    let share =
        "--nice 19 --oom-score-adj 1000 --cpu-affinity 0 --sched batch --ioprio be:7 --rlimit core=0 true";
    let calls: [&[&str]; 9] = [
        &share.split(' ').collect::<Vec<_>>(),
        &["--dry-run", "-n", "net", "--persist", "net=/x", "--join", "uts=1", "--user", "7:7", "true"],
        &["--dry-run", "-n", "user", "--user", "0:0", "true"],
        &[&new[..], &["sh", "-c", "kill -TERM $$"]].concat(),
        &[&new[..], &["true"]].concat(),
        &["--no-new-privs", "--landlock-scope", "signal", "--landlock", "best-effort", "true"],
        &["/nope"],
        &["-n", "user", "--hostname", "x", "true"],
        &["--doctor", "-n", "user", "-C", "/nope"],
    ];
    let mut found = BTreeSet::new();
    let mut take = |text: &str| {
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            members(&record, &mut found);
        }
    };
    for words in calls {
        let seen = call(&[&["--report", "json"], words].concat());
        take(&seen.out);
        take(&seen.err);
    }
    take(&with_helper("exit 1", &["--report", "json"]).err);
    let written = written();
    let unwritten: Vec<_> = found.difference(&written).collect();
    let unfound: Vec<_> = written.difference(&found).collect();
    assert!(
        unwritten.is_empty() && unfound.is_empty(),
        "under REPORT of man/seclude.1, add {unwritten:?} and remove {unfound:?}"
    );
}
