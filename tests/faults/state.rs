//! What the kernel shows of a command as it begins, and the names of the system calls of a launch.

use std::fmt::Write;
use std::fs;

const FIELDS: [&str; 13] = [
    "Umask",
    "Uid",
    "Gid",
    "Groups",
    "SigBlk",
    "SigIgn",
    "CapInh",
    "CapPrm",
    "CapEff",
    "CapBnd",
    "CapAmb",
    "NoNewPrivs",
    "Seccomp",
];
const KINDS: [&str; 8] = ["user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time"];

/// Credentials, limits and priorities, signals, namespaces, maps, descriptors and directory of a process, so that equal states are equal text.
pub fn of(pid: i32) -> String {
    let read =
        |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_else(|e| e.to_string());
    let link =
        |pid: &str, file: &str| fs::read_link(format!("/proc/{pid}/{file}")).map_err(|e| e.to_string());
    let mut text = String::new();
    for line in read("status").lines() {
        match line.split_once(':') {
            Some(("NSpid", pids)) => {
                let inside: Vec<_> = pids.split_whitespace().skip(1).collect();
                let _ = writeln!(text, "NSpid inside: {inside:?}");
            }
            Some((name, value)) if FIELDS.contains(&name) => {
                let _ = writeln!(text, "{name}: {}", value.trim());
            }
            _ => {}
        }
    }
    for kind in KINDS {
        let file = format!("ns/{kind}");
        let is_new = link(&pid.to_string(), &file) != link("thread-self", &file);
        let _ = writeln!(text, "{kind}: {}", if is_new { "new" } else { "the caller's" });
    }
    for file in ["uid_map", "gid_map", "setgroups"] {
        let words: Vec<_> = read(file).split_whitespace().map(str::to_string).collect();
        let _ = writeln!(text, "{file}: {words:?}");
    }
    // Niceness, real-time priority and policy.
    let stat = read("stat");
    let share: Vec<_> = [18, 39, 40].iter().map(|field| stat.split(' ').nth(*field)).collect();
    let _ = writeln!(text, "share: {share:?}\noom_score_adj: {}\n{}", read("oom_score_adj"), read("limits"));
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let mut open: Vec<_> = open.map(|entry| entry.file_name()).collect();
    open.sort();
    let _ = writeln!(text, "descriptors: {open:?}");
    let _ = writeln!(text, "directory: {:?}", link(&pid.to_string(), "cwd"));
    let mounts = read("mountinfo").lines().filter(|line| line.contains(" /proc ")).count();
    let _ = writeln!(text, "mounts on /proc: {mounts}");
    text
}

macro_rules! names {
    ($($constant:ident)*) => {
        /// A call's name, for messages.
        pub fn name(number: i64) -> String {
            $(if number == libc::$constant { return stringify!($constant)[4..].to_string(); })*
            format!("call {number}")
        }
    };
}

names! {
    SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clone SYS_clone3 SYS_close SYS_close_range SYS_execve SYS_exit_group
    SYS_fcntl SYS_fstatfs SYS_futex SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getpid SYS_getrandom
    SYS_getresgid SYS_getresuid SYS_getuid SYS_ioctl SYS_madvise SYS_mmap SYS_mount SYS_mprotect SYS_munmap
    SYS_newfstatat SYS_openat SYS_pipe2 SYS_poll SYS_prctl SYS_pread64 SYS_read SYS_readlinkat SYS_readlink
    SYS_recvmsg SYS_rt_sigaction SYS_rt_sigprocmask SYS_sendto SYS_setgroups SYS_setresgid SYS_setresuid
    SYS_setsockopt SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_statfs SYS_statx SYS_umask SYS_unshare
    SYS_getpriority SYS_ioprio_get SYS_ioprio_set SYS_sched_getparam SYS_sched_getscheduler SYS_sched_setscheduler SYS_setpriority
    SYS_pidfd_send_signal SYS_prlimit64 SYS_sched_getaffinity SYS_waitid SYS_write
    SYS_fstat SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self
}
