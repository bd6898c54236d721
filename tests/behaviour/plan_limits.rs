//! When the command gets its share of the machine, by whom, and what it takes: as it is decided, without doing it.

use seclude::host::{Host, Limits};

use crate::plan_rules::{numbered, plain, plan, planned, root};

const SHARE: &str = "--nice 1 --oom-score-adj 2 --cpu-affinity 0 --sched batch --ioprio idle --rlimit nofile=9:99 --rlimit core=0";
const PRIVILEGED: [&str; 6] = ["limits", "nice", "oom-score-adj", "cpu-affinity", "ioprio", "sched"];

/// A caller whose descriptors are limited to 64.
fn limited(host: Host) -> Host {
    let number = |resource| resource as usize;
    let hard = vec![(number(libc::RLIMIT_NOFILE), 64), (number(libc::RLIMIT_CORE), u64::MAX)];
    Host { limits: Limits { hard, elsewhere: false }, ..host }
}

fn able() -> Host {
    limited(numbered(root(), 7))
}

/// The stages of the steps, and how many of them the launcher takes.
fn stages(options: &str, host: &Host) -> (Vec<&'static str>, usize) {
    let words = format!("{options} {SHARE} true");
    let plan = planned(&words.split_whitespace().collect::<Vec<_>>(), host);
    (plan.steps.iter().map(|step| step.stage().word()).collect(), plan.from_outside)
}

#[test]
fn in_the_caller_s_user_namespace_the_command_s_own_process_takes_its_share() {
    let (found, outside) = stages("-n pid --umask 22 --user 7:7", &able());
    let expected = [&["init", "session"], &PRIVILEGED[..], &["umask"]].concat();
    assert_eq!((&found[..9], outside), (&expected[..], 0));
    assert_eq!(found[found.len() - 3..], ["descriptors", "limits", "limits"]);
}

#[test]
fn a_child_that_is_born_in_another_user_namespace_gets_it_from_its_launcher() {
    for options in ["-n user --user 7:7", "-n user,pid --user 7:7", "-n user,time --user 7:7"] {
        let (found, outside) = stages(options, &able());
        assert_eq!((&found[..6], outside), (&PRIVILEGED[..], 6), "{options}");
        assert_eq!(found[found.len() - 3..], ["descriptors", "limits", "limits"], "{options}");
    }
}

#[test]
fn who_enters_namespaces_takes_it_before() {
    for options in
        ["--join user=1", "--join net=1", "--join net=1 -n user --user 7:7", "--exec -n user --user 7:7"]
    {
        let (found, outside) = stages(options, &able());
        assert_eq!((&found[..6], outside), (&PRIVILEGED[..], 0), "{options}");
    }
}

#[test]
fn a_higher_hard_limit_is_a_need_and_one_that_is_high_enough_is_none() {
    let need = |host: &Host, limit: &str| {
        let plan = planned(&["--rlimit", limit, "true"], host);
        plan.needs
            .iter()
            .map(|need| (need.purpose.clone(), need.held, need.remedy.clone()))
            .collect::<Vec<_>>()
    };
    let purpose = "raise the hard limit of nofile from 64 to 65".to_string();
    let most = "ask for 64 at most".to_string();
    assert_eq!(need(&limited(root()), "nofile=65"), [(purpose.clone(), true, most.clone())]);
    assert_eq!(need(&limited(plain()), "nofile=65"), [(purpose.clone(), false, most.clone())]);
    let elsewhere = Host { limits: Limits { elsewhere: true, ..limited(root()).limits }, ..limited(root()) };
    let remedy =
        format!("it counts in the initial user namespace alone, and the caller is in another: {most}");
    assert_eq!(need(&elsewhere, "nofile=65"), [(purpose, false, remedy)]);
    assert_eq!(need(&limited(plain()), "nofile=64"), []);
    assert_eq!(need(&limited(plain()), "core=unlimited"), []);
    let failure = planned(&["--rlimit", "nofile=65", "true"], &limited(plain())).permitted().unwrap_err();
    let rule = "that takes CAP_SYS_RESOURCE, which the caller does not have";
    assert_eq!((failure.reason().as_str(), failure.hint.as_deref()), (rule, Some("ask for 64 at most")));
}

#[test]
fn a_resource_is_named_once_however_it_is_written() {
    let failure = plan(&["--rlimit", "cpu=1", "--rlimit", "RLIMIT_CPU=2", "true"], &plain()).unwrap_err();
    assert_eq!(failure.to_string(), "plan: cannot take --rlimit cpu: a resource is limited once");
}

#[test]
fn oom_score_adj_is_of_all_who_share_a_memory_so_nobody_does() {
    assert!(planned(&["--nice", "1", "--rlimit", "core=0", "true"], &plain()).shares_memory);
    assert!(!planned(&["--oom-score-adj", "1", "true"], &plain()).shares_memory);
}
