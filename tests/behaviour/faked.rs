//! System calls that say that they were done, and were not: what was asked for is looked at again, and its absence refused.

use std::process::Command;

use crate::machine::live::live;
use crate::machine::{Outcome, can, finish, is_root, scratch, seclude};

const NOT_SO: &str = "the kernel agreed, and a second look shows something else";

/// A call whose `fault` is not made, and answered with 0.
fn faked(fault: &str, options: &str) -> Outcome {
    let call = fault.split(':').next().unwrap();
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
    command.args(["-e", &format!("inject={}:retval=0{}", call, &fault[call.len()..])]).arg(seclude());
    command.arg("-q").args(options.split_whitespace()).args(["sh", "-c", "echo ran"]);
    // Who fakes every ioctl(2) makes a terminal of standard error as well.
    finish(command.env("NO_COLOR", "1").current_dir("/"))
}

fn refused(fault: &str, options: &str, message: &str) {
    let seen = faked(fault, options);
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}\n").as_str()), "{fault} {options}");
}

#[test]
fn where_the_command_is() {
    if !can(&["strace"]) {
        return;
    }
    refused("chdir", "-C /usr", &format!("chdir: cannot enter /usr: {NOT_SO}"));
    refused("umask", "--umask 27", &format!("umask: cannot set the file mode mask to 0027: {NOT_SO}"));
    refused("setsid", "--new-session", &format!("session: cannot start a session of its own: {NOT_SO}"));
    if can(&["root"]) {
        let dir = scratch("root");
        let dir = dir.display();
        let object = format!("change the root to {dir}");
        let chroot = format!("root: cannot {object} by chroot, which holds nobody: {NOT_SO}");
        refused("chroot", &format!("--root {dir}"), &chroot);
        let pivoted = format!("-n mount --root {dir}");
        refused("umount2", &pivoted, &format!("root: cannot unmount the old root: {NOT_SO}"));
    }
}

#[test]
fn who_the_command_is() {
    if !can(&["root", "strace"]) {
        return;
    }
    let user = "--user 1234:1235 --groups 7,9";
    let groups = "groups: cannot set the supplementary groups to 7 9";
    refused("setgroups", user, &format!("{groups}: {NOT_SO}"));
    refused("setresgid", user, &format!("gid: cannot become gid 1235: {NOT_SO}"));
    refused("setresuid", user, &format!("uid: cannot become uid 1234: {NOT_SO}"));
    let kept = "uid: cannot make sure that uid 0 can't be taken back: the kernel gave it back";
    refused("setresuid:when=2", user, kept);
    refused(
        "capset",
        "-n user --user 7:7",
        &format!("capabilities: cannot empty the capability sets: {NOT_SO}"),
    );
}

#[test]
fn what_the_command_may_not_gain() {
    if !can(&["strace"]) {
        return;
    }
    let message = format!("no-new-privs: cannot set no_new_privs: {NOT_SO}");
    refused("prctl", "--no-new-privs", &message);
}

#[test]
fn the_command_s_share_of_the_machine() {
    if !can(&["strace"]) {
        return;
    }
    let check = |fault, options: &str, message: &str| {
        for way in ["", "--exec "] {
            refused(fault, &format!("{way}{options}"), &format!("{message}: {NOT_SO}"));
        }
        if can(&["userns"]) {
            // By the launcher, but for the limit.
            refused(fault, &format!("-n user,pid --user 0:0 {options}"), &format!("{message}: {NOT_SO}"));
        }
    };
    check("setpriority", "--nice 7", "nice: cannot set the niceness to 7");
    check("ioprio_set", "--ioprio be:1", "ioprio: cannot set the I/O priority to be:1");
    check("sched_setscheduler", "--sched idle", "sched: cannot set the scheduling policy to idle");
    let batch = "--sched batch --cpu-affinity 0";
    check("sched_setscheduler", batch, "sched: cannot set the scheduling policy to batch");
    // What comes before asks: this library for the stack, seclude for its own limits of cores and of descriptors.
    let when = if cfg!(target_env = "musl") { 3 } else { 4 };
    let message = format!("limits: cannot limit core to 0:3: {NOT_SO}");
    refused(&format!("prlimit64:when={when}"), "--exec --rlimit core=0:3", &message);
}

