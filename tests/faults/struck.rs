//! Strikes at each system call of a launch in turn, and judges what came of it: refused with its reason, or whole.

use std::process::Command;

use crate::machine::{can, seclude};
use crate::tracer::{Blow, Role, Strike, Trace, run};
use crate::{state, tells_why};

/// What the Rust runtime does for memory and hash keys is not the launch's, and nobody outlives a refused exit.
const SPARED: &[i64] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_sigaltstack,
    libc::SYS_getrandom,
    libc::SYS_exit_group,
];

struct Scenario {
    needs: &'static [&'static str],
    options: &'static [&'static str],
}

const PLAIN: Scenario = Scenario { needs: &[], options: &[] };
const CREDENTIALS: Scenario =
    Scenario { needs: &["root"], options: &["--user", "1234:1234", "--groups", "7,8"] };
const NAMESPACES: Scenario =
    Scenario { needs: &["userns"], options: &["-n", "user,pid,mount", "--mount-proc", "--user", "0:0"] };
/// A new time namespace takes a second clone.
const CARRIED: Scenario = Scenario {
    needs: &["userns"],
    options: &["-n", "user,time,ipc", "--time-offset", "monotonic=9", "--user", "0:0"],
};
/// By the child itself.
const SHARE: Scenario = Scenario {
    needs: &[],
    options: &[
        "--nice",
        "7",
        "--oom-score-adj",
        "500",
        "--sched",
        "batch",
        "--ioprio",
        "be:6",
        "--rlimit",
        "core=0",
    ],
};
/// By the launcher, on a child that is born elsewhere.
const SHARE_FROM_OUTSIDE: Scenario = Scenario {
    needs: &["userns"],
    options: &[
        "-n",
        "user,pid",
        "--user",
        "0:0",
        "--nice",
        "7",
        "--oom-score-adj",
        "500",
        "--rlimit",
        "core=0:9",
    ],
};
const LANDLOCKED: Scenario = Scenario {
    needs: &["landlock"],
    options: &[
        "--no-new-privs",
        "--landlock-read",
        "/",
        "--landlock-connect",
        "443",
        "--landlock-scope",
        "signal",
    ],
};
/// Quiet, it is let go before its steps, and nobody hears of it again; the kernel ends it with its launcher.
const TIED: Scenario = Scenario { needs: &[], options: &["-q", "--die-with-parent"] };
const TIED_USER: Scenario =
    Scenario { needs: &["root"], options: &["-q", "--die-with-parent", "--user", "1234:1234"] };
const ALONE: Scenario =
    Scenario { needs: &["userns"], options: &["-q", "-n", "user,pid", "--user", "0:0", "--as-pid1"] };
const HEARD: Scenario = Scenario { needs: &[], options: &["--die-with-parent"] };
const ALL: [Scenario; 7] = [PLAIN, CREDENTIALS, NAMESPACES, CARRIED, SHARE, SHARE_FROM_OUTSIDE, LANDLOCKED];

impl Scenario {
    fn run(&self, strike: Option<Strike>) -> Trace {
        run(
            Command::new(seclude()).args(self.options).args(["--", "/bin/echo", "ran"]).current_dir("/"),
            strike,
        )
    }

    /// A launch that nobody strikes at, by which the others are measured.
    fn unharmed(&self) -> Trace {
        let trace = self.run(None);
        assert_eq!((trace.status, trace.out.as_str(), trace.left), (Some(0), "ran\n", 0), "{trace:?}");
        let is_quiet = self.options.contains(&"-q");
        assert!(trace.command.is_some() && (trace.release.is_some() || is_quiet), "{trace:?}");
        trace
    }

    /// Strikes at each call in turn; `judge` says what is wrong with the outcome.
    fn strike_all(
        &self,
        role: Role,
        blow: Blow,
        judge: impl Fn(&Trace, usize, &Trace) -> Option<String>,
    ) -> Vec<String> {
        let unharmed = self.unharmed();
        let calls = match role {
            Role::Launcher => &unharmed.launcher,
            Role::Child => &unharmed.child,
            Role::Init => &unharmed.init,
        };
        let struck = |number: &i64| !matches!(blow, Blow::Errno(_)) || !SPARED.contains(number);
        let mut wrong = Vec::new();
        for (index, number) in calls.iter().enumerate().filter(|(_, number)| struck(number)) {
            let trace = self.run(Some(Strike { role, index, blow }));
            if let Some(what) = judge(&unharmed, index, &trace) {
                let name = state::name(*number);
                let end = (trace.status, trace.signal, &trace.out, &trace.err);
                wrong.push(format!("{role:?} {index} {name} {blow:?}: {what}: {end:?}"));
            }
        }
        assert!(calls.len() > 8 || role == Role::Init, "only {calls:?}");
        wrong
    }

