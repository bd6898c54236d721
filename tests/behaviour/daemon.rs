//! `--daemon` and `--pid-file`: back once the command runs and no earlier, or with the reason; nothing of the caller's is held.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::machine::processes::{Nap, number, send, status, until, words};
use crate::machine::{Outcome, call, caller, can, scratch, sh};

const NEW: [&str; 4] = ["-n", "user,pid", "--user", "0:0"];

struct Daemon {
    seen: Outcome,
    file: PathBuf,
    real: i32,
    nap: Nap,
}

/// A daemon that sleeps.
fn daemon(options: &[&str]) -> Daemon {
    let (nap, file) = (Nap::new(), scratch("daemon").join("pid"));
    let pid_file = ["--daemon", "--pid-file", file.to_str().unwrap()];
    let seen = call(&[&pid_file, options, &["sleep", &nap.0]].concat());
    let real = pid_in(&file);
    Daemon { seen, file, real, nap }
}

fn pid_in(file: &Path) -> i32 {
    let text = fs::read_to_string(file).unwrap();
    text.strip_suffix('\n').and_then(|pid| pid.parse().ok()).unwrap_or_else(|| panic!("{text:?} is no pid"))
}

/// The numbers of a process's stat from its parent on: parent, group, session, terminal.
fn kin(pid: i32) -> [i32; 4] {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let numbers = text.rsplit_once(") ").unwrap().1.split(' ').skip(1);
    numbers.take(4).map(|word| word.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap()
}

/// Where the standard streams of a process go.
fn streams(pid: i32) -> [String; 3] {
    [0, 1, 2].map(|fd| {
        let link = fs::read_link(format!("/proc/{pid}/fd/{fd}"));
        link.map(|link| link.to_string_lossy().into_owned()).unwrap_or_default()
    })
}

const NULL: &str = "/dev/null";
/// What has the place of the caller's streams.
const PLACE: &str = "anon_inode:[pidfd]";

#[test]
fn it_returns_with_the_report_while_the_command_runs() {
    let check = |options: &[&str], isolated: Option<i32>| {
        let daemon = daemon(options);
        let isolated = isolated.unwrap_or(daemon.real);
        let err = format!("seclude: sleep: real pid {}, isolated pid {isolated}\n", daemon.real);
        assert_eq!(daemon.seen.seen(), (Some(0), "", err.as_str()), "{options:?}");
        assert_eq!(words(daemon.real), format!("sleep {}", daemon.nap.0));
        assert_eq!(daemon.nap.sleepers(), [daemon.real]);
    };
    check(&[], None);
    if can(&["userns"]) {
        check(&NEW, Some(2));
        check(&[&NEW[..], &["--as-pid1"]].concat(), Some(1));
    }
}

#[test]
fn it_returns_no_earlier_than_the_exec() {
    if !can(&["strace"]) {
        return;
    }
    // The execve of the command is held; whoever returned before would see seclude where the command should be.
    let (nap, file) = (Nap::new(), scratch("exec").join("pid"));
    let script = format!(
        r#"strace -f -qq -o /dev/null -e trace=execve -e inject=execve:delay_enter=300000:when=2+ \
           sh -c '"$0" -q --daemon --pid-file {0} --env PATH=/usr/bin:/bin sleep {1}; read -r pid < {0}
                  tr "\0" " " < /proc/$pid/cmdline; kill -KILL $pid' "$0""#,
        file.display(),
        nap.0
    );
    assert_eq!(caller(&script).seen(), (Some(0), format!("sleep {} ", nap.0).as_str(), ""));
}

#[test]
fn a_failure_comes_back_with_its_reason_and_its_status() {
    let same = |options: &[&str], command: &str, status: i32| {
        let seen = call(&[&["-q", "--daemon"], options, &[command]].concat());
        assert_eq!(seen.status, Some(status), "{seen:?}");
        assert_eq!(seen.seen(), call(&[&["-q"], options, &[command]].concat()).seen());
    };
    same(&[], "/nope", 127);
    same(&[], "nope-nope", 127);
    same(&[], "/etc", 126);
    same(&["-C", "/nope"], "true", 125);
    same(&["--hostname", "x"], "true", 125);
    same(&["--report-to", "/nope/x"], "true", 125);
    if can(&["userns"]) {
        same(&NEW, "/nope", 127);
    }
    let seen = call(&["--daemon", "--report", "json", "/nope"]);
    let failed: Value = serde_json::from_str(seen.err.lines().last().unwrap()).unwrap();
    assert_eq!(
        (seen.status, &failed["event"], &failed["stage"]),
        (Some(127), &"failed".into(), &"exec".into())
    );
}

#[test]
fn a_pid_file_that_can_t_be_made_stops_the_launch() {
    for options in [&["-q"][..], &["-q", "--daemon"]] {
        let ran = scratch("ran").join("ran");
        let seen = call(&[options, &["--pid-file", "/nope/pid", "touch", ran.to_str().unwrap()]].concat());
        assert_eq!((seen.status, seen.out.as_str(), ran.exists()), (Some(125), "", false), "{options:?}");
        let told = "seclude: pid-file: cannot make /nope/pid: No such file or directory (ENOENT)\n";
        assert_eq!(seen.err, told);
    }
}

#[test]
fn a_launch_that_fails_leaves_the_place_of_its_pid_file_as_it_was() {
    for options in [&["-q"][..], &["-q", "--daemon"]] {
        let dir = scratch("fails");
        let file = dir.join("pid");
        let words = [options, &["--pid-file", file.to_str().unwrap(), "/nope"]].concat();
        assert_eq!(call(&words).status, Some(127));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "{options:?}");
        fs::write(&file, "old\n").unwrap();
        assert_eq!(call(&words).status, Some(127));
        assert_eq!(
            (fs::read_to_string(&file).unwrap(), fs::read_dir(&dir).unwrap().count()),
            ("old\n".into(), 1)
        );
    }
}

