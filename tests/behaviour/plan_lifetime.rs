//! Request × Host → Plan, where it is about the command's life: who stays, how far the hold goes, what is refused; no system call.

use std::path::PathBuf;
use std::time::Duration;

use seclude::host::Host;
use seclude::namespace::{Kind, Kinds};
use seclude::plan::lifetime::{Containment, Model};
use seclude::plan::{Plan, Step};
use seclude::request::lifetime::{Leftovers, StatusForm};
use seclude::signal::Signal;

use crate::plan_rules::{numbered, plain, plan, planned, root};

fn host() -> Host {
    numbered(root(), 0)
}

fn refused(words: &[&str], object: &str, rule: &str) {
    let failure = plan(&[words, &["true"]].concat(), &host()).unwrap_err();
    let expected = format!("plan: cannot take {object}: {rule}");
    assert_eq!((failure.to_string(), failure.exit_status()), (expected, 125), "{words:?}");
}

fn lives(words: &[&str]) -> Plan {
    planned(&[words, &["true"]].concat(), &host())
}

/// The steps, by the words that a plan has for them.
fn steps(words: &[&str]) -> Vec<String> {
    lives(words).steps.iter().map(Step::to_string).collect()
}

#[test]
fn who_stays_and_how_far_the_hold_goes_follows_from_the_pid_namespace() {
    use {Containment as C, Leftovers as L, Model as M};
    let held = |words: &[&str]| {
        let life = lives(words).lifetime;
        (life.model, life.containment, life.leftovers, life.containment.word())
    };
    let subreaper = |leftovers| (M::Fork, C::Subreaper, leftovers, "subreaper");
    let joined = (M::Fork, C::None, L::Leave, "none");
    assert_eq!(held(&[]), subreaper(L::Leave));
    assert_eq!(held(&["-n", "user,net,mount"]), subreaper(L::Leave));
    assert_eq!(held(&["--join", "net=1"]), subreaper(L::Leave));
    assert_eq!(held(&["--leftovers", "leave"]), subreaper(L::Leave));
    assert_eq!(held(&["--leftovers", "kill"]), subreaper(L::Kill));
    assert_eq!(held(&["--leftovers", "wait"]), subreaper(L::Wait));
    assert_eq!(held(&["-n", "pid"]), (M::Init, C::PidNamespace, L::Kill, "pidns"));
    assert_eq!(held(&["-n", "all"]), (M::Init, C::PidNamespace, L::Kill, "pidns"));
    assert_eq!(held(&["-n", "pid", "--leftovers", "kill"]), (M::Init, C::PidNamespace, L::Kill, "pidns"));
    assert_eq!(held(&["-n", "pid", "--leftovers", "wait"]), (M::Init, C::PidNamespace, L::Wait, "pidns"));
    assert_eq!(held(&["-n", "pid", "--as-pid1"]), (M::Fork, C::PidNamespace, L::Kill, "pidns"));
    assert_eq!(held(&["-n", "all", "--share", "pid"]), subreaper(L::Leave));
    assert_eq!(held(&["--join", "pid=1"]), joined);
    assert_eq!(held(&["--join", "all=1", "--leftovers", "leave"]), joined);
    assert_eq!(held(&["--exec"]), (M::Exec, C::None, L::Leave, "none"));
}

#[test]
fn nothing_asked_is_five_seconds_of_grace_and_term() {
    let life = lives(&[]).lifetime;
    assert_eq!((life.timeout, life.grace, life.stop_signal), (None, Duration::from_secs(5), Signal::TERM));
    assert_eq!((life.parent, life.daemon, life.pid_file), (None, false, None));
    assert_eq!((life.own_group, life.new_session, life.foreground), (false, false, false));
    assert_eq!((life.status, life.ok_status), (StatusForm::Exit, vec![]));
}