    fn fail_all(&self, errno: i32) {
        if can(self.needs) {
            let roles = [Role::Launcher, Role::Child, Role::Init];
            let wrong =
                roles.map(|role| self.strike_all(role, Blow::Errno(errno), refused_or_whole)).concat();
            assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        }
    }
}

/// Either the command never ran and the reason is told, or it ran as it would have without the fault.
fn refused_or_whole(unharmed: &Trace, _: usize, trace: &Trace) -> Option<String> {
    let refused = matches!(trace.status, Some(125..=127));
    match &trace.command {
        _ if trace.left > 0 => Some(format!("{} processes were left, or it hung", trace.left)),
        _ if trace.signal.is_some() => Some("it crashed".to_string()),
        _ if trace.orphaned => Some("it ended before its command".to_string()),
        _ if refused && !tells_why(&trace.err) => Some("no reason is told".to_string()),
        None if refused => None,
        None => Some("the command did not run, and it was not refused".to_string()),
        Some(_) if trace.command != unharmed.command => {
            Some(format!("the command ran, and its state differs: {}", differing(unharmed, trace)))
        }
        // Its exec or its end could not be heard of: it was ended, and that is told.
        Some(_) if refused && ENDED.iter().any(|words| trace.err.contains(words)) => None,
        Some(_) if refused => Some("the command ran, and the launch was refused".to_string()),
        Some(_) if trace.out != "ran\n" || trace.status != Some(0) => Some("the outcome differs".to_string()),
        Some(_) => None,
    }
}

const ENDED: [&str; 2] =
    ["\nseclude: handshake: cannot hear the child: ", "\nseclude: wait: cannot wait for the command: "];

fn differing(unharmed: &Trace, trace: &Trace) -> String {
    let (planned, found) =
        (unharmed.command.as_deref().unwrap_or(""), trace.command.as_deref().unwrap_or(""));
    let pairs = planned.lines().zip(found.lines()).filter(|(planned, found)| planned != found);
    pairs.map(|(planned, found)| format!("[{planned}] is [{found}]")).collect::<Vec<_>>().join(", ")
}

/// No process stays, and a command that was not released never begins.
fn gone_and_never_early(unharmed: &Trace, index: usize, trace: &Trace) -> Option<String> {
    let (release, _) = unharmed.release?;
    match &trace.command {
        _ if trace.left > 0 => Some(format!("{} processes were left", trace.left)),
        // The end of a launch has a call more or less, as the command's end and its signal come together or not.
        _ if trace.launcher.len() <= index && trace.out == "ran\n" => None,
        _ if trace.signal != Some(libc::SIGKILL) => Some("the launcher was not killed".to_string()),
        Some(_) if index < release => Some("the command ran before its release".to_string()),
        Some(_) if trace.command != unharmed.command => {
            Some(format!("state: {}", differing(unharmed, trace)))
        }
        _ => None,
    }
}

/// Until its release, a child's death is told by the launcher; after it, the channel's end is the exec's, and the death
/// is the command's.
fn told_how_it_died(unharmed: &Trace, index: usize, trace: &Trace) -> Option<String> {
    let message = "seclude: handshake: cannot hear the child before the command ran: it was ended by signal 9 (SIGKILL)\n";
    let (_, release) = unharmed.release?;
    // Whether the launcher has let it go when it comes to hear of that is a matter of chance.
    let hears = unharmed.child.iter().rposition(|number| *number == libc::SYS_read) == Some(index);
    let said = |calls: &[i64]| calls.iter().filter(|number| **number == libc::SYS_sendto).count();
    let unknown = said(&unharmed.child) == 2 && said(&unharmed.child[..index]) == 0;
    match trace.status {
        _ if trace.left > 0 => Some(format!("{} processes were left", trace.left)),
        _ if trace.command.is_some() => Some("the command ran".to_string()),
        Some(125) if index < release && trace.err == message => None,
        Some(137) if index >= release || hears => None,
        Some(125) if trace.err.ends_with(message) => None,
        // A second child that the launcher has not heard of yet: the first, which made it, has ended.
        Some(125) if unknown && trace.err.ends_with(": it exited with 125\n") => None,
        _ => Some("the outcome differs".to_string()),
    }
}

