//! The main job: both pids told, the command's status back, what the command starts with.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::machine::live::live;
use crate::machine::{call, caller, can, finish, is_root, run, scratch, script, seclude, sh};

const MAIN: [&str; 5] = ["--unshare", "user,pid,mount,uts,ipc,net", "--user", "root", "--mount-proc"];

#[test]
fn the_main_job_is_root_inside_and_alone_but_for_its_init() {
    if !can(&["userns"]) {
        return;
    }
    let seen = sh(&MAIN, r#"id -u; echo $$; ls /proc | grep -c "^[0-9]""#);
    // ls may look before the shell has cloned grep.
    assert!(seen.out == "0\n2\n4\n" || seen.out == "0\n2\n3\n", "{seen:?}");
    assert_eq!(seen.status, Some(0), "{seen:?}");
    assert_eq!(sh(&MAIN, "echo /proc/[0-9]*; cat /proc/1/comm").out, "/proc/1 /proc/2\nseclude\n");
    let alone = [&MAIN[..], &["--as-pid1"]].concat();
    assert_eq!(sh(&alone, "echo $$ /proc/[0-9]*; cat /proc/1/comm; :").out, "1 /proc/1\nsh\n");
}

#[test]
fn the_line_on_standard_error_holds_the_kernel_s_own_pids() {
    if !can(&["userns"]) {
        return;
    }
    let mut job = live(&MAIN, "echo ready; read x");
    assert_eq!(job.line(), "ready");
    assert_eq!(job.told, format!("seclude: sh: real pid {}, isolated pid 2", job.real));
    let of = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<i32>>()
        };
        (field("PPid:")[0], field("NSpid:"))
    };
    let (init, pids) = of(job.real);
    assert_eq!(pids[pids.len() - 2..], [job.real, 2]);
    assert_eq!((of(init).0, of(init).1.last()), (job.pid(), Some(&1)));
    let ended = job.close();
    assert_eq!((ended.status, ended.err.as_str()), (Some(1), ""), "read fails at the end of input");
}

#[test]
fn both_pids_are_told_where_they_are_equal() {
    let mut job = live(&[], "echo $$; read x");
    let pid = job.line();
    assert_eq!(job.told, format!("seclude: sh: real pid {pid}, isolated pid {pid}"));
}

#[test]
fn a_launch_without_options_changes_nothing() {
    let script = "id; umask; pwd; cat /proc/self/cgroup; readlink /proc/self/ns/*; grep -E 'Cap|NoNew|Groups' /proc/self/status";
    let plain = run("sh", &["-c", script]);
    let secluded = sh(&["--quiet"], script);
    assert_eq!(secluded.seen(), plain.seen());
}

#[test]
fn the_status_is_the_command_s_own() {
    for status in [0, 1, 42, 124, 125, 255] {
        assert_eq!(sh(&["-q"], &format!("exit {status}")).seen(), (Some(status), "", ""));
    }
}

#[test]
fn a_signal_is_128_and_its_number() {
    for (signal, status) in [("HUP", 129), ("KILL", 137), ("SEGV", 139), ("TERM", 143)] {
        assert_eq!(sh(&["-q"], &format!("ulimit -c 0; kill -{signal} $$")).status, Some(status), "{signal}");
    }
}

#[test]
fn a_command_that_is_not_found_is_127() {
    let err = "seclude: exec: cannot execute nope-nope: no directory of PATH has it (ENOENT)\n";
    assert_eq!(call(&["nope-nope"]).seen(), (Some(127), "", err));
    let err = "seclude: exec: cannot execute /nope/nope: there is no such file (ENOENT)\n";
    assert_eq!(call(&["/nope/nope"]).seen(), (Some(127), "", err));
}

#[test]
fn a_script_without_its_interpreter_is_127_and_names_it() {
    let dir = scratch("script");
    let file = dir.join("script");
    script(&file, "#!/no/such/interpreter -x\n");
    let name = file.to_str().unwrap();
    let err = format!(
        "seclude: exec: cannot execute {name}: its interpreter /no/such/interpreter was not found (ENOENT)\n"
    );
    let seen = call(&["-q", name]);
    assert_eq!(seen.seen(), (Some(127), "", err.as_str()));
}

#[test]
fn a_command_that_can_t_be_executed_is_126() {
    let err = "seclude: exec: cannot execute /etc: it is a directory (EACCES)\n";
    assert_eq!(call(&["/etc"]).seen(), (Some(126), "", err));
    let err =
        "seclude: exec: cannot execute /etc/passwd: no one may execute it: its mode has no x (EACCES)\n";
    assert_eq!(call(&["/etc/passwd"]).seen(), (Some(126), "", err));
    let text = scratch("text").join("text");
    script(&text, "echo no interpreter is named\n");
    let name = text.to_str().unwrap();
    let rule = "it is neither a program of this machine's nor a script with a #! line (ENOEXEC)";
    let err = format!("seclude: exec: cannot execute {name}: {rule}\n");
    assert_eq!(call(&["-q", name]).seen(), (Some(126), "", err.as_str()));
}

#[test]
fn path_goes_on_past_a_file_that_can_t_be_executed() {
    let (blocked, good) = (scratch("blocked"), scratch("good"));
    fs::write(blocked.join("tool"), "#!/bin/sh\n").unwrap();
    script(&good.join("tool"), "#!/bin/sh\necho good\n");
    let path = |dirs: &str| format!("PATH={dirs}:/usr/bin:/bin");
    let both = format!("{}:{}", blocked.display(), good.display());
    assert_eq!(call(&["-q", "--env", &path(&both), "tool"]).seen(), (Some(0), "good\n", ""));
    let alone = call(&["-q", "--env", &path(&blocked.display().to_string()), "tool"]);
    let file = blocked.join("tool");
    let err = format!(
        "seclude: exec: cannot execute tool: {} is there, and may not be executed (EACCES)\n",
        file.display()
    );
    assert_eq!(alone.seen(), (Some(126), "", err.as_str()));
}

