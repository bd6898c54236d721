//! Programs and processes, where launchers of its kind were tricked: what is executed, which helper runs, who is signalled.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Command;

use crate::machine::processes::Nap;
use crate::machine::{GRANT, call, caller, can, finish, scratch, script, seclude};

/// CVE-2020-17367, CVE-2020-17368: options were read behind the command, and a shell read the command.
#[test]
fn a_command_is_executed_by_its_name_though_that_looks_like_an_option_or_like_a_script() {
    let dir = scratch("names");
    for name in ["--user", "a;b", "$(echo x)", "x y", "-n", "a|b", "*"] {
        script(&dir.join(name), "#!/bin/sh\necho \"ran ${0##*/}\" \"$@\"\n");
    }
    let path = format!("{}:/usr/bin:/bin", dir.display());
    let seen = |words: &[&str]| {
        let mut command = Command::new(seclude());
        let seen = finish(command.arg("-q").args(words).env("PATH", &path));
        assert_eq!((seen.status, seen.err.as_str()), (Some(0), ""), "{words:?}");
        seen.out
    };
    assert_eq!(seen(&["--", "--user", "0"]), "ran --user 0\n");
    assert_eq!(seen(&["--", "-n", "pid", "--", "-q"]), "ran -n pid -- -q\n");
    for name in ["a;b", "$(echo x)", "x y", "a|b", "*"] {
        assert_eq!(
            seen(&["--", name, "--user", "4294967296", "; echo y"]),
            format!("ran {name} --user 4294967296 ; echo y\n")
        );
        assert_eq!(seen(&["--exec", name, "--", name]), format!("ran {name} -- {name}\n"));
    }
}

/// No CVE: a helper was had from the caller's PATH by a launcher with root's privilege.
#[test]
fn root_s_helper_is_the_system_s_and_none_of_path() {
    if !can(&["root", "newuidmap", "setpriv", "unshare"]) {
        return;
    }
    let dir = scratch("planted");
    for helper in ["newuidmap", "newgidmap"] {
        script(&dir.join(helper), &format!("#!/bin/sh\n: > {}/ran\nexit 1\n", dir.display()));
    }
    fs::write(dir.join("grants"), format!("root:{GRANT}:65536\n")).unwrap();
    let binds = ["subuid", "subgid"].map(|file| {
        format!("[ -e /etc/{file} ] || : > /etc/{file}; mount --bind {}/grants /etc/{file};", dir.display())
    });
    // Root, but without the capabilities to write the map by itself.
    let less = "setpriv --bounding-set -setuid,-setgid,-sys_admin";
    let maps = format!("--map-uid 0:{GRANT}:10 --map-gid 0:{GRANT}:10 --user 0:0");
    let call = |options: &str| {
        caller(&format!(
            r#"export PATH={}:$PATH; exec unshare -m sh -ec '{} exec {less} "$0" {options} {maps} echo ran' "$0""#,
            dir.display(),
            binds.concat()
        ))
    };
    let plan = call("--dry-run");
    for helper in ["newuidmap", "newgidmap"] {
        assert!(plan.out.contains(&format!("written by /usr/bin/{helper}\n")), "{plan:?}");
    }
    let seen = call("");
    assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{seen:?}");
    let told = format!("seclude: map-uid: cannot write 0:{GRANT}:10 to uid_map: /usr/bin/newuidmap: ");
    assert!(seen.err.starts_with(&told), "{seen:?}");
    assert!(!dir.join("ran").exists(), "the helper of PATH did not run");
}

/// CVE-2017-2616: a child was signalled by its pid once it had been waited for, and the pid was a stranger's by then.
#[test]
fn nobody_is_signalled_by_number_once_reaped() {
    if !can(&["strace"]) {
        return;
    }
    let file = scratch("signalled").join("calls");
    let calls = "trace=kill,tkill,tgkill,pidfd_send_signal,waitid,wait4";
    let nap = Nap::new();
    let command = format!(
        "setsid sleep {} > /dev/null 2>&1 & trap 'exit 3' TERM; trap : USR1
        kill -USR1 $PPID; kill -TERM $PPID; while :; do wait; done",
        nap.0
    );
    for options in ["", "--die-with-parent --kill-after 0", "--new-session"] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", "signal=none", "-e", calls, "-o"]).arg(&file).arg(seclude()).args([
            "-q",
            "--leftovers",
            "kill",
        ]);
        let seen = finish(strace.args(options.split_whitespace()).args(["sh", "-c", &command]));
        assert_eq!(seen.seen(), (Some(3), "", ""), "{options}");
        let text = fs::read_to_string(&file).unwrap();
        let own = text.split_whitespace().next().expect("seclude waits");
        let (mut reaped, mut signals) = (BTreeSet::new(), 0);
        for line in text.lines().filter(|line| line.split_whitespace().next() == Some(own)) {
            let number = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
            if let Some((_, rest)) = line.split_once("si_pid=").filter(|_| !line.contains("WNOWAIT")) {
                reaped.insert(number(rest));
            } else if let Some((_, rest)) = line.split_once("kill(") {
                let target = number(rest.trim_start_matches('-'));
                assert!(!reaped.contains(&target), "{options}: {line}\n{text}");
                signals += 1;
            } else if line.contains("pidfd_send_signal") && line.ends_with("= 0") {
                signals += 1;
            }
        }
        assert!(reaped.len() >= 2 && signals >= 2, "{options}: {text}");
    }
}

/// CVE-2020-15257: a command that shared the net namespace reached a socket that has no file, and no file's mode.
#[test]
fn abstract_sockets_are_those_of_the_net_namespace() {
    if !can(&["userns", "perl"]) {
        return;
    }
    let name = format!("seclude-test-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let _listener = UnixListener::bind_addr(&address).expect("a name of our own");
    let connect =
        format!("socket S, 1, 1, 0; exit 7 if connect S, pack(q(S), 1) . qq(\\0{name}); exit $! + 0");
    let status = |options: &[&str]| {
        let seen = call(&[&["-q"], options, &["perl", "-e", &connect]].concat());
        assert_eq!((seen.out.as_str(), seen.err.as_str()), ("", ""), "{options:?}");
        seen.status
    };
    assert_eq!(status(&[]), Some(7), "it is the caller's");
    assert_eq!(status(&["-n", "user,pid,ipc", "--user", "0:0"]), Some(7));
    assert_eq!(status(&["-n", "user,net", "--user", "0:0"]), Some(libc::ECONNREFUSED));
    assert_eq!(status(&["--exec", "-n", "user,net", "--user", "0:0"]), Some(libc::ECONNREFUSED));
}
