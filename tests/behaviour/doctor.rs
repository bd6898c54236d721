//! `--doctor`: what this machine allows, a row each, tried by doing it; nothing is executed and nothing is left.

use serde_json::Value;

use crate::machine::{Outcome, STRANGER, call, call_as, caller, can, finish, scratch, seclude};

/// The rows without options, in their order.
const ROWS: [&str; 13] = [
    "user namespace",
    "pid namespace",
    "mount namespace",
    "net namespace",
    "uts namespace",
    "ipc namespace",
    "cgroup namespace",
    "time namespace",
    "fresh /proc (--mount-proc)",
    "ranges of subuid and subgid (--map auto)",
    "another user, no namespace (--user)",
    "namespaces without a user namespace",
    LANDLOCK,
];
const LANDLOCK: &str = "Landlock (--landlock-read)";
const TOGETHER: &str = "all of these options together";

/// Each row, and whether it goes.
fn rows(seen: &Outcome) -> Vec<(&str, bool)> {
    let rows = seen.out.lines().filter(|line| !line.starts_with(' '));
    rows.map(|line| match line.split_at(4) {
        ("ok  ", check) => (check, true),
        ("no  ", check) => (check, false),
        _ => panic!("{seen:?}"),
    })
    .collect()
}

/// The status is that of the rows.
fn judged(seen: &Outcome) {
    let all = rows(seen).iter().all(|(_, goes)| *goes);
    assert_eq!((seen.status, seen.err.as_str()), (Some(if all { 0 } else { 125 }), ""), "{seen:?}");
}

#[test]
fn without_options_each_row_is_tried_and_what_does_not_go_makes_125() {
    let seen = call(&["--doctor"]);
    assert_eq!(rows(&seen).iter().map(|(check, _)| *check).collect::<Vec<_>>(), ROWS);
    judged(&seen);
    if can(&["userns"]) {
        let goes = rows(&seen).iter().take(8).all(|(_, goes)| *goes);
        assert!(goes, "user namespaces can be made here: {seen:?}");
    }
}

#[test]
fn a_plain_user_is_told_what_it_lacks_and_what_helps() {
    if !can(&["root"]) {
        return;
    }
    let seen = call_as(STRANGER, &["--doctor"]);
    judged(&seen);
    let tail = "\
no  ranges of subuid and subgid (--map auto)
      plan: cannot take --map-uid auto: no line of /etc/subuid grants the caller anything
      hint: usermod --add-subuids 100000-165535 USER adds a line
no  another user, no namespace (--user)
      plan: cannot become uid 65534: that takes CAP_SETUID, which the caller does not have
      hint: run as root, or add --unshare user
no  namespaces without a user namespace
      plan: cannot make new mount,net,uts,ipc namespaces: that takes CAP_SYS_ADMIN, which the caller does not have
      hint: add user to --unshare, which makes the command privileged in a user namespace of its own
";
    let told = seen.out.split_once("ok  Landlock").map_or(seen.out.as_str(), |(before, _)| before);
    assert!(seen.status == Some(125) && told.ends_with(tail), "{seen:?}");
}

#[test]
fn landlock_goes_where_the_kernel_has_it_and_no_filter_hides_it() {
    let row = |seen: &Outcome| rows(seen).last().map(|(check, goes)| (check.to_string(), *goes));
    if can(&["landlock"]) {
        assert_eq!(row(&call(&["--doctor"])), Some((LANDLOCK.to_string(), true)));
    }
    let own = seclude().to_string_lossy();
    let seen = call(&["-q", "--no-new-privs", "--deny-syscall", "landlock_create_ruleset", &own, "--doctor"]);
    assert_eq!(row(&seen), Some((LANDLOCK.to_string(), false)));
    let why = "\
      plan: cannot restrict the command by Landlock: the kernel has no Landlock, it was not enabled at boot, or a filter hides it
      hint: --landlock best-effort goes without what the kernel lacks, and reports it
";
    assert!(seen.out.ends_with(why), "{seen:?}");
}

