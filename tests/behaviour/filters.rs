//! A command whose system calls are filtered: by a profile, by a compiled program, by names.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::machine::{STRANGER, call, call_as, can, scratch};

const PROFILE: &str = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
  {"names": ["mkdir", "mkdirat", "no_such_call"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
  {"names": ["uname"], "action": "SCMP_ACT_KILL_PROCESS"}]}"#;

/// All but what an exec and a shell's builtin take: what seclude itself needs before is not in it.
const STRICT: &str = r#"{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": [{"action": "SCMP_ACT_ALLOW", "names": ["execve", "brk",
  "mmap", "munmap", "mprotect", "arch_prctl", "set_tid_address", "set_robust_list", "rseq", "prlimit64", "getrandom", "openat",
  "read", "pread64", "fstat", "newfstatat", "close", "access", "write", "exit_group", "rt_sigaction", "getpid", "getppid",
  "getuid", "geteuid", "getgid", "getegid", "getcwd", "stat", "readlink", "faccessat2", "statx", "lseek"]}]}"#;

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let file = scratch("filters").join(name);
    fs::write(&file, bytes).expect("a file can be written");
    file
}

/// The ways in which a filter comes into force, each with who calls.
const WAYS: [(u32, &str); 7] = [
    (0, ""),
    (0, "--no-new-privs"),
    (0, "--user 65534:65534"),
    (0, "--exec --user 65534:65534 --no-new-privs"),
    (0, "-n pid,mount --mount-proc"),
    (STRANGER, "--no-new-privs"),
    (STRANGER, "-n user,pid --user 0:0"),
];

fn filtered(uid: u32, way: &str, options: &[&str], command: &[&str]) -> (Option<i32>, String, String) {
    let words: Vec<&str> = ["-q"]
        .iter()
        .copied()
        .chain(way.split_whitespace())
        .chain(options.iter().copied())
        .chain(command.iter().copied())
        .collect();
    let seen = if uid == 0 { call(&words) } else { call_as(uid, &words) };
    (seen.status, seen.out, seen.err)
}

#[test]
fn a_profile_answers_as_it_says_and_ends_who_makes_what_it_kills_for() {
    if !can(&["root", "userns", "perl", "x86_64"]) {
        return;
    }
    let profile = file("profile.json", PROFILE.as_bytes());
    let profile = ["--seccomp", profile.to_str().expect("text")];
    for (uid, way) in WAYS {
        let seen = filtered(uid, way, &profile, &["perl", "-e", "mkdir '/proc/none/x'; print $!+0"]);
        assert_eq!(seen, (Some(0), "28".to_string(), String::new()), "{uid} {way}");
        let (status, ..) = filtered(uid, way, &profile, &["perl", "-MPOSIX", "-e", "POSIX::uname()"]);
        // With --exec there is nobody who makes a status of it.
        assert!(
            status == Some(159) || way.starts_with("--exec") && status.is_none(),
            "{uid} {way}: {status:?}"
        );
    }
}

#[test]
fn the_system_call_that_a_command_was_ended_for_is_told() {
    if !can(&["root", "perl", "x86_64", "kernel-log"]) {
        return;
    }
    let profile = file("told.json", PROFILE.as_bytes());
    let profile = profile.to_str().expect("text");
    let ended = |options: &[&str], command: &[&str]| {
        let seen = call(&[options, &["--seccomp", profile], command].concat());
        seen.err.lines().last().expect("a record").to_string()
    };
    let uname = ["perl", "-MPOSIX", "-e", "POSIX::uname()"];
    // The kernel leaves out what comes too fast, and nothing is made up for it.
    let is_logged = |pid: &Value| {
        let log = Command::new("dmesg").output().expect("dmesg runs");
        String::from_utf8_lossy(&log.stdout)
            .lines()
            .any(|line| line.contains(&format!(" pid={pid} ")) && line.contains(" sig=31 "))
    };
    for way in [&[][..], &["-n", "pid"], &["-n", "pid", "--as-pid1"], &["--user", "65534", "--no-new-privs"]]
    {
        let record: Value =
            serde_json::from_str(&ended(&[way, &["--report", "json"]].concat(), &uname)).expect("JSON");
        let call = json!({ "number": 63, "name": "uname" });
        let expected = if is_logged(&record["real_pid"]) { call } else { Value::Null };
        assert_eq!(
            (&record["signal"]["name"], &record["system_call"]),
            (&json!("SIGSYS"), &expected),
            "{way:?}"
        );
    }
    let line = ended(&["-v"], &uname);
    let told = [
        "seclude: perl: ended by SIGSYS for its call of uname after ",
        "seclude: perl: ended by SIGSYS after ",
    ];
    assert!(told.iter().any(|told| line.starts_with(told)), "{line}");
    // A signal that somebody sent is no filter's.
    let line = ended(&["-v"], &["sh", "-c", "kill -SYS $$"]);
    assert!(line.starts_with("seclude: sh: ended by SIGSYS after "), "{line}");
}

