//! Below a seccomp filter that answers in the kernel's place that all is done: no descriptor and no capability gets through.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::machine::live::live_of;
use crate::machine::processes::{number, until};
use crate::machine::{Outcome, can, finish, seclude};

/// Has a call answered with 0 and not made: with no more than its number, or where its first argument is this as well.
fn answers_with_0(number: i64, first: Option<u32>) -> io::Result<()> {
    // Source: seccomp(2), linux/filter.h, linux/seccomp.h.
    const LOAD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO_0: u32 = 0x0005_0000;
    let line = |code, yes, no, k| libc::sock_filter { code, jt: yes, jf: no, k };
    let mut program = [
        line(LOAD, 0, 0, 0),
        line(JUMP_IF_EQUAL, 0, 3, number as u32),
        line(LOAD, 0, 0, 16),
        line(JUMP_IF_EQUAL, 0, 1, first.unwrap_or_default()),
        line(RETURN, 0, 0, ERRNO_0),
        line(RETURN, 0, 0, ALLOW),
    ];
    if first.is_none() {
        program[2] = line(RETURN, 0, 0, ERRNO_0);
    }
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the filter and its program outlive the call, and its length is that of the program.
    let answer = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn below(number: i64, first: Option<u32>, words: &[&str]) -> Outcome {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec 3</ 5</dev/null 7>/dev/null 9</etc/passwd; exec "$0" "$@""#]).arg(seclude());
    // SAFETY: two system calls between fork and exec.
    unsafe { command.pre_exec(move || answers_with_0(number, first)) };
    finish(command.args(words))
}

const LIST: &str = "for n in 3 4 5 6 7 8 9; do [ -e /proc/$$/fd/$n ] && echo $n; done; echo checked";

#[test]
fn no_descriptor_of_the_caller_s_is_left() {
    for way in [&["-q"][..], &["-q", "--exec"], &["-q", "--leftovers", "wait"]] {
        let seen = below(libc::SYS_close_range, None, &[way, &["sh", "-c", LIST]].concat());
        assert_eq!(seen.seen(), (Some(0), "checked\n", ""), "{way:?}");
        let kept = [way, &["--keep-fd", "5", "sh", "-c", LIST]].concat();
        let seen = below(libc::SYS_close_range, None, &kept);
        assert_eq!(seen.seen(), (Some(0), "5\nchecked\n", ""), "{way:?}");
    }
    if can(&["userns"]) {
        let new = ["-q", "-n", "user,pid,mount", "--mount-proc", "--user", "0:0"];
        for way in [&new[..], &[&new[..], &["--as-pid1"]].concat()] {
            let seen = below(libc::SYS_close_range, None, &[way, &["sh", "-c", LIST]].concat());
            assert_eq!(seen.seen(), (Some(0), "checked\n", ""), "{way:?}");
        }
    }
}

#[test]
fn none_of_the_caller_s_is_left_to_an_init_either() {
    if !can(&["root"]) {
        return;
    }
    let mut command = Command::new(seclude());
    command.args(["-n", "pid", "sh", "-c", "echo up; read x"]);
    // SAFETY: two system calls between fork and exec.
    unsafe { command.pre_exec(|| answers_with_0(libc::SYS_close_range, None)) };
    let mut job = live_of(&mut command);
    assert_eq!(job.line(), "up");
    let init = number(job.real, "PPid");
    let link = |fd: std::fs::DirEntry| std::fs::read_link(fd.path()).unwrap().into_os_string().into_string();
    let held = || {
        let fds = std::fs::read_dir(format!("/proc/{init}/fd")).unwrap();
        fds.map(|fd| link(fd.unwrap()).unwrap().chars().take_while(|c| *c != '[').collect())
            .collect::<Vec<String>>()
    };
    until("an init that holds what it needs", || held().len() == 2);
    let mut held = held();
    held.sort();
    assert_eq!(held, ["anon_inode:", "socket:"]);
}

#[test]
fn capabilities_that_stay_are_seen() {
    if !can(&["root"]) {
        return;
    }
    let not_so = "the kernel agreed, and a second look shows something else";
    let drop = Some(libc::PR_CAPBSET_DROP as u32);
    let seen = below(libc::SYS_prctl, drop, &["-q", "--user", "1234:1234", "echo", "ran"]);
    let err = format!("seclude: bounding: cannot empty the bounding set: {not_so}\n");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
    let set = Some(libc::PR_SET_PDEATHSIG as u32);
    let seen = below(libc::SYS_prctl, set, &["-q", "-n", "pid", "--as-pid1", "echo", "ran"]);
    let err = format!("seclude: death-signal: cannot set the parent-death signal to SIGKILL: {not_so}\n");
    assert_eq!(seen.seen(), (Some(125), "", err.as_str()));
}

#[test]
fn a_process_that_could_be_traced_does_not_enter_a_namespace() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let set = Some(libc::PR_SET_DUMPABLE as u32);
    for way in [&["-q"][..], &["-q", "--exec"]] {
        let mut host = crate::machine::live::live(&["-n", "net"], "echo up; read x");
        assert_eq!(host.line(), "up");
        let join = format!("net={}", host.real);
        let seen = below(libc::SYS_prctl, set, &[way, &["--join", &join, "echo", "ran"]].concat());
        let not_so = "the kernel agreed, and a second look shows something else";
        let err = format!("seclude: join: cannot become undumpable: {not_so}\n");
        assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{way:?}");
    }
}
