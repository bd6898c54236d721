//! Who may do what: the outcome of each line of options for each kind of caller, refusals included.

#[path = "machine/mod.rs"]
mod machine;
#[path = "matrix/lifetime.rs"]
mod lifetime;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use machine::{GRANT, GRANTED, Outcome, STRANGER, can, seclude};

/// A kind of caller.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// All capabilities; in a mount namespace of the test's own.
    Root,
    /// A user to whom /etc/subuid and /etc/subgid grant ids.
    Granted,
    /// A user to whom nothing is granted.
    Stranger,
    /// Root of a user namespace that may have no more of them.
    Off,
}

/// Options, what a shell shows inside, and the outcome for root, a user with grants, one without, and one whose user
/// namespaces are off: `ok` and what is shown, or the status and the stage. {uid} and {gid} are the caller's.
type Row = (&'static str, &'static str, [&'static str; 4]);

const PLAN: &str = "ok command sh -c 'exit 9' namespaces the caller's";
const PLAN_OF_ALL: &str = "ok command sh -c 'exit 9' namespaces new user,pid,mount,net,uts,ipc,cgroup,time";
const AHEAD: &str = "ok monotonic 0 0 boottime 9 0";
const IDS: &str = "id -u; id -g";
const GROUPS: &str = "id -G";
const FIRST: &str = "echo $$";
/// A new net namespace has none.
const ROUTES: &str = "tail -n +2 /proc/net/route | wc -l";
const UID_MAP: &str = "cat /proc/self/uid_map";
const CLOCKS: &str = "cat /proc/self/timens_offsets";

const ROWS: &[Row] = &[
    ("", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("--user 1234:1235", IDS, ["ok 1234 1235", "125 plan", "125 plan", "125 plan"]),
    ("--user nobody", IDS, ["ok 65534 65534", "125 plan", "125 plan", "125 plan"]),
    ("--user {uid}:{gid} --groups keep", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("--user 0:0", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    ("--group 1235", IDS, ["ok 0 1235", "125 plan", "125 plan", "125 plan"]),
    ("--groups 7,8", GROUPS, ["ok 0 7 8", "125 plan", "125 plan", "125 plan"]),
    ("--groups keep", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("-n user", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "125 clone"]),
    ("-n user --user 0:0", IDS, ["ok 0 0", "ok 0 0", "ok 0 0", "125 clone"]),
    ("-n user --user 1234:1235", IDS, ["ok 1234 1235", "ok 1234 1235", "ok 1234 1235", "125 plan"]),
    ("-n user --user 0:0 --groups 7", IDS, ["ok 0 0", "125 plan", "125 plan", "125 plan"]),
    ("-n mount", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    ("-n pid", FIRST, ["ok 2", "125 plan", "125 plan", "ok 2"]),
    ("-n net", ROUTES, ["ok 0", "125 plan", "125 plan", "ok 0"]),
    ("-n uts --hostname box", "uname -n", ["ok box", "125 plan", "125 plan", "ok box"]),
    ("-n ipc", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    ("-n cgroup", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    ("-n time --time-offset boottime=9", CLOCKS, [AHEAD, "125 plan", "125 plan", AHEAD]),
    ("-n user,mount --user 0:0", IDS, ["ok 0 0", "ok 0 0", "ok 0 0", "125 clone"]),
    ("-n user,pid --user 0:0", FIRST, ["ok 2", "ok 2", "ok 2", "125 clone"]),
    ("-n user,net --user 0:0", ROUTES, ["ok 0", "ok 0", "ok 0", "125 clone"]),
    ("-n user,uts --user 0:0 --hostname box", "uname -n", ["ok box", "ok box", "ok box", "125 clone"]),
    ("-n user,ipc,cgroup --user 0:0", IDS, ["ok 0 0", "ok 0 0", "ok 0 0", "125 clone"]),
    ("-n user,time --user 0:0 --time-offset boottime=9", CLOCKS, [AHEAD, AHEAD, AHEAD, "125 clone"]),
    ("-n all --user 0:0", FIRST, ["ok 2", "ok 2", "ok 2", "125 clone"]),
    ("--map self", UID_MAP, ["ok 0 0 1", "ok {uid} {uid} 1", "ok {uid} {uid} 1", "125 clone"]),
    ("--map auto --user 0:0", UID_MAP, ["125 plan", "ok 0 {grant} 65536", "125 plan", "125 plan"]),
    ("--map auto --user 7:8 --groups 9", "id -u; id -G", ["125 plan", "ok 7 8 9", "125 plan", "125 plan"]),
    (
        "--map self --map-uid 100:{grant}:5",
        UID_MAP,
        ["ok 0 0 1 100 {grant} 5", "ok 100 {grant} 5 {uid} {uid} 1", "125 plan", "125 plan"],
    ),
    ("--map all", IDS, ["ok 0 0", "125 plan", "125 plan", "125 clone"]),
    ("--map-uid 0:{uid}:1 --map-gid 0:{gid}:1 --user 0:0", IDS, ["ok 0 0", "ok 0 0", "ok 0 0", "125 clone"]),
    ("--map-uid 0:1:1 --map-gid 0:1:1 --user 0:0", IDS, ["ok 0 0", "125 plan", "125 plan", "125 plan"]),
    ("--map-uid 0:{uid}:1 --user 5:0", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    (
        "-n user --setgroups deny --user 0:0",
        "cat /proc/self/setgroups",
        ["ok deny", "ok deny", "ok deny", "125 clone"],
    ),
    (
        "-n user,pid,mount --user 0:0 --mount-proc",
        "echo /proc/[0-9]*",
        ["ok /proc/1 /proc/2", "ok /proc/1 /proc/2", "ok /proc/1 /proc/2", "125 clone"],
    ),
    ("-n pid --mount-proc", FIRST, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("-n user,mount --user 0:0 --root {dir} -- /none", "", ["127 exec", "127 exec", "127 exec", "125 clone"]),
    ("--root {dir} -- /none", "", ["127 exec", "125 plan", "125 plan", "127 exec"]),
    ("--join net={pid}", IDS, ["ok 0 0", "125 plan", "125 plan", "125 join"]),
    ("--join user={pid}", IDS, ["125 join", "125 join", "125 join", "125 join"]),
    ("-n uts --persist uts={dir}/kept", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    (
        "-n user,uts --user 0:0 --persist uts={dir}/kept-too",
        IDS,
        ["ok 0 0", "125 plan", "125 plan", "125 clone"],
    ),
    ("--hostname box", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    (
        "--no-new-privs",
        "grep NoNewPrivs /proc/self/status",
        ["ok NoNewPrivs: 1", "ok NoNewPrivs: 1", "ok NoNewPrivs: 1", "ok NoNewPrivs: 1"],
    ),
    ("--nice 5 --rlimit nofile=32", "nice; ulimit -n", ["ok 5 32", "ok 5 32", "ok 5 32", "ok 5 32"]),
    (
        "--oom-score-adj 9 -n user --user 0:0",
        "cat /proc/self/oom_score_adj",
        ["ok 9", "ok 9", "ok 9", "125 clone"],
    ),
    ("--sched fifo:1", IDS, ["ok 0 0", "125 sched", "125 sched", "125 sched"]),
    ("--dry-run -q --user 1234:1235", "exit 9", [PLAN, PLAN, PLAN, "125 plan"]),
    ("--dry-run -n all --user 0:0", "exit 9", [PLAN_OF_ALL, PLAN_OF_ALL, PLAN_OF_ALL, PLAN_OF_ALL]),
    ("--usr 0", IDS, ["125 usage", "125 usage", "125 usage", "125 usage"]),
    ("/none", "", ["127 exec", "127 exec", "127 exec", "127 exec"]),
    ("/", "", ["126 exec", "126 exec", "126 exec", "126 exec"]),
];

#[test]
fn root_gets_what_it_asks_for() {
    if can(&["root"]) {
        judge(Who::Root, 0, [0, 0]);
    }
}

#[test]
fn a_user_with_grants_gets_what_is_granted() {
    let ids = [nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw()];
    if machine::is_root() {
        if can(&["root", "newuidmap", "userns"]) {
            judge(Who::Granted, 1, [GRANTED; 2]);
        }
    } else if can(&["subids"]) {
        judge(Who::Granted, 1, ids);
    }
}

#[test]
fn a_user_without_grants_is_what_it_is() {
    if can(&["root", "userns"]) {
        judge(Who::Stranger, 2, [STRANGER; 2]);
    }
}

#[test]
fn where_user_namespaces_are_off_none_is_made() {
    if can(&["userns"]) {
        judge(Who::Off, 3, [0, 0]);
    }
}

#[test]
fn a_launch_within_a_launch_within_a_launch_works_without_privilege() {
    if !can(&["userns"]) {
        return;
    }
    let program = seclude().to_str().expect("a scratch path is text");
    let level = ["-q", "-n", "user,pid,mount", "--mount-proc", "--user", "0:0", "--", program];
    let mut args = [level, level, level].concat();
    args.pop();
    args.extend(["sh", "-c", "id -u; echo /proc/[0-9]*"]);
    let outcome = if machine::is_root() { machine::call_as(STRANGER, &args) } else { machine::call(&args) };
    assert_eq!((cell(&outcome), outcome.err), ("ok 0 /proc/1 /proc/2".to_string(), String::new()));
}

fn judge(who: Who, column: usize, [uid, gid]: [u32; 2]) {
    let dir = machine::scratch("matrix");
    let grant = if machine::is_root() { GRANT } else { granted(uid).unwrap_or(GRANT) }.to_string();
    let holder = std::process::id().to_string();
    let fill = |text: &str| {
        let dir = dir.to_str().expect("a scratch path is text");
        let text = text.replace("{uid}", &uid.to_string()).replace("{gid}", &gid.to_string());
        text.replace("{grant}", &grant).replace("{pid}", &holder).replace("{dir}", dir)
    };
    let mut wrong = Vec::new();
    for (options, show, cells) in ROWS.iter().chain(lifetime::ROWS) {
        let line = fill(options);
        let mut args: Vec<&str> = line.split_whitespace().collect();
        if !show.is_empty() {
            args.extend(["sh", "-c", show]);
        }
        let outcome = who.call(&args);
        let (expected, found) = (fill(cells[column]), cell(&outcome));
        if found != expected {
            wrong
                .push(format!("{options:?}: expected {expected:?}, found {found:?}: {}", outcome.err.trim()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} for {who:?}:\n{}",
        wrong.len(),
        ROWS.len() + lifetime::ROWS.len(),
        wrong.join("\n")
    );
}

/// The first id that /etc/subuid grants a user.
fn granted(uid: u32) -> Option<u32> {
    let name = nix::unistd::User::from_uid(uid.into()).ok()??.name;
    let text = fs::read_to_string("/etc/subuid").ok()?;
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let first = |fields: Vec<&str>| {
        fields.get(1)?.parse().ok().filter(|_| [&name, &uid.to_string()].contains(&&fields[0].into()))
    };
    fields.filter_map(first).next()
}

impl Who {
    fn call(self, args: &[&str]) -> Outcome {
        let through = |words: &[&str]| {
            let (program, rest) = words.split_first().expect("a program");
            machine::finish(Command::new(program).args(rest).arg(seclude()).args(args).current_dir("/"))
        };
        match self {
            Who::Root => {
                let nothing = BTreeMap::from(["subuid", "subgid"].map(|name| (name, String::new())));
                machine::call_with_etc(&nothing, 0, args)
            }
            Who::Granted if machine::is_root() => {
                let mut etc = machine::grants();
                // newuidmap serves those who have a name.
                let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
                etc.insert("passwd", format!("{users}granted:x:{GRANTED}:{GRANTED}::/:/bin/sh\n"));
                machine::call_with_etc(&etc, GRANTED, args)
            }
            Who::Granted => through(&["env"]),
            Who::Stranger => machine::call_as(STRANGER, args),
            Who::Off => {
                let script =
                    "for file in /etc/subuid /etc/subgid; do mount --bind /dev/null $file; done 2>/dev/null
                    echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
                through(&["unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
            }
        }
    }
}

/// `ok` and the output in one line, or the status and the stage that failed.
fn cell(outcome: &Outcome) -> String {
    let status = outcome.status.map_or("signal".to_string(), |status| status.to_string());
    let stage = outcome.err.lines().find_map(|line| {
        let (stage, _) = line.strip_prefix("seclude: ")?.split_once(": cannot ")?;
        Some(stage.to_string())
    });
    match stage {
        Some(stage) => format!("{status} {stage}"),
        None if status == "0" => {
            // The first lines of a plan are enough to tell it by.
            let words = outcome.out.lines().take(2).flat_map(str::split_whitespace);
            ["ok"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
        }
        None => format!("{status} no stage"),
    }
}
