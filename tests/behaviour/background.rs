//! The two halves of a launch into the background, where one of them comes to grief.

use std::process::Command;

use crate::machine::{can, finish, scratch, seclude};

#[test]
fn a_front_that_is_killed_meanwhile_takes_the_launch_with_it() {
    if !can(&["bash"]) {
        return;
    }
    let dir = scratch("front");
    // The report waits for room in a pipe while the front is killed; then it is read.
    let script = r#"cd "$1" && mkfifo pipe && exec 7<>pipe && head -c 65536 /dev/zero >&7
        "$0" --daemon --report json --report-to fd:7 touch ran &
        front=$!
        until [ "$(cat /proc/$front/task/$front/children)" ]; do :; done 2>/dev/null
        kill -KILL $front; wait $front 2>/dev/null
        head -c 65536 <&7 >/dev/null
        read -r -t 20 -u 7 started; read -r -t 20 -u 7 failed
        echo "$started" | grep -o '"event":"[a-z]*"'; echo "$failed" | grep -o '"stage":"[a-z-]*"'"#;
    let seen = finish(Command::new("bash").args(["-c", script]).arg(seclude()).arg(&dir));
    assert_eq!(
        (seen.status, seen.out.as_str()),
        (Some(0), "\"event\":\"started\"\n\"stage\":\"background\"\n")
    );
    assert!(!dir.join("ran").exists());
}
