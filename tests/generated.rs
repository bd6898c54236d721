//! Man page, completions and README say what the program says: options, values, stages, kinds.

#[path = "machine/mod.rs"]
mod machine;

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::{Arg, ArgAction, CommandFactory};
use machine::{Outcome, can};
use seclude::failure::Stage;
use seclude::namespace::Kind;
use seclude::request::Request;

const COMPLETIONS: [&str; 3] =
    ["completions/seclude.bash", "completions/_seclude", "completions/seclude.fish"];

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
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

/// What the man page says of an option, up to the next heading.
fn told<'a>(page: &'a str, arg: &Arg) -> &'a str {
    let start = page.find(&format!("\n{}\n", heading(arg))).expect("a heading") + 1;
    let text = &page[start..];
    let end = text.match_indices("\n.It Fl").chain(text.match_indices("\n.Sh")).map(|(at, _)| at).min();
    &text[..end.unwrap_or(text.len())]
}

#[test]
fn the_man_page_says_which_options_are_repeatable() {
    let page = read("man/seclude.1");
    // Said in other words.
    let otherwise = [
        ("groups", "Lists may be repeated"),
        ("map-gid", "The same for group ids"),
        ("time-offset", "Once for each clock."),
    ];
    for arg in options() {
        let long = arg.get_long().expect("an option has a long name");
        let other = otherwise.iter().find(|(option, _)| *option == long).map(|(_, words)| *words);
        let says = told(&page, &arg).contains(other.unwrap_or("Repeatable"));
        let is = matches!(arg.get_action(), ArgAction::Append);
        assert_eq!(says, is, "whether --{long} is repeatable, by man/seclude.1 and by the program");
    }
}

#[test]
fn the_man_page_quotes_messages_that_there_are() {
    let page = read("man/seclude.1").replace("\\\n", "");
    let quoted: Vec<&str> =
        page.lines().filter_map(|line| line.strip_prefix(".It Li \"")?.strip_suffix('"')).collect();
    let held = |outcome: &Outcome| {
        assert_eq!((outcome.status, outcome.out.as_str()), (Some(125), ""), "{outcome:?}");
        let first = outcome.err.lines().next().unwrap_or_default();
        let message = first.strip_prefix("seclude: ").unwrap_or(first);
        assert!(quoted.contains(&message), "man/seclude.1 has no {message:?} among {quoted:#?}");
    };
    let cases: &[&[&str]] = &[
        &["--unshare", "user", "--map-uid", "0:0:1", "--map-gid", "0:0:1", "--user", "1234:0", "true"],
        &["--user", "4242", "true"],
        &["--pid-file", "/dev/null", "true"],
    ];
    for case in cases {
        held(&machine::call(case));
    }
    if can(&["root"]) {
        let copy = machine::scratch("secure").join("seclude");
        machine::copied(machine::seclude(), &copy);
        fs::set_permissions(&copy, Permissions::from_mode(0o4755)).expect("our own file");
        let mut command = Command::new(&copy);
        command.arg("true").uid(machine::STRANGER).gid(machine::STRANGER).current_dir("/");
        held(&machine::finish(&mut command));
    }
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
                let is_known = words.contains(name) || name.contains('-') && text.contains(name);
                assert!(is_known, "{file} does not know {name} of --{}", arg.get_id());
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
