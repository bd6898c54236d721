//! A command that Landlock restricts: to paths, to ports, to processes of its own.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{Outcome, STRANGER, call, call_as, can, finish, is_root, scratch, seclude};

/// The ways to the command, each with who calls: a plain user who runs the tests does so itself.
const WAYS: [(u32, &str); 5] = [
    (0, "--no-new-privs"),
    (0, "--no-new-privs --exec"),
    (0, "--no-new-privs --user 65534:65534"),
    (STRANGER, "--no-new-privs"),
    (STRANGER, "--no-new-privs -n user,pid --user 0:0"),
];

fn ways() -> impl Iterator<Item = (u32, &'static str)> {
    WAYS.into_iter().filter(|(uid, _)| *uid != 0 || is_root())
}

fn called(uid: u32, way: &str, options: &str, command: &[&str]) -> Outcome {
    let words: Vec<&str> = way.split_whitespace().chain(options.split_whitespace()).collect();
    let words = [&["-q"], &words[..], command].concat();
    if uid == 0 || !is_root() { call(&words) } else { call_as(uid, &words) }
}

/// A directory with two in it, `in` and `out`, each with a file `f`, that everyone may write to.
fn places() -> (PathBuf, String) {
    let dir = scratch("landlock");
    for name in ["in", "out"] {
        let below = dir.join(name);
        fs::create_dir(&below).expect("a directory can be made");
        fs::set_permissions(&below, Permissions::from_mode(0o777)).expect("its mode can be set");
        fs::write(below.join("f"), name).expect("a file can be written");
        fs::set_permissions(below.join("f"), Permissions::from_mode(0o666)).expect("its mode can be set");
    }
    let text = dir.to_str().expect("a scratch path is text").to_string();
    (dir, text)
}

/// All that a dynamic program reads, but for the scratch directories.
const SYSTEM: &str = "--landlock-read /usr --landlock-read /lib --landlock-read /etc";

#[test]
fn it_reads_where_it_may_and_nowhere_else() {
    if !can(&["userns", "landlock"]) {
        return;
    }
    let (_dir, dir) = places();
    for (uid, way) in ways() {
        let options = format!("{SYSTEM} --landlock-read {dir}/in");
        let script = format!(
            "cat {dir}/in/f; cat {dir}/out/f 2>/dev/null || echo -no; echo x >{dir}/out/f && ls {dir}/in"
        );
        let seen = called(uid, way, &options, &["sh", "-c", &script]);
        assert_eq!(seen.seen(), (Some(0), "in-no\nf\n", ""), "{uid} {way}");
        // A path is exact, and has to be there.
        let seen = called(uid, way, &format!("{SYSTEM} --landlock-read {dir}/ou"), &["true"]);
        let err = format!(
            "seclude: landlock: cannot make a rule for {dir}/ou: No such file or directory (ENOENT)\n"
        );
        assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{uid} {way}");
    }
}

#[test]
fn it_writes_where_it_may_and_nowhere_else() {
    if !can(&["userns", "landlock"]) {
        return;
    }
    for (uid, way) in ways() {
        let (_dir, dir) = places();
        let options = format!("--landlock-write {dir}/in --landlock-write /dev/null");
        let script = format!(
            "exec 2>/dev/null; echo a >{dir}/in/new && mv {dir}/in/new {dir}/in/f && mkdir {dir}/in/d && echo in; cat {dir}/out/f; \
             for try in 'mkdir {dir}/out/d' 'rm {dir}/out/f' 'mv {dir}/in/f {dir}/out/g' 'truncate -s 0 {dir}/out/f' \
                 'ln {dir}/out/f {dir}/out/g' 'ln -s x {dir}/out/s' 'mkfifo {dir}/out/p' 'tee {dir}/out/f'; \
             do $try </dev/null >/dev/null && echo \"$try\"; done; true"
        );
        let seen = called(uid, way, &options, &["sh", "-c", &script]);
        assert_eq!(seen.seen(), (Some(0), "in\nout", ""), "{uid} {way}");
        assert_eq!(fs::read_to_string(format!("{dir}/out/f")).expect("it is there"), "out");
        // A file alone.
        let script = format!("echo b >{dir}/in/f; (echo c >{dir}/out/f); rm {dir}/in/f; true");
        let seen = called(uid, way, &format!("--landlock-write {dir}/in/f"), &["sh", "-c", &script]);
        assert_eq!(seen.seen().0, Some(0), "{uid} {way}");
        let read = |name: &str| fs::read_to_string(format!("{dir}/{name}/f")).expect("it is there");
        assert_eq!((read("in").as_str(), read("out").as_str()), ("b\n", "out"), "{uid} {way}");
    }
}