/// Before the release it is a failure that is told; after it, the command's end by a signal. The last calls come when the
/// command has ended and its status is on its way.
fn ended_with_its_init(_: &Trace, _: usize, trace: &Trace) -> Option<String> {
    let told = trace.err.ends_with(": it was ended by signal 9 (SIGKILL)\n");
    match trace.status {
        _ if trace.left > 0 => Some(format!("{} processes were left", trace.left)),
        Some(125) if told && trace.command.is_none() => None,
        Some(0) if trace.out == "ran\n" => None,
        Some(137) => None,
        _ => Some("the outcome differs".to_string()),
    }
}

/// Whoever is to end with its launcher does not begin without it.
fn never_began(_: &Trace, _: usize, trace: &Trace) -> Option<String> {
    match &trace.command {
        _ if trace.left > 0 => Some(format!("{} processes were left", trace.left)),
        _ if trace.signal != Some(libc::SIGKILL) => Some("the launcher was not killed".to_string()),
        Some(_) => Some("the command ran".to_string()),
        None => None,
    }
}

macro_rules! each {
    ($($name:ident $scenario:ident $errno:ident;)*) => {
        $(#[test] fn $name() { $scenario.fail_all(libc::$errno); })*
    };
}

each! {
    a_plain_launch_is_refused_or_whole_if_any_call_gives_eperm PLAIN EPERM;
    a_plain_launch_is_refused_or_whole_if_any_call_gives_enomem PLAIN ENOMEM;
    a_plain_launch_is_refused_or_whole_if_any_call_gives_eio PLAIN EIO;
    a_change_of_user_is_refused_or_whole_if_any_call_gives_eperm CREDENTIALS EPERM;
    a_change_of_user_is_refused_or_whole_if_any_call_gives_einval CREDENTIALS EINVAL;
    a_change_of_user_is_refused_or_whole_if_any_call_gives_enosys CREDENTIALS ENOSYS;
    new_namespaces_are_refused_or_whole_if_any_call_gives_eperm NAMESPACES EPERM;
    new_namespaces_are_refused_or_whole_if_any_call_gives_einval NAMESPACES EINVAL;
    new_namespaces_are_refused_or_whole_if_any_call_gives_enomem NAMESPACES ENOMEM;
    new_namespaces_are_refused_or_whole_if_any_call_gives_enosys NAMESPACES ENOSYS;
    a_share_of_the_machine_is_refused_or_whole_if_any_call_gives_eperm SHARE EPERM;
    a_share_of_the_machine_is_refused_or_whole_if_any_call_gives_eio SHARE EIO;
    a_share_from_outside_is_refused_or_whole_if_any_call_gives_eperm SHARE_FROM_OUTSIDE EPERM;
    a_share_from_outside_is_refused_or_whole_if_any_call_gives_enosys SHARE_FROM_OUTSIDE ENOSYS;
    a_restricted_launch_is_refused_or_whole_if_any_call_gives_eperm LANDLOCKED EPERM;
    a_restricted_launch_is_refused_or_whole_if_any_call_gives_enosys LANDLOCKED ENOSYS;
    a_second_clone_is_refused_or_whole_if_any_call_gives_eperm CARRIED EPERM;
    a_second_clone_is_refused_or_whole_if_any_call_gives_enomem CARRIED ENOMEM;
    a_second_clone_is_refused_or_whole_if_any_call_gives_enosys CARRIED ENOSYS;
}

#[test]
fn a_killed_launcher_leaves_nobody_and_runs_nothing_early() {
    for scenario in ALL.iter().filter(|scenario| can(scenario.needs)) {
        assert_eq!(scenario.strike_all(Role::Launcher, Blow::Kill, gone_and_never_early), [""; 0]);
    }
}

#[test]
fn a_killed_init_takes_all_with_it_and_is_told() {
    if can(NAMESPACES.needs) {
        assert!(NAMESPACES.unharmed().init.len() > 4, "init makes calls");
        assert_eq!(NAMESPACES.strike_all(Role::Init, Blow::Kill, ended_with_its_init), [""; 0]);
    }
}

#[test]
fn a_killed_child_is_told_with_the_signal_that_ended_it() {
    for scenario in ALL.iter().filter(|scenario| can(scenario.needs)) {
        assert_eq!(scenario.strike_all(Role::Child, Blow::Kill, told_how_it_died), [""; 0]);
    }
}

/// No CVE: a launcher that dies before its child asks for the signal of that is never told of.
#[test]
fn a_command_that_is_to_end_with_its_launcher_does_not_begin_without_it() {
    for scenario in [TIED, TIED_USER, ALONE, HEARD].iter().filter(|scenario| can(scenario.needs)) {
        assert_eq!(scenario.strike_all(Role::Child, Blow::Bereave, never_began), [""; 0]);
    }
}
