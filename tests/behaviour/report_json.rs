//! The report for programs: every record one object, one line, one write(2), with what the kernel enforces.

use std::fs;

use serde_json::{Value, json};

use crate::machine::live::live;
use crate::machine::{GRANT, GRANTED, STRANGER, call_with_etc, grants};
use crate::machine::{Outcome, call, call_as, caller, can, scratch, seclude, sh};

fn records(text: &str) -> Vec<Value> {
    let lines =
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")));
    let records: Vec<Value> = lines.collect();
    assert!(records.iter().all(|record| record["seclude"] == 1), "every record has a version: {text}");
    records
}

fn events(seen: &Outcome) -> Vec<Value> {
    records(&seen.err).iter().map(|record| record["event"].clone()).collect()
}

#[test]
fn a_launch_is_two_records_started_and_ended() {
    let seen = sh(&["--report", "json"], "exit 42");
    assert_eq!((seen.status, events(&seen)), (Some(42), vec![json!("started"), json!("ended")]));
    let [started, ended] = <[Value; 2]>::try_from(records(&seen.err)).unwrap();
    assert_eq!(started["command"], json!(["sh", "-c", "exit 42"]));
    assert_eq!(
        (&ended["exit_code"], &ended["signal"], &ended["exit_status"]),
        (&json!(42), &Value::Null, &json!(42))
    );
    assert_eq!(
        (&started["real_pid"], &started["isolated_pid"]),
        (&ended["real_pid"], &ended["isolated_pid"])
    );
    assert!(ended["wall_us"].as_u64().unwrap() > 0);
    let killed = records(&sh(&["--report", "json"], "ulimit -c 0; kill -9 $$").err);
    assert_eq!(killed[1]["signal"], json!({ "number": 9, "name": "SIGKILL" }));
    assert_eq!((&killed[1]["exit_code"], &killed[1]["exit_status"]), (&Value::Null, &json!(137)));
}

#[test]
fn the_record_of_the_start_stands_before_the_command_runs() {
    let file = scratch("started").join("log");
    let name = file.to_str().unwrap();
    let seen = sh(&["--report", "json", "--report-to", name], &format!("cat {name}"));
    assert_eq!(seen.status, Some(0));
    let told = records(&seen.out);
    assert_eq!((told.len(), &told[0]["event"]), (1, &json!("started")));
    assert_eq!(records(&fs::read_to_string(&file).unwrap()).len(), 2);
}

#[test]
fn both_pids_and_that_of_seclude_are_the_kernel_s() {
    if !can(&["userns"]) {
        return;
    }
    let file = scratch("pids").join("log");
    let name = file.to_str().unwrap();
    let seen = sh(
        &["--report", "json", "--report-to", name, "-n", "user,pid", "--user", "0:0"],
        "echo $$; grep PPid: /proc/self/status; true",
    );
    let started = &records(&fs::read_to_string(&file).unwrap())[0];
    // The status is that of grep, whose parent outside is the shell.
    let words: Vec<&str> = seen.out.split_whitespace().collect();
    assert_eq!((words[0], &started["isolated_pid"]), ("2", &json!(2)), "{seen:?}");
    let parent: Value = serde_json::from_str(words[2]).unwrap();
    assert_eq!(started["real_pid"], parent, "{seen:?}");
    let mut job = live(&[], "read x");
    let pid = job.pid();
    assert!(
        fs::read_to_string(format!("/proc/{}/status", job.real))
            .unwrap()
            .contains(&format!("PPid:\t{pid}\n"))
    );
}

#[test]
fn namespaces_have_the_inode_numbers_that_the_command_sees() {
    if !can(&["userns"]) {
        return;
    }
    let links = "for f in user pid mnt net uts ipc cgroup time; do readlink /proc/self/ns/$f; done";
    let seen = sh(&["--report", "json", "-n", "user,pid,mount,net,time", "--user", "0:0"], links);
    let started = &records(&seen.err)[0]["namespaces"];
    let words = ["user", "pid", "mount", "net", "uts", "ipc", "cgroup", "time"];
    assert_eq!(seen.out.lines().count(), 8, "{seen:?}");
    for (word, link) in words.iter().zip(seen.out.lines()) {
        let inode: u64 = link.split_once('[').unwrap().1.trim_end_matches(']').parse().unwrap();
        let how = if ["uts", "ipc", "cgroup"].contains(word) { "inherited" } else { "new" };
        assert_eq!(started[word], json!({ "inode": inode, "how": how }), "{word}");
    }
}