#[test]
fn the_pid_file_takes_its_place_by_rename() {
    let dir = scratch("rename");
    let (file, link) = (dir.join("pid"), dir.join("link"));
    fs::write(&file, "old\n").unwrap();
    fs::hard_link(&file, &link).unwrap();
    let nap = Nap::new();
    assert_eq!(
        call(&["-q", "--daemon", "--pid-file", file.to_str().unwrap(), "sleep", &nap.0]).status,
        Some(0)
    );
    // Who had the old file open still has it, whole.
    assert_eq!(fs::read_to_string(&link).unwrap(), "old\n");
    assert_eq!((pid_in(&file), fs::metadata(&file).unwrap().nlink()), (nap.sleepers()[0], 1));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "the draft is gone");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777 & !0o044, 0o600);
}

#[test]
fn the_pid_file_is_gone_with_the_command() {
    let check = |options: &[&str]| {
        let daemon = daemon(options);
        send(daemon.real, Signal::SIGKILL);
        until("the pid file's end", || !daemon.file.exists());
        assert_eq!(fs::read_dir(daemon.file.parent().unwrap()).unwrap().count(), 0);
    };
    check(&["-q"]);
    if can(&["userns"]) {
        check(&[&["-q"], &NEW[..]].concat());
    }
    let file = scratch("front").join("pid");
    let name = file.to_str().unwrap();
    let script = format!("until read -r pid < {name}; do :; done 2> /dev/null; echo $((pid == $$)); exit 4");
    assert_eq!(sh(&["-q", "--pid-file", name], &script).seen(), (Some(4), "1\n", ""));
    assert!(!file.exists());
}

#[test]
fn a_pid_file_that_is_somebody_else_s_by_then_is_left() {
    let daemon = daemon(&["-q"]);
    let other = daemon.file.with_file_name("other");
    fs::write(&other, "other\n").unwrap();
    fs::rename(&other, &daemon.file).unwrap();
    let seclude = number(daemon.real, "PPid");
    send(daemon.real, Signal::SIGKILL);
    until("seclude's end", || status(seclude, "State").is_none_or(|state| state[0] == "Z"));
    assert_eq!(fs::read_to_string(&daemon.file).unwrap(), "other\n");
}

