//! Man page, completions and README say what the program says: options, values, stages, kinds; and the shells complete them.

#[path = "machine/mod.rs"]
mod machine;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use clap::{Arg, ArgAction, CommandFactory};
use machine::{can, finish};
use seclude::failure::Stage;
use seclude::namespace::Kind;
use seclude::request::Request;

const COMPLETIONS: [&str; 3] =
    ["completions/seclude.bash", "completions/_seclude", "completions/seclude.fish"];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every option, `--help` and `--version` included.
fn options() -> Vec<Arg> {
    let mut command = Request::command();
    command.build();
    command.get_arguments().filter(|arg| arg.get_long().is_some()).cloned().collect()
}

fn longs() -> BTreeSet<String> {
    options().iter().filter_map(|arg| arg.get_long()).map(str::to_string).collect()
}

/// Every word after `--` that starts with a letter.
fn mentioned(text: &str) -> BTreeSet<String> {
    let starts = text.match_indices("--").filter(|(at, _)| !text[..*at].ends_with('-'));
    let word = |(at, _): (usize, &str)| {
        let rest = &text[at + 2..];
        let end = rest
            .find(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit() && c != '-')
            .unwrap_or(rest.len());
        rest[..end].to_string()
    };
    starts.map(word).filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect()
}

/// The line that heads an option in the man page.
fn heading(arg: &Arg) -> String {
    let long = arg.get_long().expect("an option has a long name");
    let short = arg.get_short().map(|short| format!("{short} , Fl ")).unwrap_or_default();
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let name = arg.get_value_names().filter(|_| takes).map(|names| names[0].as_str());
    let value = match name {
        None => String::new(),
        Some(name) if arg.is_require_equals_set() => format!(" Ns Oo = Ns Ar {name} Oc"),
        Some(name) => format!(" Ar {name}"),
    };
    format!(".It Fl {short}-{long}{value}")
}

#[test]
fn the_man_page_heads_every_option_and_no_other() {
    let page = read("man/seclude.1");
    let expected: BTreeSet<String> = options().iter().map(heading).collect();
    let found: BTreeSet<String> =
        page.lines().filter(|line| line.starts_with(".It Fl")).map(str::to_string).collect();
    let missing: Vec<_> = expected.difference(&found).collect();
    let extra: Vec<_> = found.difference(&expected).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "in man/seclude.1, add {missing:#?} and remove {extra:#?}"
    );
}

#[test]
fn the_man_page_tells_every_stage_and_kind() {
    let page = read("man/seclude.1");
    for stage in Stage::ALL {
        let row = format!(".It Cm {}\n{}.\n", stage.word(), stage.meaning());
        assert!(page.contains(&row), "under STAGES of man/seclude.1, write:\n{row}");
    }
    let words = page.split(|c: char| !c.is_ascii_alphanumeric()).collect::<BTreeSet<_>>();
    for kind in Kind::ALL {
        assert!(words.contains(kind.word()), "man/seclude.1 does not name the kind {kind}");
    }
}

#[test]
fn the_man_page_is_clean_mdoc() {
    if can(&["mandoc"]) {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/man/seclude.1");
        let lint = machine::run("mandoc", &["-Tlint", "-W", "warning", page]);
        assert_eq!((lint.status, lint.out.as_str()), (Some(0), ""));
    }
}

#[test]
fn each_completion_has_every_option_and_no_other() {
    for file in COMPLETIONS {
        let text = read(file);
        let found = match file.ends_with("fish") {
            // What fish declares; the other words with two hyphens are its own options.
            true => text
                .lines()
                .filter(|line| line.starts_with("complete -c seclude"))
                .filter_map(|line| line.split(" -l ").nth(1)?.split(' ').next().map(str::to_string))
                .collect(),
            false => mentioned(&text),
        };
        let expected = longs();
        let missing: Vec<_> = expected.difference(&found).collect();
        let extra: Vec<_> = found.difference(&expected).collect();
        assert!(missing.is_empty() && extra.is_empty(), "in {file}, add {missing:?} and remove {extra:?}");
    }
}

#[test]
fn each_completion_has_every_kind_and_every_value() {
    for file in COMPLETIONS {
        let text = read(file);
        let words: BTreeSet<_> = text.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        for kind in Kind::ALL {
            assert!(words.contains(kind.word()), "{file} does not know the kind {kind}");
        }
        for arg in options() {
            for value in arg.get_possible_values().iter().filter(|_| arg.get_action().takes_values()) {
                let name = value.get_name();
                assert!(words.contains(name), "{file} does not know {name} of --{}", arg.get_id());
            }
        }
    }
}

#[test]
fn the_readme_names_only_options_that_there_are() {
    let text = read("README.md");
    // Cargo's own, of the commands that build and test.
    let mut known = longs();
    known.extend(["release", "locked", "path", "target", "all-targets", "git"].map(str::to_string));
    let unknown: Vec<_> = mentioned(&text).difference(&known).cloned().collect();
    assert!(unknown.is_empty(), "README.md mentions {unknown:?}, which are no options");
}

