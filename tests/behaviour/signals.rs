//! Signals: each that is passed on reaches the command once, none is lost on the way, and the status says which ended it.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::machine::counter::{COUNTER, catchable};
use crate::machine::live::{Live, live, live_of};
use crate::machine::processes::{children, send, send_number, state, status, until};
use crate::machine::{caller, can, finish, scratch, seclude};
use crate::unread;

const NEW: [&str; 5] = ["-n", "user,pid,mount", "--user", "0:0", "--mount-proc"];

/// The counting command below seclude, ready. Within the grace the second of INT and TERM would end it.
fn counting(options: &[&str]) -> Live {
    let mut command = Command::new(seclude());
    command.args(["--kill-after", "0"]).args(options).args(COUNTER);
    let mut job = live_of(&mut command);
    assert_eq!(job.line(), "ready");
    job
}

/// Has it end; what has come twice would stand before that.
fn ends(mut job: Live, told: &str) {
    send(job.pid(), Signal::SIGUSR1);
    assert_eq!(job.end().seen(), (Some(7), told, ""));
}

fn counted_once(options: &[&str]) {
    let mut job = counting(options);
    for number in catchable() {
        send_number(job.pid(), number);
        assert_eq!(job.line(), format!("got {number}"), "{options:?}");
    }
    ends(job, "");
}

#[test]
fn each_signal_that_can_be_caught_reaches_the_command_once() {
    if can(&["perl"]) {
        counted_once(&[]);
        counted_once(&["--new-session"]);
        counted_once(&["--timeout", "1h", "--leftovers", "wait"]);
    }
}

#[test]
fn each_reaches_a_command_below_an_init_and_one_that_is_pid_1() {
    if can(&["userns", "perl"]) {
        counted_once(&NEW);
        counted_once(&[&NEW[..], &["--as-pid1"]].concat());
        counted_once(&[&NEW[..], &["--new-session"]].concat());
        counted_once(&["-n", "user,pid,time", "--user", "0:0"]);
    }
}

#[test]
fn each_reaches_a_command_that_is_another_user() {
    if can(&["root", "perl"]) {
        counted_once(&["--user", "nobody"]);
        counted_once(&["-n", "pid", "--user", "1234:1234"]);
    }
}

#[test]
fn real_time_signals_queue_on_the_way_and_none_is_lost() {
    if !can(&["perl"]) {
        return;
    }
    for options in [&[][..], &NEW, &[&NEW[..], &["--as-pid1"]].concat()] {
        if !options.is_empty() && !can(&["userns"]) {
            continue;
        }
        let mut job = counting(options);
        // While it is stopped all of them wait.
        send(job.pid(), Signal::SIGSTOP);
        until("seclude's stop", || state(job.pid()) == Some('T'));
        for number in [64, 34, 64, 40, 34, 64] {
            send_number(job.pid(), number);
        }
        send(job.pid(), Signal::SIGCONT);
        let mut got: Vec<_> = (0..7).map(|_| job.line()).collect();
        got.sort();
        assert_eq!(
            got,
            ["got 18", "got 34", "got 34", "got 40", "got 64", "got 64", "got 64"],
            "{options:?}"
        );
        send(job.pid(), Signal::SIGUSR1);
        assert_eq!(job.line(), "got 10");
        ends(job, "");
    }
}

#[test]
fn a_signal_that_ends_the_command_gives_128_and_its_number() {
    for (signal, status) in [
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGUSR1, 138),
        (Signal::SIGUSR2, 140),
    ] {
        let mut job = live(&[], "echo up; read x");
        assert_eq!(job.line(), "up");
        job.signal(signal);
        let ended = job.end();
        assert_eq!((ended.status, ended.signal), (Some(status), None), "{signal}");
    }
}

#[test]
fn a_command_that_stops_and_goes_on_is_waited_for() {
    let mut job = live(&[], "echo $$; read x; exit 5");
    let pid: i32 = job.line().parse().unwrap();
    send(pid, Signal::SIGSTOP);
    until("the command's stop", || state(pid) == Some('T'));
    job.signal(Signal::SIGCONT);
    job.say("x\n");
    assert_eq!(job.end().status, Some(5));
}

#[test]
fn what_continues_seclude_and_the_command_alike_reaches_the_command_once() {
    if !can(&["perl"]) {
        return;
    }
    let mut job = counting(&[]);
    // As a shell's fg sends it to the whole group, where seclude is the slower one.
    send(job.real, Signal::SIGSTOP);
    until("the command's stop", || state(job.real) == Some('T'));
    send(job.pid(), Signal::SIGSTOP);
    until("seclude's stop", || state(job.pid()) == Some('T'));
    send(job.real, Signal::SIGCONT);
    assert_eq!(job.line(), "got 18");
    send(job.pid(), Signal::SIGCONT);
    send(job.pid(), Signal::SIGUSR1);
    assert_eq!(job.line(), "got 10");
    // One for the command alone changes nothing for a later one.
    send(job.real, Signal::SIGSTOP);
    until("the command's stop", || state(job.real) == Some('T'));
    send(job.real, Signal::SIGCONT);
    assert_eq!(job.line(), "got 18");
    send(job.pid(), Signal::SIGWINCH);
    assert_eq!(job.line(), "got 28");
    send(job.pid(), Signal::SIGCONT);
    assert_eq!(job.line(), "got 18");
    ends(job, "");
}