#[test]
fn it_is_in_a_session_without_a_terminal_and_leads_a_group() {
    let daemon = daemon(&["-q"]);
    let [parent, group, session, terminal] = kin(daemon.real);
    assert_eq!((group, session, terminal), (daemon.real, parent, 0));
    assert_eq!(kin(parent)[1..], [parent, parent, 0], "seclude leads the session");
    let own = self::daemon(&["-q", "--new-session"]);
    assert_eq!(kin(own.real)[1..], [own.real, own.real, 0]);
}

#[test]
fn streams_that_somebody_may_wait_on_are_turned_to_dev_null() {
    let daemon = daemon(&["-q"]);
    assert_eq!(streams(daemon.real), [NULL; 3], "pipes");
    assert_eq!(streams(number(daemon.real, "PPid")), [PLACE; 3], "seclude's own: none of the caller's");
    let dir = scratch("streams");
    let place = |redirections: &str| {
        let (nap, file) = (Nap::new(), dir.join("pid"));
        let script = format!(
            r#"cd {}; "$0" -q --daemon --pid-file pid sleep {} {redirections}; echo $?"#,
            dir.display(),
            nap.0
        );
        assert_eq!(caller(&script).seen(), (Some(0), "0\n", ""), "{redirections}");
        let real = pid_in(&file);
        (streams(real), streams(number(real, "PPid")))
    };
    let log = dir.join("log").to_string_lossy().into_owned();
    let null = NULL.to_string();
    let (command, own) = place("< /etc/passwd > log 2>&1");
    assert_eq!((command, own), ([null.clone(), log.clone(), log.clone()], [PLACE; 3].map(String::from)));
    assert_eq!(place("> /dev/zero").0, [NULL, "/dev/zero", NULL], "a device has no reader who waits");
    assert_eq!(place("2> log").0, [null.clone(), null.clone(), log]);
    assert_eq!(place("<&- >&- 2>&-").0, [NULL; 3]);
}

#[test]
fn what_the_daemon_says_into_a_file_is_there() {
    let dir = scratch("says");
    let (log, pid) = (dir.join("log"), dir.join("pid"));
    let words = format!(
        r#"umask 027; cd {0}; "$0" -q --daemon --pid-file pid sh -c 'umask; pwd; echo err >&2; cat' > log 2>&1"#,
        dir.display()
    );
    assert_eq!(caller(&words).seen(), (Some(0), "", ""));
    until("the daemon's end", || !pid.exists());
    let expected = format!("0027\n{}\nerr\n", dir.display());
    assert_eq!(
        fs::read_to_string(&log).unwrap(),
        expected,
        "its mask and directory are the caller's, its input is empty"
    );
}

#[test]
fn nobody_who_reads_its_output_waits_for_the_daemon() {
    let check = |options: &str| {
        let nap = Nap::new();
        let script = format!(
            r#"x=$("$0" -q --daemon {options} sleep {0} 2>&1); echo "[$x] $?"; "$0" -q --daemon {options} sleep {0} 2>&1 | cat"#,
            nap.0
        );
        assert_eq!(caller(&script).seen(), (Some(0), "[] 0\n", ""), "{options}");
        assert_eq!(nap.until(2).len(), 2);
    };
    check("");
    check("--new-session");
    if can(&["userns"]) {
        check(&NEW.join(" "));
        check(&format!("{} --as-pid1", NEW.join(" ")));
    }
}

#[test]
fn its_time_and_its_end_are_kept_though_nobody_waits() {
    let log = scratch("log").join("log");
    let nap = Nap::new();
    let report = ["--report", "json", "--report-to", log.to_str().unwrap()];
    let words = [&["--daemon", "--timeout", "0.2"], &report[..], &["sleep", &nap.0]].concat();
    assert_eq!(call(&words).seen(), (Some(0), "", ""));
    let records = || {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    until("the record of the end", || records().len() == 2);
    let ended = &records()[1];
    assert_eq!((&ended["event"], &ended["ended_by"]), (&"ended".into(), &"timeout".into()));
    assert_eq!(nap.sleepers(), [0; 0]);
}

#[test]
fn a_killed_seclude_in_the_background_takes_a_pid_namespace_with_it() {
    if !can(&["userns"]) {
        return;
    }
    let daemon = daemon(&[&["-q"], &NEW[..]].concat());
    send(number(number(daemon.real, "PPid"), "PPid"), Signal::SIGKILL);
    daemon.nap.until(0);
}
