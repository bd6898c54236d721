//! Where COMMAND is looked for: relative words and relative directories of PATH from the directory that the command will have.

use std::fs;
use std::path::PathBuf;

use crate::machine::{Outcome, can, finish, scratch, script, seclude};

/// A directory with `bin/tool`, which says that it is there, and how it was called.
fn there() -> PathBuf {
    let dir = scratch("there");
    fs::create_dir(dir.join("bin")).unwrap();
    script(&dir.join("bin/tool"), "#!/bin/sh\necho \"there $0\"\n");
    dir
}

fn call_from(directory: &std::path::Path, words: &[&str]) -> Outcome {
    finish(std::process::Command::new(seclude()).arg("-q").args(words).current_dir(directory))
}

const WAYS: [&[&str]; 2] = [&[], &["--exec"]];

#[test]
fn a_relative_command_is_of_the_directory_that_it_will_have() {
    let (here, there) = (scratch("here"), there());
    let dir = there.to_str().unwrap();
    for way in WAYS {
        for word in ["bin/tool", "./bin/tool", "bin/../bin/tool"] {
            let seen = call_from(&here, &[way, &["-C", dir, word]].concat());
            assert_eq!(seen.seen(), (Some(0), format!("there {word}\n").as_str(), ""), "{way:?}");
            let err = format!("seclude: exec: cannot execute {word}: No such file or directory (ENOENT)\n");
            let elsewhere = [way, &["-C", here.to_str().unwrap(), word]].concat();
            assert_eq!(call_from(&there, &elsewhere).seen(), (Some(127), "", err.as_str()), "{way:?}");
        }
    }
    let err = "seclude: exec: cannot execute bin/none: there is no such file (ENOENT)\n";
    assert_eq!(call_from(&there, &["bin/none"]).seen(), (Some(127), "", err));
}

#[test]
fn a_relative_directory_of_path_is_searched_from_there_too() {
    let (here, there) = (scratch("here"), there());
    let dir = there.to_str().unwrap();
    let err = "seclude: exec: cannot execute tool: no directory of PATH has it (ENOENT)\n";
    for way in WAYS {
        for (path, from, found) in [
            ("PATH=bin", dir, "bin/tool"),
            ("PATH=none:bin", dir, "bin/tool"),
            ("PATH=./bin:/usr/bin", dir, "./bin/tool"),
            ("PATH=:/usr/bin", &format!("{dir}/bin"), "./tool"),
            ("PATH=", &format!("{dir}/bin"), "./tool"),
        ] {
            let seen = call_from(&here, &[way, &["-C", from, "--env", path, "tool"]].concat());
            assert_eq!(seen.seen(), (Some(0), format!("there {found}\n").as_str(), ""), "{path} {way:?}");
            let elsewhere = [way, &["-C", here.to_str().unwrap(), "--env", path, "tool"]].concat();
            assert_eq!(call_from(&there, &elsewhere).seen(), (Some(127), "", err), "{path} {way:?}");
        }
    }
}

#[test]
fn a_path_of_one_directory_is_searched_as_one_of_many() {
    let there = there();
    let dir = there.to_str().unwrap();
    let file = format!("{dir}/bin/tool");
    let not_found = "seclude: exec: cannot execute tool: no directory of PATH has it (ENOENT)\n";
    for way in WAYS {
        let call =
            |path: &str| call_from(&there, &[way, &["--env", &format!("PATH={path}"), "tool"]].concat());
        assert_eq!(call(&format!("{dir}/bin")).seen(), (Some(0), format!("there {file}\n").as_str(), ""));
        for path in ["/nonexistent", "/etc/passwd", "/nonexistent:/etc/passwd", "/etc/passwd:/nonexistent"] {
            assert_eq!(call(path).seen(), (Some(127), "", not_found), "{path} {way:?}");
        }
    }
    fs::create_dir(there.join("tool")).unwrap();
    let err = format!(
        "seclude: exec: cannot execute tool: {dir}/tool is there, and may not be executed (EACCES)\n"
    );
    let seen = call_from(&there, &["--env", &format!("PATH={dir}"), "tool"]);
    assert_eq!(seen.seen(), (Some(126), "", err.as_str()));
}

#[test]
fn inside_a_new_root_it_is_looked_for_there() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    // The root is /usr, where a system has its bin.
    for (path, word, found) in
        [("PATH=/none", "/bin/true", 0), ("PATH=/bin", "true", 0), ("PATH=/usr/bin", "true", 127)]
    {
        for options in ["-n user --user 0:0 --root /usr", "-n user,mount --user 0:0 --root /usr"] {
            let mut words: Vec<&str> = options.split_whitespace().collect();
            // Its loader is outside of that root.
            words.extend(["--env", path, "--env", "LD_LIBRARY_PATH=/lib", word]);
            let seen = call_from(&scratch("here"), &words);
            let tried = matches!(seen.status, Some(0)) || seen.err.contains("interpreter");
            assert_eq!(found == 0, tried, "{words:?}: {seen:?}");
        }
    }
}
