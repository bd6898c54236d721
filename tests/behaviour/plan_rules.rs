//! Request × Host → Plan: what a command line would do on a machine that is written down here, with no system call at all.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use seclude::failure::Failure;
use seclude::host::{Account, Host, Limits, Side, SubRange};
use seclude::idmap::{IdMap, IdRange};
use seclude::namespace::{Kind, Kinds};
use seclude::plan::{Groups, MapWriter, Plan, Step};
use seclude::request::{Asked, Request, read};

pub fn asked(words: &[&str]) -> Request {
    let args: Vec<OsString> = ["seclude"].iter().chain(words).map(OsString::from).collect();
    match read(&args) {
        Ok(Asked::Request(request)) => *request,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// A user 1000 without privilege or grants.
pub fn plain() -> Host {
    let everything = IdMap::new(vec![IdRange { inside: 0, outside: 0, count: u32::MAX }]).unwrap();
    let side = Side { own_map: Some(everything), ..Side::default() };
    Host {
        uids: [1000; 3],
        gids: [1000; 3],
        groups: vec![24, 1000],
        capabilities: 0,
        permitted: 0,
        inheritable: 0,
        sets: None,
        user_side: side.clone(),
        group_side: side,
        denies_setgroups: false,
        joined: None,
        account: None,
        environment: vec![c"PATH=/usr/bin:/bin", c"HOME=/home/me"],
        open: Vec::new(),
        signal_mask: 0,
        parent: 999,
        seccomp: Vec::new(),
        kernel: (0, 0),
        landlock_abi: 0,
        has_terminal: None,
        lets_type: false,
        leads_terminal: false,
        passing_streams: Vec::new(),
        limits: Limits::default(),
    }
}

/// The same with 100 uids and gids granted, and the helpers.
fn granted() -> Host {
    let mut host = plain();
    for (side, helper) in [(&mut host.user_side, "newuidmap"), (&mut host.group_side, "newgidmap")] {
        side.grants = vec![SubRange { first: 100_000, count: 100 }, SubRange { first: 300_000, count: 10 }];
        side.helper = Some(PathBuf::from("/usr/bin").join(helper));
    }
    host
}

pub fn root() -> Host {
    Host {
        uids: [0; 3],
        gids: [0; 3],
        groups: vec![0],
        capabilities: u64::MAX,
        permitted: u64::MAX,
        ..plain()
    }
}

/// The account that `--user UID:GID` is: no database was asked.
pub fn numbered(host: Host, uid: u32) -> Host {
    Host { account: Some(Account { uid, entry: None, groups: None }), ..host }
}

pub fn plan(words: &[&str], host: &Host) -> Result<Plan, Failure> {
    Plan::new(&asked(words), host)
}

pub fn planned(words: &[&str], host: &Host) -> Plan {
    plan(words, host).unwrap_or_else(|failure| panic!("{words:?}: {failure}"))
}

/// Both maps as they would be typed, whether setgroups is denied, and whether the launch is permitted.
fn maps(words: &[&str], host: &Host) -> (String, String, bool, bool) {
    let plan = planned(words, host);
    let maps = plan.maps.as_ref().expect("a user namespace is made");
    (maps.uid.map.to_string(), maps.gid.map.to_string(), maps.deny_setgroups, plan.permitted().is_ok())
}

fn told(uid: &str, gid: &str, deny: bool, permitted: bool) -> (String, String, bool, bool) {
    (uid.to_string(), gid.to_string(), deny, permitted)
}

#[test]
fn nothing_asked_is_nothing_done() {
    let plan = planned(&["true"], &plain());
    assert_eq!((plan.layout.made, plan.maps, plan.needs), (Kinds::NONE, None, vec![]));
    assert_eq!((plan.identity.uid, plan.identity.gid, plan.identity.groups), (None, None, Groups::Keep));
    assert_eq!(plan.steps, [Step::Descriptors(vec![])]);
    let candidates: Vec<&str> = plan.exec.candidates.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(candidates, ["/usr/bin/true", "/bin/true"]);
}

#[test]
fn equal_inputs_are_equal_plans() {
    let words = ["-n", "all", "--user", "0:0", "--mount-proc", "--root", "/srv", "true"];
    let host = numbered(plain(), 0);
    assert_eq!(planned(&words, &host), planned(&words, &host.clone()));
}

#[test]
fn a_map_implies_a_user_namespace_and_no_other() {
    assert_eq!(planned(&["--map", "self", "true"], &plain()).layout.made, Kinds::NONE.with(Kind::User));
    assert_eq!(
        planned(&["--map-uid", "self", "-n", "net", "true"], &plain()).layout.made.to_string(),
        "user,net"
    );
}

#[test]
fn the_default_map_of_a_plain_user_is_its_one_id_as_what_was_chosen() {
    assert_eq!(maps(&["-n", "user", "true"], &plain()), told("1000:1000:1", "1000:1000:1", true, true));
    let zero = numbered(plain(), 0);
    assert_eq!(
        maps(&["-n", "user", "--user", "0:0", "true"], &zero),
        told("0:1000:1", "0:1000:1", true, true)
    );
}

#[test]
fn the_default_map_of_root_shows_no_privileged_id_as_another() {
    let host = numbered(root(), 65534);
    let words = ["-n", "user", "--user", "65534:65534", "--groups", "7", "true"];
    assert_eq!(maps(&words, &host), told("65534:65534:1", "7:7:1 65534:65534:1", false, true));
    // Without the capability there is no such choice, and none is made.
    let bare = Host { capabilities: 0, ..host };
    let failure = plan(&words, &bare).unwrap_err();
    assert_eq!(failure.exit_status(), 125);
    assert_eq!(failure.hint.as_deref(), Some("say it with --map-uid 65534:0:1"));
}

#[test]
fn who_may_write_comes_from_capabilities_and_never_from_uid_0() {
    let words = ["--map-uid", "0:5:2", "--user", "0:0", "--groups", "keep", "true"];
    assert!(planned(&words, &numbered(root(), 0)).permitted().is_ok());
    let bare = Host { capabilities: 0, ..numbered(root(), 0) };
    assert!(planned(&words, &bare).permitted().is_err());
    let able = Host { capabilities: u64::MAX, permitted: u64::MAX, ..numbered(plain(), 0) };
    assert!(planned(&words, &able).permitted().is_ok());
}

#[test]
fn a_granted_range_is_written_by_the_helper_and_setgroups_stays() {
    let host = numbered(granted(), 0);
    let auto = ["--map", "auto", "--user", "0:0", "true"];
    let map = "0:100000:100 100:300000:10";
    assert_eq!(maps(&auto, &host), told(map, map, false, true));
    let writer = planned(&auto, &host).maps.unwrap().gid.writer;
    assert_eq!(writer, MapWriter::Helper(PathBuf::from("/usr/bin/newgidmap")));
    let own = [
        "--map-uid",
        "0:1000:1",
        "--map-gid",
        "0:1000:1",
        "--map-gid",
        "1:100000:9",
        "--user",
        "0:0",
        "true",
    ];
    assert_eq!(maps(&own, &host), told("0:1000:1", "0:1000:1 1:100000:9", true, true));
}

#[test]
fn a_range_that_nobody_granted_is_planned_and_not_permitted() {
    let words = ["--map-uid", "0:100000:101", "--user", "0:0", "true"];
    let plan = planned(&words, &numbered(granted(), 0));
    let failure = plan.permitted().unwrap_err();
    assert_eq!(
        failure.hint.as_deref(),
        Some("without it, that takes a line of /etc/subuid that holds 100000-100100")
    );
    let without = Host { user_side: Side { helper: None, ..granted().user_side }, ..numbered(granted(), 0) };
    let plan = planned(&["--map-uid", "0:100000:9", "--user", "0:0", "true"], &without);
    let hint = plan.permitted().unwrap_err().hint;
    assert_eq!(hint.as_deref(), Some("without it, that takes newuidmap, of the package uidmap"));
}

#[test]
fn names_are_what_the_host_says_they_are() {
    let mut host = numbered(root(), 0);
    host.user_side.names = BTreeMap::from([("bob".to_string(), 4242)]);
    let words = ["--map-uid", "0:bob:1", "--map-uid", "bob:1:1", "--user", "0:0", "true"];
    assert_eq!(maps(&words, &host).0, "0:4242:1 4242:1:1");
}

#[test]
fn privilege_goes_last_and_in_the_order_that_can_work() {
    let words = ["--user", "7:8", "-C", "/x", "--umask", "22", "--no-new-privs", "true"];
    let plan = planned(&words, &numbered(root(), 7));
    let stages: Vec<&str> = plan.steps.iter().map(|step| step.stage().word()).collect();
    let expected = [
        "umask",
        "chdir",
        "bounding",
        "groups",
        "gid",
        "uid",
        "capabilities",
        "uid",
        "chdir",
        "no-new-privs",
        "descriptors",
    ];
    assert_eq!(stages, expected);
}

#[test]
fn mounts_come_in_the_order_propagation_root_proc_and_the_old_root_goes_last() {
    let words = ["-n", "user,pid,mount", "--user", "0:0", "--mount-proc", "--root", "/srv", "true"];
    let plan = planned(&words, &numbered(root(), 0));
    let steps: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
    let expected = [
        "start init as PID 1, and the command's process",
        "make all mounts private",
        "change the root to /srv",
        "mount a fresh procfs on /proc",
        "unmount the old root",
        "start a process group of its own",
    ];
    assert_eq!(steps[..6], expected);
}

#[test]
fn what_takes_an_entered_namespace_takes_a_second_clone() {
    let carried = |words: &[&str]| planned(words, &numbered(root(), 0)).layout.carried;
    assert_eq!(carried(&["-n", "user,pid,net", "--user", "0:0", "true"]), None);
    assert_eq!(carried(&["-n", "user,time", "--user", "0:0", "true"]), Some(Kinds::NONE));
    assert_eq!(carried(&["--join", "net=1", "true"]), None);
    assert_eq!(carried(&["--join", "pid=1", "true"]), Some(Kinds::NONE));
    assert_eq!(carried(&["--join", "user=1", "-n", "net", "true"]), Some(Kinds::NONE.with(Kind::Net)));
}

#[test]
fn the_default_groups_of_whoever_may_not_set_them_are_the_caller_s() {
    let host = numbered(plain(), 0);
    assert_eq!(planned(&["-n", "user", "--user", "0:0", "true"], &host).identity.groups, Groups::Denied);
    let failure = plan(&["-n", "user", "--user", "0:0", "--groups", "none", "true"], &host).unwrap_err();
    assert_eq!(
        failure.hint.as_deref(),
        Some("--groups keep leaves them, or map gids that /etc/subgid grants")
    );
}

#[test]
fn what_the_caller_s_own_namespace_denies_is_denied_below_it() {
    let host = Host { denies_setgroups: true, ..numbered(root(), 0) };
    let words = ["-n", "user", "--user", "0:0", "true"];
    assert_eq!(maps(&words, &host), told("0:0:1", "0:0:1", true, true));
    assert_eq!(planned(&words, &host).identity.groups, Groups::Denied);
    let failure = plan(&["-n", "user", "--user", "0:0", "--groups", "7", "true"], &host).unwrap_err();
    let rule = "setgroups(2) is denied in the caller's own user namespace, and so in every one below it";
    assert_eq!(
        (failure.reason().as_str(), failure.hint.as_deref()),
        (rule, Some("--groups keep leaves them"))
    );
}