#[test]
fn names_are_answered_with_eperm() {
    if !can(&["root", "userns", "perl"]) {
        return;
    }
    for (uid, way) in WAYS {
        let seen = filtered(
            uid,
            way,
            &["--deny-syscall", "mkdir,mkdirat"],
            &["perl", "-e", "mkdir '/proc/none/x'; print $!+0"],
        );
        assert_eq!(seen, (Some(0), "1".to_string(), String::new()), "{uid} {way}");
    }
    let rule =
        "seclude: plan: cannot take --deny-syscall: x86_64 has no system call mkdirr, did you mean mkdir?\n";
    if can(&["x86_64"]) {
        assert_eq!(call(&["--deny-syscall", "mkdirr", "true"]).seen(), (Some(125), "", rule));
    }
}

#[test]
fn a_filter_that_denies_the_exec_itself_is_named() {
    if !can(&["root"]) {
        return;
    }
    let err = "seclude: exec: cannot execute true: Operation not permitted (EPERM)\n\
               seclude: hint: a filter may deny execve: --seccomp and --deny-syscall hold for this call as well\n";
    let seen = filtered(0, "--no-new-privs", &["--deny-syscall", "execve"], &["true"]);
    assert_eq!((seen.1.as_str(), seen.2.as_str()), ("", err));
}

#[test]
fn with_no_new_privs_it_allows_nothing_for_seclude_s_own_sake() {
    if !can(&["root", "userns", "x86_64"]) {
        return;
    }
    let profile = file("strict.json", STRICT.as_bytes());
    let profile = ["--seccomp", profile.to_str().expect("text"), "--no-new-privs"];
    for (uid, way) in WAYS {
        let way = way.replace("--no-new-privs", "");
        let seen = filtered(uid, &way, &profile, &["sh", "-c", "echo ran"]);
        assert_eq!(seen, (Some(0), "ran\n".to_string(), String::new()), "{uid} {way}");
    }
}

#[test]
fn a_compiled_program_is_loaded_as_it_is() {
    if !can(&["root", "perl"]) {
        return;
    }
    // Loads the number; mkdir (83 of x86_64) is answered with 28.
    let program: [(u16, u8, u8, u32); 4] =
        [(0x20, 0, 0, 0), (0x15, 0, 1, 83), (0x06, 0, 0, 0x0005_0000 + 28), (0x06, 0, 0, 0x7fff_0000)];
    let bytes: Vec<u8> = program
        .iter()
        .flat_map(|(code, jt, jf, k)| [&code.to_ne_bytes()[..], &[*jt, *jf], &k.to_ne_bytes()].concat())
        .collect();
    let path = file("program.bpf", &bytes);
    let seen = filtered(
        0,
        "",
        &["--seccomp", path.to_str().expect("text")],
        &["perl", "-e", "mkdir '/proc/none/x'; print $!+0"],
    );
    if can(&["x86_64"]) {
        assert_eq!(seen, (Some(0), "28".to_string(), String::new()));
    }
    let path = file("half.bpf", &bytes[..12]);
    let shown = path.display();
    let rule = "a file that does not begin with { is compiled BPF, and a program is 1 to 4096 instructions of eight bytes";
    let err = format!("seclude: seccomp: cannot take {shown}: {rule}\n");
    assert_eq!(
        filtered(0, "", &["--seccomp", path.to_str().expect("text")], &["true"]),
        (Some(125), String::new(), err)
    );
    // One that the kernel does not take: it ends without a verdict.
    let path = file("endless.bpf", &bytes[..8]);
    let err = "seclude: seccomp: cannot filter system calls by 1 instructions: Invalid argument (EINVAL)\n"
        .to_string();
    assert_eq!(
        filtered(0, "", &["--seccomp", path.to_str().expect("text")], &["true"]),
        (Some(125), String::new(), err)
    );
}

#[test]
fn without_privilege_and_without_no_new_privs_there_is_no_filter() {
    if !can(&["root"]) {
        return;
    }
    let err = "seclude: plan: cannot filter system calls: that takes CAP_SYS_ADMIN, which the caller does not have\n\
               seclude: hint: add --no-new-privs, with which it takes no privilege\n";
    let seen = filtered(STRANGER, "", &["--deny-syscall", "mkdir"], &["true"]);
    assert_eq!(seen, (Some(125), String::new(), err.to_string()));
}

#[test]
fn an_oci_file_s_filter_is_the_command_s() {
    if !can(&["root", "perl"]) {
        return;
    }
    let with = |seccomp: &str| {
        let text = format!(
            r#"{{"ociVersion": "1.2.0", "process": {{"args": ["perl", "-e", "mkdir '/proc/none/x'; print $!+0"]}},
                "linux": {{"seccomp": {seccomp}}}}}"#
        );
        let path = file("config.json", text.as_bytes());
        let seen = call(&["-q", "--oci", path.to_str().expect("text")]);
        (seen.status, seen.out, seen.err.replace(path.to_str().expect("text"), "FILE"))
    };
    assert_eq!(with(PROFILE), (Some(0), "28".to_string(), String::new()));
    let (status, out, err) = with(r#"{"x": 1}"#);
    assert_eq!((status, out.as_str()), (Some(125), ""));
    assert!(
        err.starts_with("seclude: seccomp: cannot take FILE: it is no seccomp profile: unknown field `x`"),
        "{err}"
    );
}
