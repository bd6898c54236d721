//! No limit, niceness, CPU or policy that is not to be had: each refused with the rule, the capability, or what there is.

use crate::limits::own_cpus;
use crate::machine::{Outcome, STRANGER, call, call_as, caller, can};

#[track_caller]
fn refused(seen: Outcome, message: &str) {
    assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}\n").as_str()));
}

#[test]
fn a_value_that_is_none_is_a_usage_error_that_states_the_rule() {
    let usage = |option: &str, value: &str, rule: &str| {
        refused(call(&[option, value, "true"]), &format!("usage: cannot take {option} {value}: {rule}"));
    };
    let counted = "a limit of nofile is unlimited, or a plain decimal number below 2^64-1";
    let bytes = "a limit of as is unlimited, or a plain decimal number below 2^64-1, with K, M, G or T behind it or not";
    let soft = "the soft limit is at most the hard one";
    let resources = "the resources are as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack";
    usage("--rlimit", "nofile", "it is NAME=SOFT[:HARD]");
    usage("--rlimit", "files=1", resources);
    usage("--rlimit", "nofile=1K", counted);
    usage("--rlimit", "nofile=-1", counted);
    usage("--rlimit", "as=2g", bytes);
    usage("--rlimit", "as=18446744073709551615", bytes);
    usage("--rlimit", "as=16777216T", bytes);
    usage("--rlimit", "nofile=3:2", soft);
    usage("--rlimit", "nofile=unlimited:2", soft);
    usage("--rlimit", "cpu=0", "a limit of cpu is 1 second or more: the kernel takes 0 for 1");
    usage("--nice", "20", "a niceness is a plain decimal number from -20 to 19");
    usage("--nice", "+5", "a niceness is a plain decimal number from -20 to 19");
    usage("--oom-score-adj", "-1001", "it is a plain decimal number from -1000 to 1000");
    usage("--cpu-affinity", "3-1", "CPUs are numbers from 0 to 8191 and ranges of them, such as 0-3,7");
    usage("--sched", "fifo", "a policy is other, batch or idle, or fifo:N or rr:N with N from 1 to 99");
    usage("--ioprio", "be:8", "an I/O priority is none or idle, or rt:N or be:N with N from 0 to 7");
}

#[test]
fn a_resource_is_limited_once() {
    let seen = call(&["--rlimit", "core=0", "--rlimit", "nofile=9", "--rlimit", "RLIMIT_CORE=1", "true"]);
    refused(seen, "plan: cannot take --rlimit core: a resource is limited once");
}

#[test]
fn a_hard_limit_is_raised_by_nobody_without_the_capability() {
    let message = "plan: cannot raise the hard limit of nofile from 64 to 128: that takes CAP_SYS_RESOURCE, which the caller \
                   does not have\nseclude: hint: ";
    let most = "ask for 64 at most";
    for way in ["", "--exec ", "-n user,pid --user 0:0 "] {
        let words = format!("{way}--rlimit nofile=1:128 true");
        if can(&["root", "setpriv"]) {
            let plain = format!("setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups");
            let seen = caller(&format!(r#"cd /; ulimit -n 64; exec {plain} "$0" {words}"#));
            refused(seen, &format!("{message}{most}"));
        }
        if can(&["userns", "unshare"]) {
            let seen = caller(&format!(r#"ulimit -n 64; exec unshare --map-root-user "$0" {words}"#));
            let elsewhere = "it counts in the initial user namespace alone, and the caller is in another: ";
            refused(seen, &format!("{message}{elsewhere}{most}"));
        }
    }
}

#[test]
fn more_descriptors_than_the_kernel_has_are_had_by_nobody() {
    if can(&["root", "resource"]) {
        let most = std::fs::read_to_string("/proc/sys/fs/nr_open").unwrap();
        let most = most.trim_end();
        let seen = call(&["-q", "--rlimit", "nofile=unlimited", "true"]);
        refused(
            seen,
            &format!(
                "limits: cannot raise the hard limit of nofile to unlimited: that takes a higher fs.nr_open, which is {most} (EPERM)\n\
                 seclude: hint: ask for {most} at most"
            ),
        );
    }
}

#[test]
fn what_takes_a_capability_is_refused_with_its_name_and_with_what_would_do() {
    if !can(&["root"]) {
        return;
    }
    let nice = "CAP_SYS_NICE in the initial user namespace";
    let niceness = format!(
        "nice: cannot set the niceness to -5: that takes {nice}, or an RLIMIT_NICE of 25 (EACCES)\n\
         seclude: hint: a niceness at or above the caller's takes nothing"
    );
    let oom = "oom-score-adj: cannot set oom_score_adj to -5: that takes CAP_SYS_RESOURCE in the initial user namespace (EACCES)\n\
               seclude: hint: the caller's is 0, and may be raised"
        .to_string();
    let sched = format!(
        "sched: cannot set the scheduling policy to rr:7: that takes {nice}, or an RLIMIT_RTPRIO of 7 (EPERM)\n\
         seclude: hint: with either, it is the cgroup that has no real-time budget: cpu.rt_runtime_us"
    );
    let ioprio = format!(
        "ioprio: cannot set the I/O priority to rt:0: that takes {nice} (EPERM)\n\
         seclude: hint: be:0 is the highest that takes none"
    );
    let cases = [
        ("--nice -5", niceness),
        ("--oom-score-adj -5", oom),
        ("--sched rr:7", sched),
        ("--ioprio rt:0", ioprio),
    ];
    for (option, message) in cases {
        for way in ["", "--exec", "-n user,pid --user 0:0", "-q -n user --user 0:0"] {
            if way.contains("user") && !can(&["userns"]) {
                continue;
            }
            let words = format!("{way} {option} true");
            let words: Vec<&str> = words.split_whitespace().collect();
            refused(call_as(STRANGER, &words), &message);
        }
    }
}

#[test]
fn a_cpu_that_the_kernel_does_not_allow_is_refused_with_those_it_does() {
    if !can(&["taskset"]) {
        return;
    }
    let cpus = own_cpus();
    let whole = format!("0-{}", cpus.len() - 1);
    if cpus.len() < 2 || cpus[cpus.len() - 1] != cpus.len() - 1 {
        return crate::machine::skipped("this machine's CPUs are not 0 to the last");
    }
    for way in ["", "--exec"] {
        let pinned =
            |list: &str| caller(&format!(r#"taskset -c 0 "$0" -q {way} --cpu-affinity {list} true"#));
        let hint = format!("\nseclude: hint: it allows {whole}");
        refused(
            pinned("8191"),
            &format!("cpu-affinity: cannot keep to the CPUs 8191: the kernel allows none of them{hint}"),
        );
        let some = "cpu-affinity: cannot keep to the CPUs 0-1,8191: the kernel allows not all of them";
        refused(pinned("0,1,8191"), &format!("{some}{hint}"));
    }
}
