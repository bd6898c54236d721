//! What seclude ends with: by the command's signal where that was asked for, and with 0 for what counts as success.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::ends::{NONE, ended, everywhere, fate};
use crate::machine::processes::until;
use crate::machine::{caller, scratch, seclude, sh, started};

#[test]
fn reraise_ends_seclude_by_the_command_s_signal_and_leaves_no_core() {
    everywhere(|options| {
        if options.contains(&"--as-pid1") {
            return;
        }
        for (name, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("INT", 2), ("USR1", 10), ("64", 64)]
        {
            let dir = scratch("core");
            let script = format!("ulimit -S -c 0; kill -{name} $$");
            let mut command = Command::new("sh");
            command.args(["-c", "ulimit -c $(ulimit -H -c); exec \"$@\"", "sh"]).arg(seclude());
            command.args(options).args(["-q", "--status", "reraise", "sh", "-c", &script]);
            let mut child = started(command.current_dir(&dir).stdin(Stdio::null())).unwrap();
            until("its end", || child.try_wait().unwrap().is_some());
            let status = child.wait().unwrap();
            assert_eq!((status.signal(), status.core_dumped()), (Some(number), false), "{name} {options:?}");
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0, "{name}");
        }
    });
}

#[test]
fn reraise_is_about_signals_alone() {
    everywhere(|options| {
        let options = [options, &["-q", "--status", "reraise"]].concat();
        for status in [0, 1, 42, 137, 143, 255] {
            let seen = sh(&options, &format!("exit {status}"));
            assert_eq!((seen.status, seen.signal), (Some(status), None), "{options:?}");
        }
    });
    let (seen, record) = ended(&["--status", "reraise", "--timeout", "0.1"], "exec sleep 60");
    assert_eq!((seen.status, seen.signal, fate(&record).3), (Some(124), None, json!(124)));
    let (seen, record) = ended(&["--status", "reraise", "--ok-status", "TERM"], "kill -TERM $$");
    assert_eq!((seen.status, seen.signal, fate(&record).3), (Some(0), None, json!(0)));
    let (seen, record) = ended(&["--status", "reraise"], "kill -TERM $$");
    assert_eq!((seen.signal, fate(&record).3), (Some(15), json!(143)));
    let seen = sh(&["-q", "--status", "exit"], "kill -TERM $$");
    assert_eq!((seen.status, seen.signal), (Some(143), None));
}

#[test]
fn a_signal_that_the_caller_ignores_is_reraised_too() {
    let seen = caller(
        r#"exec env --ignore-signal=TERM "$0" -q --status reraise env --default-signal=TERM sh -c 'kill -TERM $$'"#,
    );
    assert_eq!((seen.status, seen.signal, seen.err.as_str()), (None, Some(15), ""));
}

#[test]
fn a_status_that_counts_as_success_becomes_0() {
    everywhere(|options| {
        let options = [options, &["-q", "--ok-status", "3,TERM", "--ok-status", "sigusr1,200"]].concat();
        for (script, status) in [
            ("exit 3", 0),
            ("exit 200", 0),
            ("exit 143", 0),
            ("exit 138", 0),
            ("exit 0", 0),
            ("exit 2", 2),
            ("exit 15", 15),
            ("exit 137", 137),
        ] {
            assert_eq!(sh(&options, script).seen(), (Some(status), "", ""), "{script} {options:?}");
        }
    });
    let (seen, record) = ended(&["--ok-status", "TERM"], "kill -TERM $$");
    assert_eq!((seen.status, fate(&record)), (Some(0), ("command", NONE, json!("SIGTERM"), json!(0))));
    assert_eq!(sh(&["-q", "--ok-status", "TERM"], "kill -KILL $$").status, Some(137));
    assert_eq!(sh(&["-q", "--ok-status", "124"], "exit 124").status, Some(0));
    assert_eq!(
        sh(&["-q", "--ok-status", "124,TERM,143", "--timeout", "0.1"], "exec sleep 60").status,
        Some(124)
    );
    assert_eq!(sh(&["-q", "--ok-status", "127", "--"], "exit 127").status, Some(0));
    assert_eq!(
        caller(r#"exec "$0" -q --ok-status 127 /none"#).status,
        Some(127),
        "seclude's own failure stays one"
    );
}