#[test]
fn what_is_asked_is_in_the_plan() {
    let words = ["--timeout", "1.5", "--kill-after", "2m", "--stop-signal", "RTMIN+1", "--pid-file", "x/pid"];
    let more = ["--die-with-parent", "--status", "reraise", "--ok-status", "3,TERM", "--ok-status", "0"];
    let life = lives(&[&words[..], &more].concat()).lifetime;
    assert_eq!(
        (life.timeout, life.grace, life.stop_signal.number()),
        (Some(Duration::from_millis(1500)), Duration::from_secs(120), 35)
    );
    assert_eq!((life.pid_file, life.parent), (Some(PathBuf::from("x/pid")), Some(999)));
    assert_eq!((life.status, life.ok_status), (StatusForm::Reraise, vec![3, 143, 0]));
    assert!(lives(&["--daemon"]).lifetime.daemon);
    assert_eq!(lives(&["--kill-after", "0"]).lifetime.grace, Duration::ZERO);
}

#[test]
fn the_terminal_is_lent_to_a_group_of_its_own_and_to_no_session() {
    let foreground = Host { leads_terminal: true, ..host() };
    let lent = |words: &[&str], host: &Host| {
        let life = planned(&[words, &["true"]].concat(), host).lifetime;
        (life.own_group, life.foreground)
    };
    assert_eq!(lent(&["-n", "pid"], &foreground), (true, true));
    assert_eq!(lent(&["-n", "pid", "--as-pid1"], &foreground), (true, true));
    assert_eq!(lent(&["-n", "pid"], &host()), (true, false));
    assert_eq!(lent(&[], &foreground), (false, false));
    assert_eq!(lent(&["-n", "pid", "--new-session"], &foreground), (true, false));
    assert_eq!(lent(&["-n", "pid", "--daemon"], &foreground), (true, false));
    assert_eq!(lent(&["--new-session"], &foreground), (true, false));
    assert_eq!(lent(&["--exec"], &foreground), (false, false));
}

#[test]
fn init_comes_after_what_is_entered_and_before_what_is_set_up() {
    let words = ["-n", "user,pid,mount,net,time", "--time-offset", "boottime=1", "--user", "0:0"];
    let expected = [
        "make a new time namespace",
        "set the clocks to boottime 1 0",
        "clone the command's process into new pid,mount,net namespaces",
        "start init as PID 1, and the command's process",
        "bring up the loopback interface",
        "make all mounts private",
        "start a process group of its own",
        "drop all supplementary groups",
        "become gid 0",
        "become uid 0",
        "close descriptors from 3 up",
    ];
    let words = [&words[..], &["--groups", "none"]].concat();
    let found = steps(&words);
    assert_eq!(found, expected);
    let alone = steps(&[&words[..], &["--as-pid1"]].concat());
    let without = expected[..3].iter().chain(&expected[4..10]);
    let mut without: Vec<&str> = without.copied().collect();
    without.extend(["set the parent-death signal to SIGKILL", expected[10]]);
    assert_eq!(alone, without);
}

#[test]
fn joined_namespaces_come_before_init() {
    let found = steps(&["--join", "net=7", "-n", "pid"]);
    let expected = [
        "become undumpable",
        "join the net namespace /proc/7/ns/net",
        "start init as PID 1, and the command's process",
        "start a process group of its own",
        "close descriptors from 3 up",
    ];
    assert_eq!(found, expected);
}

#[test]
fn session_group_and_streams_come_before_the_mask_and_the_credentials() {
    let group = "start a process group of its own";
    let session = "start a session of its own";
    let null = "keep the standard streams";
    let close = "close descriptors from 3 up";
    assert_eq!(steps(&[]), [close]);
    assert_eq!(steps(&["--new-session"]), [session, close]);
    assert_eq!(steps(&["-n", "pid", "--new-session"])[1..], [session, close]);
    assert_eq!(steps(&["--daemon"]), [group, null, close]);
    assert_eq!(steps(&["--daemon", "--new-session"]), [session, null, close]);
    let piped = Host { passing_streams: vec![0, 1], ..numbered(root(), 7) };
    let words =
        ["--daemon", "-n", "pid", "--umask", "22", "-C", "/", "--user", "7:8", "--no-new-privs", "true"];
    let stages: Vec<&str> = planned(&words, &piped).steps.iter().map(|step| step.stage().word()).collect();
    let privilege = ["bounding", "groups", "gid", "uid", "capabilities", "uid"];
    let expected = [
        &["init", "session", "streams", "umask", "chdir"][..],
        &privilege,
        &["chdir", "no-new-privs", "descriptors"],
    ];
    assert_eq!(stages, expected.concat());
    assert!(planned(&words, &piped).steps.contains(&Step::Streams(vec![0, 1])));
}

