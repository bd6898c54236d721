//! What this machine can: promised, asked for, and told where it is absent.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

use super::is_root;

/// What a machine can, beside programs: `root` (in the initial user namespace), `plain` (whoever runs the tests is not root),
/// `resource` (beyond hard limits), `favour` (a niceness below 0 and real-time scheduling), `userns` (whoever runs the tests can
/// make user namespaces), `subids` (whoever runs the tests has grants and the helpers), `release` (the build is one), `x86_64`,
/// `landlock` (the kernel has its ABI 6), `libseccomp` (the C library is there), `seccomp.json` (so is the default profile of
/// containers), `kernel-log` (the kernel tells in its log which system call a filter has killed for, and root reads it).
const WORDS: [&str; 12] = [
    "root",
    "plain",
    "resource",
    "favour",
    "userns",
    "subids",
    "release",
    "x86_64",
    "landlock",
    "libseccomp",
    "seccomp.json",
    "kernel-log",
];
/// The programs that the tests ask for.
const PROGRAMS: [&str; 16] = [
    "bash",
    "cc",
    "fish",
    "ionice",
    "mandoc",
    "newuidmap",
    "perl",
    "prlimit",
    "python3",
    "setcap",
    "setpriv",
    "shellcheck",
    "strace",
    "taskset",
    "unshare",
    "zsh",
];

/// Whether this machine can do all of `words`. What SECLUDE_TEST_CAN lists and is absent fails, and so does what it lists
/// and nobody asks for; what is absent and unlisted is skipped aloud.
pub fn can(words: &[&str]) -> bool {
    let promised = std::env::var("SECLUDE_TEST_CAN").unwrap_or_default();
    let promised: Vec<&str> = promised.split(',').filter(|word| !word.is_empty()).collect();
    for word in promised.iter().chain(words) {
        let known = WORDS.contains(word) || PROGRAMS.contains(word);
        assert!(known, "{word} is no word of machine::can: {WORDS:?}, or a program of {PROGRAMS:?}");
    }
    let absent: Vec<_> = words.iter().filter(|word| !has(word)).collect();
    if let Some(word) = absent.iter().find(|word| promised.contains(word)) {
        panic!("SECLUDE_TEST_CAN promises {word}, and this machine can't");
    }
    if !absent.is_empty() {
        skipped(&format!("this machine lacks {absent:?}"));
    }
    absent.is_empty()
}

/// Says that the test at hand is left out, past the harness, which would keep it to itself.
pub fn skipped(why: &str) {
    let test = thread::current().name().unwrap_or("a test").to_string();
    let _ = std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes());
}

fn has(word: &str) -> bool {
    match word {
        "root" => is_root() && in_initial_user_namespace(),
        "plain" => !is_root(),
        "resource" => {
            let raised = "ulimit -n 6 && ulimit -n 16 2>/dev/null";
            Command::new("sh").args(["-c", raised]).status().is_ok_and(|s| s.success())
        }
        "favour" => {
            let favoured = r#"[ "$(nice -n -1 nice 2>/dev/null)" -lt "$(nice)" ]"#;
            Command::new("chrt")
                .args(["-f", "1", "sh", "-c", favoured])
                .output()
                .is_ok_and(|out| out.status.success())
        }
        "userns" => {
            Command::new("unshare").args(["-U", "true"]).output().is_ok_and(|out| out.status.success())
        }
        "subids" => {
            let mapped = "unshare -U --map-users=auto --map-groups=auto true 2>/dev/null";
            program("newuidmap")
                && Command::new("sh").args(["-c", mapped]).status().is_ok_and(|s| s.success())
        }
        "kernel-log" => {
            let told =
                "[ $(readlink /proc/self/ns/pid) = 'pid:[4026531836]' ] && ! pgrep -x auditd >/dev/null &&
                grep -q kill_process /proc/sys/kernel/seccomp/actions_logged && dmesg | grep -q audit:";
            Command::new("sh").args(["-c", told]).output().is_ok_and(|out| out.status.success())
        }
        "release" => !cfg!(debug_assertions),
        "x86_64" => cfg!(target_arch = "x86_64"),
        "landlock" => seclude::sys::landlock_abi() >= 6,
        "libseccomp" => {
            let listed = "PATH=$PATH:/sbin:/usr/sbin ldconfig -p | grep -q 'libseccomp[.]so[.]2 '";
            Command::new("sh").args(["-c", listed]).status().is_ok_and(|s| s.success())
        }
        "seccomp.json" => [
            "/usr/share/containers/seccomp.json",
            "/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json",
        ]
        .iter()
        .all(|path| Path::new(path).is_file()),
        name => program(name),
    }
}

pub fn program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(name).is_file())
}

fn in_initial_user_namespace() -> bool {
    fs::read_link("/proc/self/ns/user").is_ok_and(|link| link == Path::new("user:[4026531837]"))
}