/// What bash offers for a line that readline has split into these words.
fn bash(words: &[&str]) -> Vec<String> {
    let script = "source completions/seclude.bash; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); \
                  COMP_LINE=$LINE; COMP_POINT=${#LINE}; _seclude; printf '%s\\n' \"${COMPREPLY[@]}\"";
    let line = words.join(" ").replace(" : ", ":").replace(" = ", "=").replace(" :", ":").replace(" =", "=");
    let mut command = Command::new("bash");
    command.args(["--norc", "-c", script, "bash"]).args(words).env("LINE", line);
    let mut found: Vec<String> =
        finish(command.current_dir(env!("CARGO_MANIFEST_DIR"))).out.lines().map(str::to_string).collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn bash_completes_lists_users_and_the_command_itself() {
    if !can(&["bash"]) {
        return;
    }
    assert_eq!(bash(&["seclude", "--unshare", "user,pi"]), ["user,pid"]);
    assert_eq!(bash(&["seclude", "--unshare", "=", "user,pi"]), ["user,pid"]);
    assert_eq!(bash(&["seclude", "--join", "user,p"]), ["user,pid"]);
    assert_eq!(bash(&["seclude", "--user", "roo"]), ["root"]);
    assert_eq!(bash(&["seclude", "--user", "root", ":", "roo"]), ["root"]);
    assert_eq!(bash(&["seclude", "--gr"]), ["--group", "--groups"]);
    assert_eq!(bash(&["seclude", "--stop-signal", "TER"]), ["TERM"]);
    assert_eq!(bash(&["seclude", "--ok-status", "=", "3,TER"]), ["3,TERM"]);
    assert_eq!(
        bash(&["seclude", "--ok-status", "254,25"]),
        ["254,25", "254,250", "254,251", "254,252", "254,253", "254,255"]
    );
    assert_eq!(bash(&["seclude", "--pid-file", "src/mai"]), ["src/main.rs"]);
    assert!(bash(&["seclude", "-u", "root", "--", "bas"]).contains(&"bash".to_string()));
    assert_eq!(bash(&["seclude", "ls", "src/mai"]), ["src/main.rs"]);
    assert_eq!(bash(&["seclude", "ls", "--us"]), [""]);
}

#[test]
fn fish_completes_lists_and_the_command_itself() {
    if !can(&["fish"]) {
        return;
    }
    let fish = |line: &str| {
        let script = format!("source completions/seclude.fish; complete -C '{line}'");
        let mut command = Command::new("fish");
        command.args(["--no-config", "-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR"));
        let out = finish(&mut command).out;
        out.lines().filter_map(|line| line.split('\t').next()).map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(fish("seclude --unshare user,pi"), ["user,pid"]);
    assert_eq!(fish("seclude --stop-signal TER"), ["TERM"]);
    assert_eq!(fish("seclude --ok-status 3,TER"), ["3,TERM"]);
    assert_eq!(fish("seclude --ok-status 143,14").len(), 11);
    assert_eq!(fish("seclude --leftovers "), ["kill", "leave", "wait"]);
    assert!(fish("seclude -u root -- bas").contains(&"bash".to_string()));
}

/// A line for each option, its value included, that goes on with another option.
fn lines() -> Vec<Vec<String>> {
    let line = |arg: &Arg| {
        let long = format!("--{}", arg.get_long().expect("an option has a long name"));
        let takes = arg.get_action().takes_values() && !arg.is_require_equals_set();
        let value = takes.then(|| "1".to_string());
        ["seclude".to_string(), long].into_iter().chain(value).chain(["--unsha".to_string()]).collect()
    };
    options().iter().map(line).collect()
}

#[test]
fn bash_and_fish_know_which_options_take_the_next_word() {
    for line in lines().iter().filter(|_| can(&["bash"])) {
        let words: Vec<&str> = line.iter().map(String::as_str).collect();
        assert_eq!(bash(&words), ["--unshare"], "in completions/seclude.bash, {} is not understood", line[1]);
    }
    for line in lines().iter().filter(|_| can(&["fish"])) {
        let script = format!("source completions/seclude.fish; complete -C '{}'", line.join(" "));
        let mut command = Command::new("fish");
        let out =
            finish(command.args(["--no-config", "-c", &script]).current_dir(env!("CARGO_MANIFEST_DIR"))).out;
        assert!(
            out.starts_with("--unshare\t"),
            "in completions/seclude.fish, {} is not understood: {out}",
            line[1]
        );
    }
}

/// Waits for what zsh puts in place of a line on which TAB is pressed, in a terminal of its own.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty z "TERM=dumb zsh -f -i"
zpty -w z "fpath=($PWD/completions \$fpath); autoload -Uz compinit; compinit -u -D; print REA''DY"
zpty -r -m z seen '*READY*'
zpty -w -n z "$1"$'\t'
zpty -r -m z seen "*$2*"
zpty -d z
"#;

#[test]
fn zsh_completes_lists_and_groups() {
    if can(&["zsh"]) {
        for [line, wanted] in [
            ["seclude --unshare user,pi", "--unshare user,pid"],
            ["seclude --user root:roo", "--user root:root"],
            ["seclude --time-offset mono", "monotonic="],
            ["seclude --stop-signal XCP", "--stop-signal XCPU "],
            ["seclude --ok-status 3,TER", "--ok-status 3,TERM"],
            ["seclude --leftovers le", "--leftovers leave"],
            ["seclude --status rer", "--status reraise"],
            ["seclude --pid-file src/mai", "--pid-file src/main.rs"],
        ] {
            let mut command = Command::new("zsh");
            command.args(["-f", "-c", ZSH, "zsh", line, wanted]).current_dir(env!("CARGO_MANIFEST_DIR"));
            assert_eq!(finish(&mut command).status, Some(0), "{line} did not become {wanted}");
        }
    }
}

#[test]
fn zsh_and_shellcheck_find_no_fault() {
    let dir = env!("CARGO_MANIFEST_DIR");
    if can(&["zsh"]) {
        assert_eq!(machine::run("zsh", &["-n", &format!("{dir}/completions/_seclude")]).status, Some(0));
    }
    if can(&["shellcheck"]) {
        assert_eq!(machine::run("shellcheck", &[&format!("{dir}/completions/seclude.bash")]).out, "");
    }
}