#[test]
fn the_kernel_s_death_signal_is_for_what_no_init_sees_to() {
    let last = |words: &[&str]| {
        let steps = lives(words).steps;
        steps.contains(&Step::DeathSignal).then(|| steps[steps.len() - 2] == Step::DeathSignal)
    };
    let after_all_else = Some(true);
    assert_eq!(last(&["--die-with-parent", "--user", "7:8", "--no-new-privs"]), after_all_else);
    assert_eq!(last(&["-n", "pid", "--as-pid1"]), after_all_else);
    assert_eq!(last(&["-n", "pid", "--as-pid1", "--die-with-parent"]), after_all_else);
    assert_eq!(last(&["--join", "pid=1", "--die-with-parent"]), after_all_else);
    for words in [&[][..], &["-n", "pid"], &["-n", "pid", "--die-with-parent"], &["--exec"], &["--daemon"]] {
        assert_eq!(last(words), None, "{words:?}");
    }
}

#[test]
fn exec_makes_its_namespaces_in_place_and_clones_nothing() {
    let plan =
        lives(&["--exec", "-n", "user,mount,net,time", "--time-offset", "monotonic=-1", "--user", "0:0"]);
    let user = Kinds::NONE.with(Kind::User);
    let rest = Kinds::NONE.with(Kind::Mount).with(Kind::Net);
    assert_eq!((plan.layout.cloned, plan.layout.carried, plan.layout.in_place), (Kinds::NONE, None, true));
    let offsets = Step::TimeOffsets(c"monotonic -1 0".to_owned());
    let expected = [Step::Unshare(user), Step::NewTime, offsets, Step::EnterTime, Step::Unshare(rest)];
    assert_eq!(plan.steps[..5], expected);
    assert_eq!(lives(&["--exec", "-n", "user"]).steps[0], Step::Unshare(user));
    assert_eq!(lives(&["--exec", "-n", "net"]).steps[0], Step::Unshare(Kinds::NONE.with(Kind::Net)));
    let joins = steps(&["--exec", "--join", "net=7", "-n", "uts", "--new-session"]);
    let expected = [
        "become undumpable",
        "join the net namespace /proc/7/ns/net",
        "make a new uts namespace",
        "start a session of its own",
        "close descriptors from 3 up",
    ];
    assert_eq!(joins, expected);
}

#[test]
fn exec_is_refused_with_what_takes_a_parent() {
    let rule = "it takes a parent that stays, and with --exec none does";
    for words in [
        &["--daemon"][..],
        &["--pid-file", "x"],
        &["--timeout", "1"],
        &["--kill-after", "1"],
        &["--die-with-parent"],
        &["--leftovers", "leave"],
        &["--leftovers", "kill"],
        &["--leftovers", "wait"],
        &["--status", "exit"],
        &["--status", "reraise"],
        &["--ok-status", "0"],
    ] {
        refused(&[&["--exec"][..], words].concat(), words[0], rule);
    }
    let first = "with --exec there is no new pid namespace to be PID 1 of";
    refused(&["--exec", "--as-pid1"], "--as-pid1", first);
    refused(&["--exec", "-n", "net", "--persist", "net=/x"], "--persist", rule);
    refused(&["--exec", "--stop-signal", "INT", "--timeout", "1"], "--timeout", rule);
}

