//! Decides how the command is held: who is its parent, what ends it, and what becomes of what outlives it.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::{Layout, Step};
use crate::failure::{Failure, Stage, shown};
use crate::host::Host;
use crate::namespace::Kind;
use crate::request::Request;
use crate::request::lifetime::{Leftovers, LifetimeArgs, StatusForm};
use crate::signal::Signal;

/// How long a command that was asked to end has for it.
const GRACE: Duration = Duration::from_secs(5);

/// The three ways to live.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Model {
    /// The command is seclude's own child.
    Fork,
    /// PID 1 of the new pid namespace is an init of seclude's, and the command is its child.
    Init,
    /// seclude becomes the command.
    Exec,
}

/// How far seclude's hold on the command's processes goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Containment {
    /// All are in a pid namespace that ends with seclude.
    PidNamespace,
    /// What the command leaves behind becomes seclude's, as long as seclude lives.
    Subreaper,
    None,
}

impl Containment {
    pub fn word(self) -> &'static str {
        match self {
            Containment::PidNamespace => "pidns",
            Containment::Subreaper => "subreaper",
            Containment::None => "none",
        }
    }
}

/// The command's life, decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifetime {
    pub model: Model,
    pub containment: Containment,
    pub leftovers: Leftovers,
    /// Whether the command leads a process group that seclude is not in.
    pub own_group: bool,
    /// Whether there may be a terminal for that to have, for a while.
    pub seeks_terminal: bool,
    pub new_session: bool,
    /// Whether the terminal is lent to the command before it runs.
    pub foreground: bool,
    pub timeout: Option<Duration>,
    /// How long it has from being asked to end until it is killed.
    pub grace: Duration,
    pub stop_signal: Signal,
    /// The process whose end ends the command.
    pub parent: Option<i32>,
    pub daemon: bool,
    pub pid_file: Option<PathBuf>,
    pub status: StatusForm,
    pub ok_status: Vec<u8>,
}

impl Lifetime {
    pub(super) fn decide(request: &Request, host: &Host, layout: &Layout) -> Result<Lifetime, Failure> {
        let asked = &request.lifetime;
        let makes_pid = layout.made.has(Kind::Pid);
        let model = match (asked.exec, makes_pid && !asked.as_pid1) {
            (true, _) => Model::Exec,
            (_, true) => Model::Init,
            _ => Model::Fork,
        };
        let containment = match model {
            Model::Exec => Containment::None,
            _ if makes_pid => Containment::PidNamespace,
            // Its orphans go to the PID 1 of the namespace that it lives in.
            _ if layout.joins(Kind::Pid) => Containment::None,
            _ => Containment::Subreaper,
        };
        check(asked, makes_pid, containment)?;
        let own_group = makes_pid || asked.new_session || asked.daemon;
        let parent = asked.die_with_parent.then_some(host.parent);
        if parent == Some(0) {
            let rule =
                "the caller is outside the pid namespace that seclude is in, and its end can't be seen";
            return Err(refuse("--die-with-parent".to_string(), rule));
        }
        Ok(Lifetime {
            model,
            containment,
            leftovers: asked.leftovers.unwrap_or(if makes_pid { Leftovers::Kill } else { Leftovers::Leave }),
            own_group,
            seeks_terminal: own_group && host.has_terminal != Some(false),
            new_session: asked.new_session,
            foreground: own_group && !asked.new_session && !asked.daemon && host.leads_terminal,
            timeout: asked.timeout,
            grace: asked.kill_after.unwrap_or(GRACE),
            stop_signal: asked.stop_signal.unwrap_or(Signal::TERM),
            parent,
            daemon: asked.daemon,
            pid_file: asked.pid_file.clone(),
            status: asked.status.unwrap_or_default(),
            ok_status: asked.ok_status.iter().map(|status| status.0).collect(),
        })
    }