#[test]
fn with_options_it_is_about_them_alone() {
    if !can(&["userns"]) {
        return;
    }
    let seen = call(&["--doctor", "-n", "user,time", "--user", "0:0"]);
    assert_eq!(
        seen.seen(),
        (Some(0), format!("ok  user namespace\nok  time namespace\nok  {TOGETHER}\n").as_str(), "")
    );
    let seen =
        call(&["--doctor", "-n", "user,pid,mount", "--user", "0:0", "--mount-proc", "ignored", "--words"]);
    let kinds = ["user namespace", "pid namespace", "mount namespace", TOGETHER];
    assert_eq!(rows(&seen), kinds.map(|kind| (kind, true)));
    // What can't be planned has no row but the last.
    let seen = call(&["--doctor", "-n", "user", "--user", "0:0", "--hostname", "x"]);
    let err = "      plan: cannot take --hostname x: it names a new uts namespace: add --unshare uts\n";
    assert_eq!(seen.seen(), (Some(125), format!("no  {TOGETHER}\n{err}").as_str(), ""));
    let seen = call(&["--doctor", "-n", "user", "--user", "0:0", "-C", "/nope"]);
    let err = "      chdir: cannot enter /nope: No such file or directory (ENOENT)\n";
    assert_eq!(seen.seen(), (Some(125), format!("ok  user namespace\nno  {TOGETHER}\n{err}").as_str(), ""));
}

#[test]
fn how_the_command_is_to_live_is_judged_as_well() {
    for (options, rule) in [
        (
            &["--exec", "-n", "user,pid", "--user", "0:0"][..],
            "--unshare pid: no process enters a pid namespace but by being born there, and --exec makes no process",
        ),
        (&["--keep-fd", "99"], "--keep-fd 99: only a descriptor that the caller has open can stay open"),
    ] {
        let seen = call(&[&["--doctor"], options].concat());
        assert_eq!((seen.status, seen.err.as_str()), (Some(125), ""), "{options:?}");
        let told = format!("no  {TOGETHER}\n      plan: cannot take {rule}\n");
        assert!(seen.out.ends_with(&told), "{seen:?}");
    }
    let seen = call(&["--doctor", "--timeout", "5", "--leftovers", "wait"]);
    assert_eq!(seen.seen(), (Some(0), format!("ok  {TOGETHER}\n").as_str(), ""));
}

#[test]
fn what_a_machine_forbids_is_told_by_its_name() {
    if !can(&["userns", "unshare"]) {
        return;
    }
    let seen = caller(
        r#"exec unshare -Ur sh -c 'echo 0 > /proc/sys/user/max_net_namespaces && exec "$0" --doctor -n user,net --user 0:0' "$0""#,
    );
    let reason = "the limit is reached: user.max_net_namespaces is 0 (ENOSPC)";
    let failure = format!(
        "      clone: cannot clone a child into new user,net namespaces: {reason}\n      \
         hint: sysctl -w user.max_net_namespaces=15000 allows them\n"
    );
    let out = format!("ok  user namespace\nno  net namespace\n{failure}no  {TOGETHER}\n{failure}");
    assert_eq!(seen.seen(), (Some(125), out.as_str(), ""));
}

#[test]
fn each_row_is_a_record_and_goes_where_reports_go() {
    if !can(&["userns"]) {
        return;
    }
    let file = scratch("doctor").join("report");
    let words = ["--doctor", "--report", "json", "--report-to", file.to_str().unwrap()];
    let seen = call(&[&words[..], &["-n", "user", "--user", "0:0", "-C", "/nope"]].concat());
    assert_eq!(seen.seen(), (Some(125), "", ""));
    let text = std::fs::read_to_string(&file).unwrap();
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> =
        records.iter().map(|r| (r["event"].as_str(), r["check"].as_str(), r["ok"].as_bool())).collect();
    let finding = Some("finding");
    let expected = [(finding, Some("user namespace"), Some(true)), (finding, Some(TOGETHER), Some(false))];
    assert_eq!(told, expected);
    assert_eq!(records[1]["failure"]["stage"], "chdir");
    assert_eq!(records[0].get("failure"), None);
    let seen = call(&["--doctor", "-n", "user", "--report-to", "/dev/full"]);
    let err = "seclude: report: cannot write the report: No space left on device (ENOSPC)\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn nothing_is_executed_and_nothing_is_kept() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let dir = scratch("doctor");
    let marker = dir.join("ran");
    let script = r#"cd "$2" && "$1" --doctor -n net,uts --hostname x --persist net=kept --pid-file pid touch ran; echo $?
        ls; grep -c "$2" /proc/self/mountinfo"#;
    let mut command = std::process::Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(seclude()).arg(&dir);
    let seen = finish(&mut command);
    let out = format!("ok  net namespace\nok  uts namespace\nok  {TOGETHER}\n0\n0\n");
    assert_eq!((seen.seen(), marker.exists()), ((Some(1), out.as_str(), ""), false));
}
