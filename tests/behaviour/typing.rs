//! A command that would act as its caller by typing into the caller's terminal.

use std::process::Command;

use crate::machine::pty::Tty;
use crate::machine::{STRANGER, can, seclude};

/// Types a byte into its terminal in five ways: the plain request, that with an upper half, that of consoles, by the
/// terminal's own name, and from a program of its own. Tells the errno of each.
const TYPES: &str = r#"
use POSIX; my $b = "x"; my $three = "\3";
sub errno { my $got = shift; $got == -1 ? $! + 0 : "typed" }
open my $tty, "+<", "/dev/tty" or die "no terminal: $!";
my @got = map { errno(syscall(16, @$_)) }
  ([0, 0x5412, $b], [0, 0x100005412, $b], [0, 0xffffffff00005412 - 0, $b], [fileno $tty, 0x5412, $b], [0, 0x541c, $three]);
print "errors @got end\n";
"#;

/// EPERM.
pub const DENIED: &str = "errors 1 1 1 1 1 end\n";

/// What a command on a terminal of its own tells, called as root or as a plain user.
pub fn told(uid: u32, options: &str) -> String {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid.to_string(), "--regid", &uid.to_string(), "--clear-groups"]);
    command.arg(seclude()).arg("-q").args(options.split_whitespace()).args(["perl", "-e", TYPES]);
    let (status, shown) = Tty::of(&mut command).end();
    assert_eq!(status, Some(0), "{options}: {shown}");
    shown
}

/// CVE-2016-2779, CVE-2016-2781, CVE-2017-5226, CVE-2005-4890, CVE-2016-7545, CVE-2019-7303: the command typed a line for its
/// caller's shell; where that was filtered, with an upper half in the request.
#[test]
fn a_command_with_other_privileges_types_nothing_into_its_caller_s_terminal() {
    if !can(&["root", "userns", "perl", "setpriv", "x86_64"]) {
        return;
    }
    for options in [
        "--user 65534:65534",
        "--exec --user 65534:65534",
        "-n pid --user 65534:65534",
        "--no-new-privs",
        "-n user --user 0:0",
        "-n user,pid,mount --mount-proc --user 0:0",
        "--cap-drop kill",
        "--user 7:7 --cap-add kill",
    ] {
        assert_eq!(told(0, options), DENIED, "root: {options}");
    }
    for options in
        ["-n user --user 0:0", "-n user,pid --user 7:7", "--no-new-privs", "--exec -n user --user 0:0"]
    {
        assert_eq!(told(STRANGER, options), DENIED, "a plain user: {options}");
    }
}

#[test]
fn a_command_that_is_its_caller_s_equal_keeps_its_terminal_as_it_is() {
    if !can(&["root", "perl", "setpriv", "x86_64"]) {
        return;
    }
    // Where the kernel forbids it to all, that is not seclude's: EIO.
    let ours = |shown: &str| assert!(!shown.contains(DENIED), "{shown}");
    ours(&told(STRANGER, ""));
    ours(&told(0, "-n pid"));
}

#[test]
fn where_nothing_keeps_it_from_that_it_does_not_run() {
    let lets =
        std::fs::read_to_string("/proc/sys/dev/tty/legacy_tiocsti").map_or(true, |text| text.trim() == "1");
    if !lets || !can(&["root", "setpriv"]) {
        return;
    }
    let call = |options: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", "-sys_admin"]).arg(seclude()).arg("-q");
        Tty::of(command.args(options.split_whitespace()).args(["echo", "ran"])).end()
    };
    let refusal = "seclude: plan: cannot keep the command from typing into the caller's terminal: a filter takes CAP_SYS_ADMIN, \
                   and this kernel lets every process type into its terminal\n\
                   seclude: hint: add --no-new-privs, or --new-session\n";
    assert_eq!(call("--user 7:7"), (Some(125), refusal.to_string()));
    assert_eq!(call("--user 7:7 --no-new-privs"), (Some(0), "ran\n".to_string()));
    assert_eq!(call("--user 7:7 --new-session"), (Some(0), "ran\n".to_string()));
}
