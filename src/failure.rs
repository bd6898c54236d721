//! How anything says no: at which stage, about which object, for what cause, and what would help. It decides nothing.

use std::ffi::OsStr;
use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitStatus;

use nix::errno::Errno;

macro_rules! stages {
    ($($name:ident $word:literal $meaning:literal,)*) => {
        /// A step of the launch; also a word in the report and a row of the man page.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Stage { $(#[doc = $meaning] $name,)* }

        impl Stage {
            /// Every stage, in the order in which a launch meets them.
            pub const ALL: &[Stage] = &[$(Stage::$name,)*];

            /// The word that messages and the report use.
            pub const fn word(self) -> &'static str {
                match self { $(Stage::$name => $word,)* }
            }

            /// What happens in this stage, for the man page.
            pub const fn meaning(self) -> &'static str {
                match self { $(Stage::$name => $meaning,)* }
            }
        }
    };
}

stages! {
    Usage "usage" "the command line is read",
    Config "config" "a file of options is read",
    Account "account" "users and groups are looked up",
    Probe "probe" "the machine is asked what the plan needs to know",
    Plan "plan" "the launch is decided",
    Report "report" "the report is opened or written",
    Proc "proc" "/proc is opened and shown to be procfs",
    Channel "channel" "the channels between parent and child are made",
    Clone "clone" "the child is cloned into its new namespaces",
    MapUid "map-uid" "uid_map is written and read back",
    Setgroups "setgroups" "setgroups(2) is denied in the new user namespace",
    MapGid "map-gid" "gid_map is written and read back",
    Handshake "handshake" "parent and child wait for each other",
    Unshare "unshare" "namespaces are made in place",
    Init "init" "init becomes PID 1 of the new pid namespace, and makes the command's process",
    NoUserns "no-userns" "further user namespaces are forbidden",
    Join "join" "existing namespaces are entered",
    TimeOffset "time-offset" "the clocks of a new time namespace are set",
    Loopback "loopback" "the loopback interface of a new net namespace is brought up",
    Hostname "hostname" "the host name is set",
    Domainname "domainname" "the NIS domain name is set",
    Propagation "propagation" "the propagation of the new mount namespace is set",
    Root "root" "the root is changed",
    MountProc "mount-proc" "a fresh /proc is mounted",
    Session "session" "the command gets a session or a process group of its own",
    Streams "streams" "standard streams are turned to /dev/null",
    Nice "nice" "the niceness is set",
    OomScoreAdj "oom-score-adj" "oom_score_adj is written and read back",
    CpuAffinity "cpu-affinity" "the CPUs that the command runs on are set",
    IoPriority "ioprio" "the I/O priority is set",
    Scheduling "sched" "the scheduling policy is set",
    Umask "umask" "the file mode mask is set",
    Chdir "chdir" "the working directory is entered",
    Typing "typing" "the command is kept from typing into the caller's terminal",
    Bounding "bounding" "capabilities are taken from the bounding set",
    Securebits "securebits" "the secure bits are set",
    Groups "groups" "the supplementary groups are set",
    Gid "gid" "the group ids are set",
    Uid "uid" "the user ids are set and shown not to be revocable",
    Capabilities "capabilities" "the capability sets are set",
    Seccomp "seccomp" "the command's system calls are filtered",
    NoNewPrivs "no-new-privs" "no_new_privs is set",
    Landlock "landlock" "what the command may reach is restricted by Landlock",
    DeathSignal "death-signal" "the parent-death signal is set",
    Descriptors "descriptors" "descriptors from 3 up are closed",
    Limits "limits" "hard limits are raised before privilege is left behind, and the limits are set last",
    Persist "persist" "a namespace is bound to its path",
    Exec "exec" "the command is executed",
    PidFile "pid-file" "the pid file is made or written",
    Background "background" "seclude goes into the background",
    Wait "wait" "the command's end is awaited",
}

/// What stood in the way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The kernel's answer.
    Errno(Errno),
    /// The kernel's answer, in words that say more than its number does.
    Because(Errno, String),
    /// newuidmap or newgidmap did not end well.
    Helper { program: PathBuf, status: Option<ExitStatus>, stderr: String },
    /// A rule of seclude's, stated.
    Refused(String),
    /// An id inside that the command takes and no range of the maps holds.
    Unheld(Unheld),
}

/// Which id it is that the maps don't hold; its name, where it has one, is asked for only once this has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unheld {
    Uid(u32),
    Gid(u32),
}

/// A launch that did not happen: everything that a person needs to mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub stage: Stage,
    /// What was tried, as a verb: `write`, `become`, `mount`.
    pub verb: &'static str,
    /// What it was tried on, as the person wrote it.
    pub object: String,
    pub cause: Cause,
    /// What to do about it; only where that is known.
    pub hint: Option<Box<str>>,
}