#[test]
fn new_namespaces_and_what_is_set_up_in_them() {
    if !can(&["userns", "strace"]) {
        return;
    }
    let new = "-n user,pid,mount,net,uts --user 0:0";
    let check = |fault, options: &str, message: &str| {
        refused(fault, &format!("{new} {options}"), &format!("{message}: {NOT_SO}"));
    };
    check("sethostname", "--hostname faked", "hostname: cannot set the host name to faked");
    check("setdomainname", "--domainname faked", "domainname: cannot set the domain name to faked");
    check("setpgid", "", "session: cannot start a process group of its own");
    check("ioctl", "", "loopback: cannot bring up the loopback interface");
    // The first sets how mounts travel.
    check("mount:when=2", "--mount-proc", "mount-proc: cannot mount a fresh procfs on /proc");
    check("mount:when=2", "--mount-proc --as-pid1", "mount-proc: cannot mount a fresh procfs on /proc");
    refused(
        "unshare:when=1",
        "-n user,time --user 0:0",
        &format!("time-offset: cannot make a new time namespace: {NOT_SO}"),
    );
}

#[test]
fn maps_and_the_denial_of_setgroups() {
    if !can(&["userns", "strace"]) {
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let options = "-n user --user 0:0 --setgroups deny --groups keep";
    // In the order in which they are written.
    for (when, bytes, message) in [
        (
            1,
            format!("0 {uid} 1\n").len(),
            format!("map-uid: cannot verify uid_map: it holds nothing, and was to hold 0:{uid}:1"),
        ),
        (2, 4, "setgroups: cannot verify setgroups: it holds allow, and was to hold deny".to_string()),
        (
            3,
            format!("0 {gid} 1\n").len(),
            format!("map-gid: cannot verify gid_map: it holds nothing, and was to hold 0:{gid}:1"),
        ),
    ] {
        for way in ["", "--exec"] {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=write", "-e"]);
            command.arg(format!("inject=write:retval={bytes}:when={when}")).arg(seclude()).arg("-q");
            command.args(way.split_whitespace()).args(options.split_whitespace()).args(["echo", "ran"]);
            let seen = finish(&mut command);
            assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}\n").as_str()), "{way}");
        }
    }
}

#[test]
fn namespaces_that_seclude_makes_for_itself_with_exec() {
    if !can(&["root", "strace"]) {
        return;
    }
    // The first unshare asks for nothing: it shows that there is one thread.
    let made = "unshare: cannot make new mount,net namespaces";
    refused("unshare:when=2", "--exec -n mount,net", &format!("{made}: {NOT_SO}"));
    let entered = "unshare: cannot enter the new user namespace";
    let maps = "--map-uid 0:1000:5 --map-gid 0:1000:5 --user 3:4";
    refused("setns", &format!("--exec {maps}"), &format!("{entered}: {NOT_SO}"));
    let time = "time-offset: cannot enter the new time namespace";
    refused("setns", "--exec -n time", &format!("{time}: {NOT_SO}"));
}

#[test]
fn namespaces_that_are_joined() {
    if !can(&["userns", "strace"]) {
        return;
    }
    let mut host = live(&["-n", "user,net,pid", "--user", "0:0"], "echo up; read x");
    assert_eq!(host.line(), "up");
    // Who is privileged enters the user namespace last.
    let (user, other) = if is_root() { (2, 1) } else { (1, 2) };
    for (way, kind) in [("", "pid"), ("", "net"), ("--exec", "net")] {
        let options = format!("{way} --join user,{kind}={}", host.real);
        for (kind, when) in [("user", user), (kind, other)] {
            let message =
                format!("join: cannot join the {kind} namespace /proc/{}/ns/{kind}: {NOT_SO}", host.real);
            refused(&format!("setns:when={when}"), &options, &message);
        }
    }
    let message = format!("join: cannot become undumpable: {NOT_SO}");
    // The first of the child's.
    refused("prctl:when=1", &format!("--join user,net={}", host.real), &message);
}

#[test]
fn standard_streams_of_a_daemon() {
    if can(&["strace"]) {
        let message = "streams: cannot turn descriptors 0 1 2 to /dev/null";
        let mut command = Command::new("sh");
        let script = r#"echo in | strace -f -qq -o /dev/null -e trace=dup3 -e inject=dup3:retval=0 "$0" -q --daemon sh -c 'echo ran' "#;
        let seen = finish(command.args(["-c", script]).arg(seclude()));
        assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}: {NOT_SO}\n").as_str()));
    }
}
