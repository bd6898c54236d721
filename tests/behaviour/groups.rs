//! Supplementary groups where setgroups(2) is denied, or a map turns their order around: none of root's goes on to another in silence.

use crate::machine::{Outcome, caller, can, finish, scratch, seclude};

const HINT: &str = "seclude: hint: --groups keep lets another user have the caller's groups\n";

/// Calls seclude as root with groups 4 and 27; `OUTER` before it makes a user namespace with all ids that denies setgroups(2).
fn with_groups(script: &str) -> Outcome {
    let outer = "\"$0\" -q --map all --setgroups deny --user 0:0 --groups keep";
    caller(&script.replace("OUTER", outer).replace("GROUPS", "exec setpriv --groups 4,27"))
}

fn refused(script: &str, rule: &str) {
    let err = format!("seclude: plan: cannot set the supplementary groups: {rule}\n{HINT}");
    assert_eq!(with_groups(script).seen(), (Some(125), "", err.as_str()), "{script}");
}

#[test]
fn root_s_are_not_handed_to_another_by_setgroups_deny() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let rule = "--setgroups deny forbids it";
    refused(r#"GROUPS "$0" -n user --setgroups deny --user nobody echo ran"#, rule);
    refused(r#"GROUPS "$0" -n user --setgroups deny --user 1234:1234 echo ran"#, rule);
    refused(r#"GROUPS "$0" --map all --setgroups deny --user nobody echo ran"#, rule);
    let others = "--map-uid 0:100000:10 --map-gid 0:100000:10";
    refused(&format!(r#"GROUPS "$0" {others} --setgroups deny --user 5:5 echo ran"#), rule);
    refused(&format!(r#"GROUPS "$0" {others} --setgroups deny --user 0:0 echo ran"#), rule);
}

#[test]
fn root_s_are_not_handed_to_another_where_the_caller_s_namespace_denies_setgroups() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let rule = "setgroups(2) is denied in the caller's own user namespace, and so in every one below it";
    for options in
        ["--user nobody", "--user 1234:1234", "-n user --user nobody", "--map all --user 1234:1234"]
    {
        refused(&format!(r#"GROUPS OUTER "$0" {options} echo ran"#), rule);
    }
}

#[test]
fn they_stay_with_the_same_user_or_where_that_is_said() {
    if !can(&["root", "setpriv"]) {
        return;
    }
    let groups = r#"sh -c 'grep Groups: /proc/self/status'"#;
    for options in [
        r#"OUTER "$0" -q --user 0:0"#,
        r#"OUTER "$0" -q --user nobody --groups keep"#,
        r#""$0" -q -n user --setgroups deny --user 0:0"#,
    ] {
        let seen = with_groups(&format!("GROUPS {options} {groups}"));
        let shown = if options.contains("-n user") { "65534 65534" } else { "4 27" };
        assert_eq!(seen.seen(), (Some(0), format!("Groups:\t{shown} \n").as_str(), ""), "{options}");
    }
}

#[test]
fn a_directory_that_looks_like_proc_says_nothing_about_setgroups() {
    if !can(&["root", "setpriv", "unshare"]) {
        return;
    }
    let rule = "it is not procfs, and nothing that matters is read from or written to a place that only looks like it";
    let err = format!(
        "seclude: proc: cannot use /proc: {rule}\nseclude: hint: mount it: mount -t proc proc /proc\n"
    );
    for said in ["deny", "allow"] {
        let unasked = ["--user nobody", "--user 1234:1234"];
        for options in unasked.into_iter().chain(["-n user --user nobody", "--join user=1 --user 5:5"]) {
            let fake = format!(
                "mount -t tmpfs none /proc && mkdir /proc/self /proc/1 && echo {said} > /proc/self/setgroups"
            );
            let script =
                format!(r#"{fake} && exec setpriv --groups 4,27 "$0" {options} sh -c 'echo ran; id -G'"#);
            let mut command = std::process::Command::new("unshare");
            command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(seclude());
            let seen = finish(command.current_dir(scratch("fake")));
            match unasked.contains(&options) {
                // The kernel has said that groups may be set.
                true => assert_eq!((seen.status, seen.out.starts_with("ran\n")), (Some(0), true), "{seen:?}"),
                false => assert_eq!(seen.seen(), (Some(125), "", err.as_str()), "{said} {options}"),
            }
        }
    }
}

#[test]
fn a_map_that_turns_their_order_around_is_no_reason_to_refuse_them() {
    if !can(&["root"]) {
        return;
    }
    let maps = "--map-uid 0:0:1 --map-gid 0:5000:1 --map-gid 1:4000:1 --map-gid 2:3000:1";
    for exec in ["", "--exec"] {
        let seen = caller(&format!(
            r#"exec "$0" -q {exec} --user 0:0 {maps} --groups 0,1,2 grep Groups: /proc/self/status"#
        ));
        // The kernel keeps them in the order of their ids outside.
        assert_eq!(seen.seen(), (Some(0), "Groups:\t2 1 0 \n", ""), "{exec}");
    }
}