impl Failure {
    pub fn errno(stage: Stage, verb: &'static str, object: impl Into<String>, errno: Errno) -> Failure {
        Failure { stage, verb, object: object.into(), cause: Cause::Errno(errno), hint: None }
    }

    /// A refusal by rule: `rule` says what holds, not what was found.
    pub fn refused(
        stage: Stage,
        verb: &'static str,
        object: impl Into<String>,
        rule: impl Into<String>,
    ) -> Failure {
        Failure { stage, verb, object: object.into(), cause: Cause::Refused(rule.into()), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into().into_boxed_str());
        self
    }

    /// The errno, where the kernel gave one.
    pub fn kernel_errno(&self) -> Option<Errno> {
        match self.cause {
            Cause::Errno(errno) | Cause::Because(errno, _) => Some(errno),
            _ => None,
        }
    }

    /// 127: the command was not found; 126: it was, and can't be executed; 125: all else.
    pub fn exit_status(&self) -> u8 {
        match (self.stage, self.kernel_errno()) {
            (Stage::Exec, Some(Errno::ENOENT)) => 127,
            (Stage::Exec, _) => 126,
            _ => 125,
        }
    }

    /// The reason alone: the right-hand side of the message.
    pub fn reason(&self) -> String {
        match &self.cause {
            Cause::Errno(errno) => format!("{} ({})", words(*errno), name(*errno)),
            Cause::Because(errno, text) => format!("{text} ({})", name(*errno)),
            Cause::Refused(rule) => rule.clone(),
            Cause::Unheld(_) => "no range of the map holds it in the INSIDE column".to_string(),
            Cause::Helper { program, status, stderr } => {
                let end = match status {
                    Some(status) => status.to_string(),
                    None => "did not end in time".to_string(),
                };
                let program = shown(program);
                match stderr.trim() {
                    "" => format!("{program}: {end}"),
                    text => format!("{program}: {end}: {}", shown(text)),
                }
            }
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}: cannot", self.stage.word())?;
        for word in [self.verb, &self.object].into_iter().filter(|word| !word.is_empty()) {
            write!(f, " {word}")?;
        }
        write!(f, ": {}", self.reason())
    }
}

impl std::error::Error for Failure {}

/// What strerror(3) says.
pub fn words(errno: Errno) -> String {
    let text = std::io::Error::from_raw_os_error(errno as i32).to_string();
    text.split_once(" (os error").map_or(text.clone(), |(words, _)| words.to_string())
}

/// The name that errno(3) gives a number: `EPERM`.
pub fn name(errno: Errno) -> String {
    format!("{errno:?}")
}

/// Text from outside, safe for a terminal: control bytes, C1 included, and bytes that are no UTF-8 as `\xNN`.
pub fn shown(text: impl AsRef<OsStr>) -> String {
    let mut out = String::new();
    for chunk in text.as_ref().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                '\\' => out.push_str("\\\\"),
                c if c.is_control() || is_invisible(c) => {
                    let mut bytes = [0; 4];
                    c.encode_utf8(&mut bytes).bytes().for_each(|b| escape(&mut out, b));
                }
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|b| escape(&mut out, *b));
    }
    out
}

fn escape(out: &mut String, byte: u8) {
    let _ = write!(out, "\\x{byte:02x}");
}

/// Marks that turn text around or hide it, so that a message could be read as another.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_stage_object_reason_and_errno() {
        let failure = Failure::errno(Stage::MapUid, "write", "0 0 1 to uid_map", Errno::EPERM);
        assert_eq!(
            failure.to_string(),
            "map-uid: cannot write 0 0 1 to uid_map: Operation not permitted (EPERM)"
        );
        assert_eq!(failure.exit_status(), 125);
    }

    #[test]
    fn control_bytes_never_reach_the_terminal() {
        assert_eq!(shown(OsStr::from_bytes(b"/no\x1b[31m\x9b\n")), "/no\\x1b[31m\\x9b\\n");
        assert_eq!(shown("C1 \u{9b} and \u{202e}"), "C1 \\xc2\\x9b and \\xe2\\x80\\xae");
        assert_eq!(shown("größe"), "größe");
    }

    #[test]
    fn exec_failures_tell_absent_from_not_executable() {
        let status = |errno| Failure::errno(Stage::Exec, "execute", "x", errno).exit_status();
        assert_eq!(status(Errno::ENOENT), 127);
        assert_eq!(status(Errno::EACCES), 126);
        assert_eq!(status(Errno::ENOEXEC), 126);
    }

    #[test]
    fn stage_words_are_distinct() {
        let mut words: Vec<_> = Stage::ALL.iter().map(|stage| stage.word()).collect();
        words.sort();
        words.dedup();
        assert_eq!(words.len(), Stage::ALL.len());
    }
}