    /// The steps that part the command from its caller's session, group and streams.
    pub(super) fn parting(&self, host: &Host) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.new_session {
            steps.push(Step::NewSession);
        } else if self.own_group {
            steps.push(Step::OwnGroup);
        }
        if self.daemon {
            steps.push(Step::Streams(host.passing_streams.clone()));
        }
        steps
    }

    /// Whether the kernel itself is to end the command with its parent: where no init sees to that.
    pub(super) fn dies_by_signal(&self, layout: &Layout) -> bool {
        self.model == Model::Fork && (self.parent.is_some() || layout.made.has(Kind::Pid))
    }
}

fn refuse(object: String, rule: &str) -> Failure {
    Failure::refused(Stage::Plan, "take", object, rule)
}

/// What goes only with something else, or not at all.
fn check(asked: &LifetimeArgs, makes_pid: bool, containment: Containment) -> Result<(), Failure> {
    let refuse_unless = |holds: bool, object: &str, rule: &str| {
        if holds { Ok(()) } else { Err(refuse(object.to_string(), rule)) }
    };
    let rule = "with --exec there is no new pid namespace to be PID 1 of";
    refuse_unless(!(asked.as_pid1 && asked.exec), "--as-pid1", rule)?;
    let parental = [
        ("--daemon", asked.daemon),
        ("--pid-file", asked.pid_file.is_some()),
        ("--timeout", asked.timeout.is_some()),
        ("--kill-after", asked.kill_after.is_some()),
        ("--stop-signal", asked.stop_signal.is_some()),
        ("--die-with-parent", asked.die_with_parent),
        ("--leftovers", asked.leftovers.is_some()),
        ("--status", asked.status.is_some()),
        ("--ok-status", !asked.ok_status.is_empty()),
    ];
    if let Some((option, _)) = parental.iter().find(|(_, asked)| *asked).filter(|_| asked.exec) {
        let rule = "it takes a parent that stays, and with --exec none does";
        return Err(refuse(option.to_string(), rule));
    }
    let rule = "it is for a new pid namespace: add --unshare pid";
    refuse_unless(!asked.as_pid1 || makes_pid, "--as-pid1", rule)?;
    let rule = "it is what --timeout sends: add --timeout";
    refuse_unless(asked.stop_signal.is_none() || asked.timeout.is_some(), "--stop-signal", rule)?;
    let rule = "a command in the background outlives seclude's caller: it contradicts --daemon";
    refuse_unless(!(asked.daemon && asked.die_with_parent), "--die-with-parent", rule)?;
    let rule = "with --daemon seclude returns before the command has a status";
    for (option, asked_too) in
        [("--status", asked.status.is_some()), ("--ok-status", !asked.ok_status.is_empty())]
    {
        refuse_unless(!(asked.daemon && asked_too), option, rule)?;
    }
    if let Some(path) = &asked.pid_file {
        let object = format!("--pid-file {}", shown(path));
        let text = path.as_os_str().as_bytes();
        let names_file = path.file_name().is_some() && !text.ends_with(b"/") && !text.ends_with(b"/.");
        refuse_unless(names_file, &object, "it is no file's name")?;
    }
    match (asked.leftovers, containment) {
        (Some(Leftovers::Leave), Containment::PidNamespace) => {
            Err(refuse("--leftovers leave".to_string(), "the end of its PID 1 ends all of a pid namespace"))
        }
        (Some(Leftovers::Wait), Containment::PidNamespace) if asked.as_pid1 => {
            let rule = "the command is PID 1, and its end ends all of its pid namespace";
            Err(refuse("--leftovers wait".to_string(), rule))
        }
        (Some(how @ (Leftovers::Wait | Leftovers::Kill)), Containment::None) => {
            let word = if how == Leftovers::Wait { "wait" } else { "kill" };
            let rule = "what outlives a command in a joined pid namespace belongs to the PID 1 of that";
            Err(refuse(format!("--leftovers {word}"), rule))
        }
        _ => Ok(()),
    }
}
