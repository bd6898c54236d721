//! The examples of the README, run as they stand there, with the output that they show.

use std::env;
use std::fs;
use std::process::Command;

use crate::machine::{can, finish, scratch, seclude};

/// The examples that only root can run, by a word of theirs.
const ROOT_ONLY: &[&str] = &["--user nobody"];
/// The examples that need no user namespace.
const ALWAYS: &[&str] = &["--user nobody", "--nice 10", "--dry-run", "4294967296"];

/// Each shell block that a block of output follows.
fn examples() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = fs::read_to_string(path).expect("the README is there");
    let shown = text.split("```sh\n").skip(1).filter_map(|rest| {
        let (script, after) = rest.split_once("```\n")?;
        let output = after.strip_prefix("```text\n")?.split_once("```").map(|(output, _)| output)?;
        Some((script.to_string(), output.to_string()))
    });
    shown.collect()
}

#[test]
fn there_are_nine_examples_and_each_shows_its_output() {
    assert_eq!(examples().len(), 9);
}

#[test]
fn each_example_does_what_it_shows() {
    for (script, output) in examples() {
        let has = |words: &[&str]| words.iter().any(|word| script.contains(word));
        if !has(ALWAYS) && !can(&["userns"]) || has(ROOT_ONLY) && !can(&["root"]) {
            continue;
        }
        let path = env::join_paths(
            [seclude().parent().expect("it is in a directory").to_path_buf()]
                .into_iter()
                .chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
        );
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).env("PATH", path.expect("no directory has a colon"));
        let seen = finish(shell.current_dir(scratch("readme")));
        assert_eq!(
            (seen.status, seen.out.as_str(), seen.err.as_str()),
            (Some(0), output.as_str(), ""),
            "{script}"
        );
    }
}

#[test]
fn the_main_job_is_the_one_of_the_readme() {
    if !can(&["userns"]) {
        return;
    }
    let text =
        fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README is there");
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("cargo run --release -- "))
        .expect("it has the main job");
    let seen = finish(Command::new("sh").args(["-euc", &format!("{} {line}", seclude().display())]));
    assert_eq!((seen.status, seen.out.as_str()), (Some(0), "0\n2\n4\n"));
    assert!(
        seen.err.starts_with("seclude: sh: real pid ") && seen.err.ends_with(", isolated pid 2\n"),
        "{}",
        seen.err
    );
}
