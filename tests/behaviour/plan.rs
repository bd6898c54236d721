//! `--dry-run`: the plan as it is told, with nothing done and no privilege needed.

use std::fs;

use serde_json::{Value, json};

use crate::machine::{STRANGER, call, call_as, caller, can, scratch};

const PATH: &str = "PATH=/usr/bin:/bin";

#[test]
fn the_plan_is_told_whole_as_text() {
    if !can(&["root"]) {
        return;
    }
    let words = [
        "--dry-run",
        "-n",
        "user,net,uts",
        "--user",
        "0:0",
        "--groups",
        "none",
        "--hostname",
        "x",
        "--umask",
        "27",
        "-C",
        "/",
        "--no-new-privs",
        "--env",
        PATH,
        "sh",
        "-c",
        "echo 'a b'",
    ];
    let expected = "\
command     sh -c 'echo '\\''a b'\\'''
namespaces  new user,net,uts
uid map     0:0:1
            written directly
gid map     0:0:1
            written directly
setgroups   allowed
user        uid 0, gid 0
groups      none
life        what outlives the command becomes seclude's
            leftovers: leave
steps       bring up the loopback interface
            set the host name to x
            set the file mode mask to 0027
            enter /
            drop all supplementary groups
            become gid 0
            become uid 0
            enter the working directory as the new user
            set no_new_privs
            close descriptors from 3 up
execute     /usr/bin/sh
            /bin/sh
needs       CAP_SETFCAP to map uid 0 of the caller's user namespace: held
";
    assert_eq!(call(&words).seen(), (Some(0), expected, ""));
}