#[test]
fn ids_groups_capabilities_and_maps_are_as_enforced() {
    if !can(&["root", "newuidmap"]) {
        return;
    }
    let started = |seen: &Outcome| records(&seen.err)[0].clone();
    let id = |inside: u32, outside: u32| {
        json!({ "inside": inside, "outside": outside, "real_inside": inside, "real_outside": outside,
                "saved_inside": inside, "saved_outside": outside })
    };
    let nobody = started(&call(&[
        "--report",
        "json",
        "--user",
        "1234:5678",
        "--groups",
        "9,7",
        "--no-new-privs",
        "true",
    ]));
    let enforced = &nobody["enforced"];
    assert_eq!((&enforced["uid"], &enforced["gid"]), (&id(1234, 1234), &id(5678, 5678)));
    assert_eq!(enforced["groups"], json!([{ "inside": 7, "outside": 7 }, { "inside": 9, "outside": 9 }]));
    let none = "0000000000000000";
    let capabilities = json!({ "ambient": none, "bounding": none, "effective": none, "inheritable": none, "permitted": none,
                               "over": "caller" });
    assert_eq!((&enforced["capabilities"], &enforced["no_new_privs"]), (&capabilities, &json!(true)));
    assert_eq!(nobody["maps"], Value::Null);

    let granted = started(&call_with_etc(
        &grants(),
        GRANTED,
        &["--report", "json", "--map", "auto", "--user", "5:6", "true"],
    ));
    let enforced = &granted["enforced"];
    assert_eq!((&enforced["uid"], &enforced["gid"]), (&id(5, GRANT + 5), &id(6, GRANT + 6)));
    assert_eq!(granted["maps"]["uid"], json!([{ "inside": 0, "outside": GRANT, "count": 65536 }]));
    assert_eq!(granted["maps"]["setgroups"], "allow");
    assert!(granted["maps"]["uid_writer"].as_str().unwrap().ends_with("/newuidmap"));

    let own = started(&call_as(STRANGER, &["--report", "json", "-n", "user", "--user", "0:0", "true"]));
    assert_eq!(own["enforced"]["uid"], id(0, STRANGER));
    assert_eq!(own["maps"]["gid"], json!([{ "inside": 0, "outside": STRANGER, "count": 1 }]));
    assert_eq!((&own["maps"]["setgroups"], &own["maps"]["gid_writer"]), (&json!("deny"), &json!("direct")));
}

#[test]
fn a_failure_is_a_record_with_stage_errno_object_and_hint() {
    let seen = call(&["--report", "json", "/nope/nope"]);
    let [failed] = <[Value; 1]>::try_from(records(&seen.err)).unwrap();
    assert_eq!(
        (seen.status, &failed["event"], &failed["exit_status"]),
        (Some(127), &json!("failed"), &json!(127))
    );
    assert_eq!((&failed["stage"], &failed["object"]), (&json!("exec"), &json!("/nope/nope")));
    assert_eq!(failed["errno"], json!({ "number": 2, "name": "ENOENT" }));
    let seen = call(&["--report", "json", "-n", "net", "--hostname", "x", "true"]);
    let [failed] = <[Value; 1]>::try_from(records(&seen.err)).unwrap();
    assert_eq!((seen.status, &failed["stage"], &failed["errno"]), (Some(125), &json!("plan"), &Value::Null));
    assert_eq!(
        failed["message"],
        "plan: cannot take --hostname x: it names a new uts namespace: add --unshare uts"
    );
}

#[test]
fn a_failure_inside_the_child_is_a_record_like_any_other_and_nothing_started() {
    let seen = call(&["--report", "json", "-C", "/no\u{1b}", "true"]);
    let [failed] = <[Value; 1]>::try_from(records(&seen.err)).unwrap();
    assert_eq!(
        (seen.status, &failed["event"], &failed["stage"]),
        (Some(125), &json!("failed"), &json!("chdir"))
    );
    assert_eq!(failed["object"], "/no\\x1b");
}

#[test]
fn a_command_that_is_no_utf_8_makes_no_line_that_is_no_json() {
    let seen = caller(r#"exec "$0" --report json sh -c true "$(printf 'a\377\nb"')""#);
    assert_eq!(records(&seen.err)[0]["command"], json!(["sh", "-c", "true", "a\\xff\\nb\""]));
}

#[test]
fn each_record_is_one_write() {
    if !can(&["strace"]) {
        return;
    }
    let trace = scratch("trace").join("trace");
    let script = format!(
        r#"exec strace -f -qq -s 100000 -e trace=write -e status=successful -o {} "$0" --report json sh -c 'exit 4'"#,
        trace.display()
    );
    let seen = caller(&script);
    assert_eq!((seen.status, records(&seen.err).len()), (Some(4), 2), "{seen:?} {:?}", seclude());
    let text = fs::read_to_string(&trace).unwrap();
    let writes: Vec<&str> = text.lines().filter(|line| line.contains("write(2, ")).collect();
    assert_eq!(writes.len(), 2, "{text}");
    assert!(
        writes.iter().all(|line| line.contains(r#"write(2, "{"#) && line.contains(r#"}\n", "#)),
        "{text}"
    );
}

#[test]
fn records_of_many_launches_into_one_file_never_mix() {
    let file = scratch("many").join("log");
    let script = format!(
        r#"for i in 1 2 3 4 5 6 7 8 9 10 11 12; do "$0" --report json --report-to {} sh -c "exit $i" & done; wait"#,
        file.display()
    );
    caller(&script);
    let told = records(&fs::read_to_string(&file).unwrap());
    let mut codes: Vec<i64> = told.iter().filter_map(|record| record["exit_code"].as_i64()).collect();
    codes.sort();
    assert_eq!((told.len(), codes), (24, (1..=12).collect()));
}
