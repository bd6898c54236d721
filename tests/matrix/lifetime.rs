//! The rows of the matrix that are about the command's life: who stays with it, what ends it, what may outlive it.

use super::{AHEAD, CLOCKS, FIRST, IDS, ROUTES, Row, UID_MAP};

/// Whether the shell leads its process group and its session.
const LEADS: &str =
    "read -r _ _ _ _ group session _ < /proc/$$/stat; echo $((group == $$)) $((session == $$))";
const STAY: &str = "sleep 60";

pub const ROWS: &[Row] = &[
    ("--as-pid1", FIRST, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("-n pid --as-pid1", FIRST, ["ok 1", "125 plan", "125 plan", "ok 1"]),
    ("-n user,pid --user 0:0 --as-pid1", FIRST, ["ok 1", "ok 1", "ok 1", "125 clone"]),
    ("--exec", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("--exec --user 1234:1235", IDS, ["ok 1234 1235", "125 plan", "125 plan", "125 plan"]),
    ("--exec --user nobody", IDS, ["ok 65534 65534", "125 plan", "125 plan", "125 plan"]),
    ("--exec -n user", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "125 unshare"]),
    ("--exec -n user --user 0:0", IDS, ["ok 0 0", "ok 0 0", "ok 0 0", "125 unshare"]),
    ("--exec -n user --user 1234:1235", IDS, ["ok 1234 1235", "ok 1234 1235", "ok 1234 1235", "125 plan"]),
    ("--exec --map auto --user 0:0", UID_MAP, ["125 plan", "ok 0 {grant} 65536", "125 plan", "125 plan"]),
    (
        "--exec --map-uid 0:1:1 --map-gid 0:1:1 --user 0:0",
        IDS,
        ["ok 0 0", "125 plan", "125 plan", "125 plan"],
    ),
    ("--exec -n mount", IDS, ["ok 0 0", "125 plan", "125 plan", "ok 0 0"]),
    ("--exec -n net", ROUTES, ["ok 0", "125 plan", "125 plan", "ok 0"]),
    ("--exec -n time --time-offset boottime=9", CLOCKS, [AHEAD, "125 plan", "125 plan", AHEAD]),
    (
        "--exec -n user,mount,net,uts,ipc,cgroup,time --user 0:0 --hostname box",
        "uname -n",
        ["ok box", "ok box", "ok box", "125 unshare"],
    ),
    ("--exec --join net={pid}", IDS, ["ok 0 0", "125 plan", "125 plan", "125 join"]),
    ("--exec -n pid", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("--exec --root {dir} -- /none", "", ["127 exec", "125 plan", "125 plan", "127 exec"]),
    ("--exec -- /none", "", ["127 exec", "127 exec", "127 exec", "127 exec"]),
    ("--exec --timeout 9", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("--timeout 99", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("--timeout 0.1", STAY, ["124 no stage", "124 no stage", "124 no stage", "124 no stage"]),
    (
        "--timeout 0.1 -n user,pid --user 0:0",
        STAY,
        ["124 no stage", "124 no stage", "124 no stage", "125 clone"],
    ),
    ("--timeout 0", IDS, ["125 usage", "125 usage", "125 usage", "125 usage"]),
    (
        "--timeout 99 --stop-signal INT --kill-after 1",
        IDS,
        ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"],
    ),
    ("--stop-signal INT", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("--die-with-parent", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("-n user,pid --user 0:0 --die-with-parent", FIRST, ["ok 2", "ok 2", "ok 2", "125 clone"]),
    ("--leftovers kill", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("--leftovers wait", IDS, ["ok 0 0", "ok {uid} {gid}", "ok {uid} {gid}", "ok 0 0"]),
    ("-n user,pid --leftovers leave", FIRST, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("", LEADS, ["ok 0 0", "ok 0 0", "ok 0 0", "ok 0 0"]),
    ("--new-session", LEADS, ["ok 1 1", "ok 1 1", "ok 1 1", "ok 1 1"]),
    ("--daemon", "exit 9", ["ok", "ok", "ok", "ok"]),
    ("--daemon -- /none", "", ["127 exec", "127 exec", "127 exec", "127 exec"]),
    ("--daemon --status exit", IDS, ["125 plan", "125 plan", "125 plan", "125 plan"]),
    ("--pid-file /none/pid", IDS, ["125 pid-file", "125 pid-file", "125 pid-file", "125 pid-file"]),
    ("--ok-status 9,TERM", "exit 9", ["ok", "ok", "ok", "ok"]),
    ("--ok-status 9,TERM", "exit 8", ["8 no stage", "8 no stage", "8 no stage", "8 no stage"]),
    ("--status exit", "kill -KILL $$", ["137 no stage", "137 no stage", "137 no stage", "137 no stage"]),
    (
        "--status reraise",
        "kill -KILL $$",
        ["signal no stage", "signal no stage", "signal no stage", "signal no stage"],
    ),
];