#[test]
fn exec_is_refused_with_namespaces_that_take_a_birth() {
    let birth = "no process enters a pid namespace but by being born there, and --exec makes no process";
    refused(&["--exec", "-n", "pid"], "--unshare pid", birth);
    refused(&["--exec", "-n", "all"], "--unshare pid", birth);
    refused(&["--exec", "-n", "user,pid", "--as-pid1"], "--unshare pid", birth);
    refused(&["--exec", "--join", "pid=1"], "--join pid", birth);
    refused(&["--exec", "--join", "all=1"], "--join pid", birth);
    let either = "with --exec, namespaces are either joined or made below a new user namespace";
    refused(&["--exec", "-n", "user", "--join", "net=1"], "--join", either);
    refused(&["--exec", "--map", "self", "--join", "net=1"], "--join", either);
    let entered = lives(&["--exec", "--join", "user,net=1", "-n", "uts"]);
    assert_eq!((entered.layout.joined.len(), entered.layout.made.to_string()), (2, "uts".to_string()));
}

#[test]
fn an_option_that_goes_only_with_another_says_so() {
    let pid = "it is for a new pid namespace: add --unshare pid";
    refused(&["--as-pid1"], "--as-pid1", pid);
    refused(&["--as-pid1", "-n", "user,net"], "--as-pid1", pid);
    refused(&["--as-pid1", "--join", "pid=1"], "--as-pid1", pid);
    let sent = "it is what --timeout sends: add --timeout";
    refused(&["--stop-signal", "INT"], "--stop-signal", sent);
    refused(&["--stop-signal", "INT", "--kill-after", "1"], "--stop-signal", sent);
}

#[test]
fn a_daemon_has_nobody_who_waits_for_its_end() {
    let outlives = "a command in the background outlives seclude's caller: it contradicts --daemon";
    refused(&["--daemon", "--die-with-parent"], "--die-with-parent", outlives);
    let gone = "with --daemon seclude returns before the command has a status";
    refused(&["--daemon", "--status", "exit"], "--status", gone);
    refused(&["--daemon", "--ok-status", "1"], "--ok-status", gone);
    let words = ["--daemon", "--timeout", "1", "--leftovers", "kill", "--pid-file", "x", "--new-session"];
    assert_eq!(lives(&words).lifetime.timeout, Some(Duration::from_secs(1)));
}

#[test]
fn a_pid_file_has_a_name() {
    for path in ["/", "..", "x/..", "."] {
        refused(&["--pid-file", path], &format!("--pid-file {path}"), "it is no file's name");
    }
    for path in ["pid", "./pid", "/run/x/pid", "x/./pid"] {
        assert_eq!(lives(&["--pid-file", path]).lifetime.pid_file, Some(PathBuf::from(path)));
    }
}

#[test]
fn what_outlives_the_command_is_not_promised_where_it_can_t_be_kept() {
    let all = "the end of its PID 1 ends all of a pid namespace";
    refused(&["-n", "pid", "--leftovers", "leave"], "--leftovers leave", all);
    refused(&["-n", "pid", "--as-pid1", "--leftovers", "leave"], "--leftovers leave", all);
    let first = "the command is PID 1, and its end ends all of its pid namespace";
    refused(&["-n", "pid", "--as-pid1", "--leftovers", "wait"], "--leftovers wait", first);
    let belongs = "what outlives a command in a joined pid namespace belongs to the PID 1 of that";
    refused(&["--join", "pid=1", "--leftovers", "wait"], "--leftovers wait", belongs);
    refused(&["--join", "pid=1", "--leftovers", "kill"], "--leftovers kill", belongs);
}

#[test]
fn a_caller_that_can_t_be_seen_can_t_be_died_with() {
    let outside = Host { parent: 0, ..plain() };
    let failure = plan(&["--die-with-parent", "true"], &outside).unwrap_err();
    let expected = "plan: cannot take --die-with-parent: the caller is outside the pid namespace that seclude is in, \
                    and its end can't be seen";
    assert_eq!((failure.to_string().as_str(), failure.exit_status()), (expected, 125));
    assert_eq!(planned(&["true"], &outside).lifetime.parent, None);
}