#[test]
fn the_plan_is_one_record_as_json() {
    if !can(&["root"]) {
        return;
    }
    let words = [
        "--dry-run",
        "--report",
        "json",
        "-n",
        "net",
        "--user",
        "7:8",
        "--keep-fd",
        "0",
        "--env",
        PATH,
        "true",
    ];
    let seen = call_as(STRANGER, &words);
    assert_eq!((seen.status, seen.err.as_str(), seen.out.lines().count()), (Some(0), "", 1));
    let mut plan: Value = serde_json::from_str(&seen.out).unwrap();
    let steps: Vec<Value> =
        plan["steps"].as_array().unwrap().iter().map(|step| step["stage"].clone()).collect();
    assert_eq!(steps, ["loopback", "gid", "uid", "capabilities", "uid", "descriptors"]);
    let needs: Vec<(Value, Value)> = plan["needs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|need| (need["capability"].clone(), need["held"].clone()))
        .collect();
    let missing = |name: &str| (json!(name), json!(false));
    let names = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_SETUID", "CAP_SETGID"];
    assert_eq!(needs, names.map(missing));
    plan["steps"] = Value::Null;
    plan["needs"] = Value::Null;
    assert_eq!(
        plan,
        json!({ "seclude": 1, "event": "plan", "command": ["true"], "candidates": ["/usr/bin/true", "/bin/true"],
                "namespaces": { "made": ["net"], "joined": [], "persisted": [] }, "maps": null, "uid": 7, "gid": 8,
                "groups": [], "containment": "subreaper",
                "lifetime": { "model": "fork", "timeout_us": null, "kill_after_us": 5_000_000, "stop_signal": "SIGTERM",
                              "leftovers": "leave", "die_with_parent": false, "daemon": false, "pid_file": null },
                "steps": null, "needs": null })
    );
}

#[test]
fn it_needs_no_privilege_and_says_which_are_missing() {
    if !can(&["root"]) {
        return;
    }
    let seen = call_as(STRANGER, &["--dry-run", "-n", "net", "--root", "/srv", "--user", "nobody", "true"]);
    let needs: Vec<&str> =
        seen.out.lines().skip_while(|line| !line.starts_with("needs")).map(|line| &line[12..]).collect();
    let expected = [
        "CAP_SYS_ADMIN to make a new net namespace: missing",
        "CAP_NET_ADMIN to bring up the loopback interface: missing",
        "CAP_SYS_CHROOT to change the root: missing",
        "CAP_SETUID to become uid 65534 (nobody): missing",
        "CAP_SETGID to become gid 65534: missing",
        "CAP_SETGID to set the supplementary groups: missing",
    ];
    assert_eq!((seen.status, needs.as_slice(), seen.err.as_str()), (Some(0), expected.as_slice(), ""));
    let seen = call_as(STRANGER, &["--dry-run", "true"]);
    assert!(seen.out.ends_with("needs       no privilege\n"), "{seen:?}");
}

#[test]
fn equal_calls_tell_equal_plans() {
    let words = ["--dry-run", "-n", "all", "--user", "0:0", "--mount-proc", "--hostname", "x", "-v", "true"];
    for form in ["text", "json"] {
        let [first, second] = [(); 2].map(|()| call(&[&["--report", form], &words[..]].concat()));
        assert_eq!((first.status, first.seen()), (Some(0), second.seen()));
    }
}

#[test]
fn nothing_is_made_bound_or_run() {
    let dir = scratch("dry");
    let (kept, marker) = (dir.join("net"), dir.join("ran"));
    let persist = format!("net={}", kept.display());
    let words = [
        "--dry-run",
        "-n",
        "user,net",
        "--user",
        "0:0",
        "--persist",
        &persist,
        "touch",
        marker.to_str().unwrap(),
    ];
    assert_eq!(call(&words).status, Some(0));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
    if can(&["strace"]) {
        let seen = caller(
            r#"strace -f -qq -e trace=clone,clone3,fork,vfork,unshare,setns,mount,setresuid,setresgid,setgroups,sethostname,execve -e signal=none \
               "$0" --dry-run -n all --user 0:0 --mount-proc --hostname x true 2>&1 >/dev/null | grep -v execve"#,
        );
        assert_eq!(seen.out, "", "a dry run makes no such system call");
    }
}

#[test]
fn what_would_be_refused_is_refused() {
    let err = "seclude: plan: cannot take --hostname x: it names a new uts namespace: add --unshare uts\n";
    assert_eq!(call(&["--dry-run", "--hostname", "x", "true"]).seen(), (Some(125), "", err));
}

#[test]
fn it_goes_where_reports_go() {
    let file = scratch("dry-file").join("plan");
    let seen = call(&["--dry-run", "--report-to", file.to_str().unwrap(), "true"]);
    assert_eq!(seen.seen(), (Some(0), "", ""));
    assert!(fs::read_to_string(&file).unwrap().starts_with("command     true\n"));
    let seen = call(&["--dry-run", "--report-to", "/dev/full", "true"]);
    let err = "seclude: report: cannot write the report: No space left on device (ENOSPC)\n";
    assert_eq!(seen.seen(), (Some(125), "", err));
}

#[test]
fn the_life_of_the_command_has_a_row() {
    let life = |options: &[&str]| {
        let seen = call(&[&["--dry-run"], options, &["true"]].concat());
        let rows = seen
            .out
            .lines()
            .skip_while(|line| !line.starts_with("life "))
            .take_while(|line| !line.starts_with("steps "));
        rows.map(|line| line[12..].to_string()).collect::<Vec<_>>()
    };
    let pid = ["-n", "user,pid", "--user", "0:0"];
    assert_eq!(life(&[]), ["what outlives the command becomes seclude's", "leftovers: leave"]);
    assert_eq!(life(&pid), ["an init is PID 1; all end with it, and it with seclude", "leftovers: kill"]);
    assert_eq!(
        life(&[&pid[..], &["--as-pid1"]].concat()),
        ["the command is PID 1; all end with it, and it with seclude", "leftovers: kill"]
    );
    assert_eq!(
        life(&["--join", "user,pid=1"]),
        ["what outlives the command is out of seclude's hands", "leftovers: leave"]
    );
    assert_eq!(life(&["--exec"]), ["seclude becomes the command, and no parent stays"]);
    let caller = std::process::id();
    assert_eq!(
        life(&[
            "--leftovers",
            "wait",
            "--timeout",
            "90",
            "--kill-after",
            "0.25",
            "--stop-signal",
            "rtmin+2",
            "--die-with-parent"
        ]),
        [
            "what outlives the command becomes seclude's",
            "leftovers: wait",
            "ended after 90.00 s by SIGRTMIN+2, and killed 250.0 ms later",
            &format!("ended with the caller, process {caller}"),
        ]
    );
    assert_eq!(life(&["--daemon", "--pid-file", "a\nb"])[2..], ["in the background", "pid file a\\nb"]);
}

#[test]
fn the_life_of_the_command_is_an_object_of_the_record() {
    let told = |options: &[&str]| {
        let seen = call(&[&["--dry-run", "--report", "json"], options, &["true"]].concat());
        let plan: Value = serde_json::from_str(&seen.out).unwrap();
        (plan["containment"].clone(), plan["lifetime"].clone())
    };
    let words =
        ["--timeout", "1.5", "--kill-after", "2m", "--stop-signal", "int", "--pid-file", "x", "--daemon"];
    let life = json!({ "model": "init", "timeout_us": 1_500_000, "kill_after_us": 120_000_000, "stop_signal": "SIGINT",
                       "leftovers": "wait", "die_with_parent": false, "daemon": true, "pid_file": "x" });
    let pid = ["-n", "user,pid", "--user", "0:0", "--leftovers", "wait"];
    assert_eq!(told(&[&pid[..], &words].concat()), (json!("pidns"), life));
    let (containment, life) = told(&["--exec"]);
    assert_eq!((containment, &life["model"]), (json!("none"), &json!("exec")));
    assert_eq!(told(&["--die-with-parent"]).1["die_with_parent"], json!(true));
}