#[test]
fn mask_name_directory_and_environment_are_as_asked() {
    assert_eq!(sh(&["-q", "--umask", "027"], "umask").out, "0027\n");
    assert_eq!(sh(&["-q", "--chdir", "/usr"], "pwd").out, "/usr\n");
    assert_eq!(
        call(&["-q", "--argv0", "other name", "sh", "-c", "tr '\\0' '|' < /proc/$$/cmdline"])
            .out
            .split('|')
            .next(),
        Some("other name")
    );
    let seen = call(&["-q", "--clear-env", "--env", "A=1", "--env", "EMPTY=", "--env", "A=2=3", "env"]);
    assert_eq!(seen.out, "A=2=3\nEMPTY=\n");
    let words = ["-q", "--clear-env", "--env", "KEPT", "--env", "ABSENT", "env"];
    let mut command = Command::new(seclude());
    command.args(words).env("KEPT", "this").env("OTHER", "that").env_remove("ABSENT");
    assert_eq!(finish(&mut command).out, "KEPT=this\n");
    let mut command = Command::new(seclude());
    command
        .args(["-q", "--unset-env", "B", "env"])
        .env_clear()
        .env("A", "1")
        .env("B", "2")
        .env("PATH", "/usr/bin:/bin");
    let mut left: Vec<String> = finish(&mut command).out.lines().map(str::to_string).collect();
    left.sort();
    assert_eq!(left, ["A=1", "PATH=/usr/bin:/bin"]);
}

#[test]
fn words_and_variables_pass_byte_for_byte() {
    let script = r#"X="$(printf '\377\001')" "$0" -q sh -c 'printf "%s|%s|%s|" "$X" "$1" "$2"' sh "$(printf 'a\376\nb')" '' | od -An -tx1"#;
    assert_eq!(caller(script).out.split_whitespace().collect::<String>(), "ff017c61fe0a627c7c");
}

#[test]
fn a_working_directory_that_only_the_new_user_may_enter_is_entered() {
    if !can(&["root"]) {
        return;
    }
    // Root without the capability to pass over modes: the first try is refused, the second is the user's own.
    let dir = scratch("own");
    std::os::unix::fs::chown(&dir, Some(61_234), Some(61_234)).unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    let name = dir.to_str().unwrap();
    let drop = "-dac_override,-dac_read_search";
    let script = format!(
        r#"exec setpriv --bounding-set {drop} --inh-caps {drop} "$0" -q --user 61234:61234 -C {name} pwd"#
    );
    assert_eq!(caller(&script).seen(), (Some(0), format!("{name}\n").as_str(), ""));
}

#[test]
fn standard_input_is_the_command_s() {
    let mut job = live(&[], "read x; echo \"got $x\"; cat");
    job.say("one\ntwo\n");
    assert_eq!(job.line(), "got one");
    assert_eq!(job.line(), "two");
    assert_eq!(job.close().status, Some(0));
}

#[test]
fn no_child_is_left_where_the_exec_fails() {
    if !can(&["userns", "unshare", "strace"]) {
        return;
    }
    // All of a pid namespace: the shell that is PID 1, and whoever counts.
    let count = "for dir in /proc/[0-9]*; do read -r name < $dir/comm && echo $name; done 2>/dev/null";
    for options in ["", "--leftovers wait", "-n pid,mount --mount-proc", "-n time"] {
        let script = format!(
            r#"strace -f -qq -o /dev/null -e trace=execve -e inject=execve:error=E2BIG:when=2+ "$0" -q {options} sh -c 'echo ran'
            echo $?; {count}"#
        );
        let mut command = Command::new("unshare");
        command.args(["-r", "--pid", "--fork", "--mount", "--mount-proc", "sh", "-c", &script]);
        let seen = finish(command.arg(seclude()));
        assert!(seen.err.starts_with("seclude: exec: cannot execute sh: "), "{options}: {seen:?}");
        assert_eq!((seen.status, seen.out.as_str()), (Some(0), "126\nsh\n"), "{options}: {seen:?}");
    }
}

#[test]
fn a_command_without_a_new_pid_namespace_dies_by_a_signal_of_its_own() {
    let mut job = live(&[], "echo up; read x");
    assert_eq!(job.line(), "up");
    job.signal(Signal::SIGTERM);
    assert_eq!(job.end().status, Some(143));
}

#[test]
fn the_command_s_user_decides_nothing_for_root() {
    // The same line works for whoever types it: root and a plain user see the same inside.
    if !can(&["userns"]) {
        return;
    }
    let mine = sh(&["-q", "--unshare", "user", "--user", "root"], "id -u; id -g; cat /proc/self/uid_map");
    let outside = if is_root() { 0 } else { nix::unistd::geteuid().as_raw() };
    let words: Vec<&str> = mine.out.split_whitespace().collect();
    assert_eq!(words, ["0", "0", "0", &outside.to_string(), "1"]);
}

#[test]
fn the_main_job_works_in_a_user_namespace_that_denies_setgroups() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let script = format!(
        r#"exec unshare --user --map-root-user "$0" -q {} sh -c 'id -u; echo $$; cat /proc/self/setgroups'"#,
        MAIN.join(" ")
    );
    assert_eq!(caller(&script).seen(), (Some(0), "0\n2\ndeny\n", ""));
}