#[test]
fn what_seclude_s_own_writes_bring_on_it_is_not_the_command_s() {
    // SIGPIPE, where nobody reads standard error, and SIGXFSZ, where a file may not grow.
    let closed = "mkfifo pipe; exec 4<>pipe 5>pipe 4<&-";
    let full = "exec 5>full; ulimit -f 0";
    for before in [closed, full] {
        for options in ["", "-v", "--exec", "--daemon"] {
            let script = format!(
                r#"cd {} && mkfifo out && exec 3<>out; {before}
                "$0" --keep-fd 3 {options} sh -c 'echo alive >&3' 2>&5; echo $?; read -t 10 line <&3; echo $line"#,
                scratch("writes").display()
            );
            let seen = finish(Command::new("bash").args(["-c", &script]).arg(seclude()));
            assert_eq!(seen.seen(), (Some(0), "0\nalive\n", ""), "{before}, {options}");
        }
    }
}

#[test]
fn a_signal_between_clone_and_exec_is_not_lost() {
    for options in [&["--report", "json"][..], &["--report", "json", "--leftovers", "wait"]] {
        // The child is not let go before the report has a reader.
        let mut call = unread::call(true, &[options, &["sleep", "60"]].concat());
        let pid = call.child.id() as i32;
        until("a child that waits", || children(pid).iter().any(|child| state(*child) == Some('S')));
        let [child] = children(pid)[..] else { panic!("one child") };
        assert_eq!(status(child, "Name").unwrap(), ["seclude"], "the command is not executed yet");
        send(pid, Signal::SIGTERM);
        let told = call.read();
        let ended = call.child.wait().unwrap();
        assert_eq!((ended.code(), ended.signal()), (Some(143), None), "{options:?}");
        assert!(told.contains(r#""ended_by":"signal""#), "{told}");
    }
}

#[test]
fn a_sigchld_that_the_caller_ignores_hides_no_status() {
    if !can(&["python3"]) {
        return;
    }
    let set = "import os,signal,sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])";
    let seen = caller(&format!(r#"exec python3 -c '{set}' "$0" -q sh -c 'exit 42'"#));
    assert_eq!(seen.seen(), (Some(42), "", ""));
}

#[test]
fn a_caller_that_blocks_all_signals_still_has_the_status_and_the_signals_through() {
    if !can(&["python3"]) {
        return;
    }
    let set = "import os,signal,sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); os.execv(sys.argv[1], sys.argv[1:])";
    let seen = caller(&format!(r#"exec python3 -c '{set}' "$0" -q sh -c 'exit 42'"#));
    assert_eq!(seen.seen(), (Some(42), "", ""));
    let clear = "import signal; signal.pthread_sigmask(signal.SIG_SETMASK, set()); print(\"up\", flush=True); signal.pause()";
    let mut command = Command::new("python3");
    command.args(["-c", set]).arg(seclude()).args(["python3", "-c", clear]);
    let mut job = live_of(&mut command);
    assert_eq!(job.line(), "up");
    job.signal(Signal::SIGTERM);
    assert_eq!(job.end().status, Some(143));
}

#[test]
fn an_ignored_sighup_stays_ignored_and_reaches_nobody() {
    let mut job = live_of(Command::new("nohup").arg(seclude()).args(["sh", "-c", "echo up; read x; exit 9"]));
    assert_eq!(job.line(), "up");
    job.signal(Signal::SIGHUP);
    job.say("x\n");
    assert_eq!(job.end().status, Some(9));
}

#[test]
fn few_descriptors_are_enough_or_the_limit_is_named() {
    let words =
        if cfg!(target_env = "musl") { "No file descriptors available" } else { "Too many open files" };
    for limit in 4..16 {
        let seen = caller(&format!(r#"ulimit -n {limit}; exec "$0" -q sh -c 'exit 42'"#));
        let named = seen.status == Some(125)
            && seen.out.is_empty()
            && seen.err.contains(&format!(": {words} (EMFILE)\n"));
        assert!(seen.seen() == (Some(42), "", "") || (limit < 8 && named), "{limit}: {seen:?}");
    }
}

#[test]
fn closed_standard_streams_change_no_status() {
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        assert_eq!(
            caller(&format!(r#""$0" sh -c 'exit 42' {closed}; exit $?"#)).status,
            Some(42),
            "{closed}"
        );
        assert_eq!(caller(&format!(r#""$0" /nope/nope {closed}; exit $?"#)).status, Some(127), "{closed}");
        let options = "-n user --user 0:0";
        if can(&["userns"]) {
            assert_eq!(
                caller(&format!(r#""$0" {options} sh -c 'exit 42' {closed}; exit $?"#)).status,
                Some(42),
                "{closed}"
            );
        }
    }
}