#[test]
fn without_a_rule_for_writes_files_still_move() {
    if !can(&["landlock"]) {
        return;
    }
    let (_dir, dir) = places();
    let moved = format!("mv {dir}/out/f {dir}/in/g && ln {dir}/in/g {dir}/out/h && echo moved");
    let seen = called(0, "--no-new-privs", "--landlock-read /", &["sh", "-c", &moved]);
    assert_eq!(seen.seen(), (Some(0), "moved\n", ""));
}

#[test]
fn it_executes_what_it_may_and_a_refusal_says_what_counts() {
    if !can(&["userns", "landlock"]) {
        return;
    }
    let (_dir, dir) = places();
    fs::write(format!("{dir}/in/script"), "#!/bin/sh\necho ran\n").expect("a file can be written");
    fs::set_permissions(format!("{dir}/in/script"), Permissions::from_mode(0o755)).expect("our own");
    let script = format!("{dir}/in/script");
    for (uid, way) in ways() {
        let system = "--landlock-exec /usr --landlock-exec /lib";
        let seen = called(uid, way, &format!("{system} --landlock-exec {dir}/in"), &[&script]);
        assert_eq!(seen.seen(), (Some(0), "ran\n", ""), "{uid} {way}");
        let seen = called(uid, way, system, &["sh", "-c", &format!("{script} 2>/dev/null || echo denied")]);
        assert_eq!(seen.seen(), (Some(0), "denied\n", ""), "{uid} {way}");
        let err = format!(
            "seclude: exec: cannot execute {script}: Permission denied (EACCES)\n\
             seclude: hint: --landlock-exec has to cover the command, its loader, and the interpreter of a script\n"
        );
        for covered in [system.to_string(), format!("--landlock-exec {dir}/in")] {
            let seen = called(uid, way, &covered, &[&script]);
            assert_eq!(seen.seen(), (Some(126), "", err.as_str()), "{uid} {way} {covered}");
        }
    }
}

#[test]
fn it_connects_and_binds_by_port() {
    if !can(&["userns", "landlock", "python3"]) {
        return;
    }
    let listeners = [0, 1].map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free"));
    let [open, closed] = listeners.each_ref().map(|end| end.local_addr().expect("it is bound").port());
    let program = "import socket,sys\nfor p in sys.argv[2:]:\n s=socket.socket()\n \
                   try: getattr(s,sys.argv[1])(('127.0.0.1',int(p))); print('ok')\n except OSError as e: print(e.errno)";
    for (uid, way) in ways() {
        let [open, closed] = [open, closed].map(|port| port.to_string());
        let tried = |options: &str, verb: &str, ports: [&str; 2]| {
            called(uid, way, options, &["python3", "-c", program, verb, ports[0], ports[1]]).out
        };
        let rule = format!("--landlock-connect {open}");
        assert_eq!(tried(&rule, "connect", [&open, &closed]), "ok\n13\n", "{uid} {way}");
        // Another kind is free: it is in use, and not forbidden.
        assert_eq!(tried(&rule, "bind", ["0", &closed]), "ok\n98\n", "{uid} {way}");
        let rule = "--landlock-bind 0";
        assert_eq!(tried(rule, "bind", ["0", &closed]), "ok\n13\n", "{uid} {way}");
        assert_eq!(tried(rule, "connect", [&open, &closed]), "ok\nok\n", "{uid} {way}");
    }
}

#[test]
fn its_signals_and_abstract_sockets_stay_within() {
    if !can(&["userns", "landlock", "python3"]) {
        return;
    }
    let own = std::process::id();
    let kill = format!("kill -0 {own} 2>/dev/null || echo -n no; sleep 9 & kill $! && echo +own");
    let seen = called(0, "--no-new-privs", "--landlock-scope signal", &["sh", "-c", &kill]);
    assert_eq!(seen.seen(), (Some(0), "no+own\n", ""));
    let seen = called(0, "--no-new-privs", "--landlock-scope abstract-socket", &["sh", "-c", &kill]);
    assert_eq!(seen.seen(), (Some(0), "+own\n", ""));

    let name = format!("seclude-test-{own}");
    let address =
        <std::os::unix::net::SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(&name);
    let _listener =
        std::os::unix::net::UnixListener::bind_addr(&address.expect("a name")).expect("it is free");
    let program = "import socket,sys\ntry: socket.socket(socket.AF_UNIX).connect('\\0'+sys.argv[1]); print('ok')\n\
                   except OSError as e: print(e.errno)";
    for (scope, out) in [("abstract-socket", "1\n"), ("signal", "ok\n")] {
        let options = format!("--landlock-scope {scope}");
        let seen = called(0, "--no-new-privs", &options, &["python3", "-c", program, &name]);
        assert_eq!(seen.seen(), (Some(0), out, ""), "{scope}");
    }
}

#[test]
fn paths_are_those_of_the_command_s_root_and_directory() {
    if !can(&["userns", "landlock"]) {
        return;
    }
    let options = "-n user,pid,mount --user 0:0 --mount-proc --landlock-read /usr --landlock-read /lib --landlock-read /etc";
    let own = ["sh", "-c", "cat /proc/1/comm /proc/$$/stat >/dev/null && echo read"];
    let seen = called(0, "--no-new-privs", &format!("{options} --landlock-read /proc"), &own);
    assert_eq!(seen.seen(), (Some(0), "read\n", ""));
    assert_ne!(called(0, "--no-new-privs", options, &own).status, Some(0));
    let (_dir, dir) = places();
    let seen =
        called(0, "--no-new-privs", &format!("{SYSTEM} --chdir {dir}/in --landlock-read ."), &["cat", "f"]);
    assert_eq!(seen.seen(), (Some(0), "in", ""));
    // Of the old root: in the new one it is not there.
    let root = format!("-n user,mount --user 0:0 -R {dir} --landlock-read {dir}");
    let seen = called(0, "--no-new-privs", &root, &["true"]);
    let err =
        format!("seclude: landlock: cannot make a rule for {dir}: No such file or directory (ENOENT)\n");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
}

#[test]
fn the_report_tells_what_is_enforced_where_it_was_asked() {
    if !can(&["landlock"]) {
        return;
    }
    let enforced = |options: &[&str]| {
        let seen = call(&[&["--report", "json", "--no-new-privs"], options, &["true"]].concat());
        let started = seen.err.lines().find(|line| line.contains("\"started\"")).expect("it started");
        let started: Value = serde_json::from_str(started).expect("JSON");
        started["enforced"]["landlock"].clone()
    };
    let abi = seclude::sys::landlock_abi();
    assert_eq!(enforced(&["--landlock-read", "/"]), json!({ "abi": abi, "unenforced": [] }));
    assert_eq!(
        enforced(&["--landlock-scope", "signal", "--landlock", "best-effort"]),
        json!({ "abi": abi, "unenforced": [] })
    );
    assert_eq!(enforced(&[]), Value::Null);
}

#[test]
fn a_rule_of_files_does_not_hinder_what_seclude_writes() {
    if !can(&["landlock"]) {
        return;
    }
    let (_dir, dir) = places();
    let report = format!("{dir}/out/report");
    let options = format!("--exec --landlock-write /dev/null {SYSTEM} --report json --report-to {report}");
    let words: Vec<&str> = options.split(' ').collect();
    let seen = call(&[&["--no-new-privs"], &words[..], &["true"]].concat());
    assert_eq!(seen.seen(), (Some(0), "", ""));
    assert!(fs::read_to_string(&report).expect("a report").contains("\"landlock\""));
    let pid = format!("{dir}/out/pid");
    let seen = call(&["-q", "--no-new-privs", "--pid-file", &pid, "--landlock-write", "/dev/null", "true"]);
    assert_eq!(seen.seen(), (Some(0), "", ""));
}

#[test]
fn what_the_kernel_lacks_is_told_with_the_pids() {
    if !can(&["root", "landlock", "strace"]) {
        return;
    }
    // strace without -f answers the launcher alone, so that only the plan takes the kernel for an old one.
    let mut command = Command::new("strace");
    command.args(["-o", "/dev/null", "-e", "inject=landlock_create_ruleset:retval=1"]).arg(seclude());
    command.args(
        "-n pid --no-new-privs --landlock-write / --landlock-scope signal --landlock best-effort true"
            .split(' '),
    );
    let seen = finish(&mut command);
    let lacking = ", without refer, truncate, ioctl-dev, signal, which the kernel's Landlock lacks\n";
    assert!(seen.status == Some(0) && seen.err.ends_with(lacking), "{seen:?}");
}

#[test]
fn no_more_rulesets_than_the_kernel_takes_are_laid_upon_each_other() {
    if !can(&["landlock"]) {
        return;
    }
    let nested = |depth: usize| {
        let own = seclude();
        let words = ["-q", "--no-new-privs", "--landlock-connect", "1"];
        let inner = [&[own.to_str().expect("text")], &words[..]].concat();
        let words: Vec<&str> =
            words.into_iter().chain((1..depth).flat_map(|_| inner.clone())).chain(["true"]).collect();
        call(&words)
    };
    assert_eq!(nested(16).seen(), (Some(0), "", ""));
    let err = "seclude: landlock: cannot restrict connect by Landlock: Argument list too long (E2BIG)\n\
               seclude: hint: the kernel takes 16 rulesets, one upon another, and the caller is under as many\n";
    assert_eq!(nested(17).seen(), (Some(125), "", err));
}
