//! What the child needs, laid out in memory before the clone, so that it only has to walk. Nothing here runs after it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;

use libc::{c_char, rlimit};
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::Mode;

use crate::failure::{Failure, Stage};
use crate::namespace::Kind;
use crate::plan::{Environment, Plan, Ration, Step};
use crate::request::lifetime::Leftovers;
use crate::sys;

/// The child's memory. Every pointer is into the plan, which outlives the launch, or into the process's own environment.
pub struct Image<'a> {
    pub(super) steps: &'a [Step],
    /// Those of them that the launcher has taken by the time the child is let go.
    pub(super) from_outside: u32,
    /// Where the filters begin that are loaded last, with nothing after them but the exec.
    pub(super) late: usize,
    /// The namespaces of the Join steps, in their order.
    pub(super) joins: Vec<RawFd>,
    pub(super) proc: RawFd,
    pub(super) channel: RawFd,
    pub(super) parent_ends: [RawFd; 2],
    /// What stays open until the exec, in ascending order.
    pub(super) reserved: Vec<RawFd>,
    /// Init's end of the lifeline; -1 where there is no init.
    pub(super) life: RawFd,
    /// Init's signals, once it has opened them.
    pub(super) signals: RawFd,
    /// Whether whoever becomes the command shares its parent's memory.
    pub(super) shares: bool,
    /// Whether init waits for all that outlives the command.
    pub(super) init_waits: bool,
    /// Whether nobody may trace the command before its exec.
    pub(super) undumpable: bool,
    pub(super) sets_clocks: bool,
    /// /dev/null, where standard streams are turned to it.
    pub(super) null: RawFd,
    /// Room for the groups to be read back into.
    pub(super) groups: Vec<u32>,
    pub(super) signal_mask: u64,
    /// RLIMIT_NOFILE as the caller had it, where more was needed and no step sets it.
    pub(super) nofile: Option<rlimit>,
    /// Ends with a null pointer, as the next two do.
    pub(super) candidates: Vec<*const c_char>,
    /// Whether the one candidate is a path, and not of a directory of PATH.
    pub(super) is_path: bool,
    pub(super) argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
    pub(super) inherited: *const *const c_char,
    pub(super) observe: bool,
    pub(super) hold: bool,
    /// Whether it says who it is before its exec.
    pub(super) says_who: bool,
    /// `self/ns/KIND` below /proc, a file per kind.
    pub(super) namespace_files: Vec<CString>,
}

/// The descriptors that the child works with; -1 for one that a launch does not have.
pub struct Ends {
    pub proc: RawFd,
    pub null: RawFd,
    pub channel: RawFd,
    pub life: RawFd,
    /// The parent's own ends, which the child closes first.
    pub parent: [RawFd; 2],
    /// What whoever becomes the command still has to write to or to read.
    pub told: [RawFd; 2],
    pub nofile: Option<rlimit>,
}

impl Ends {
    /// No channel, and /proc if there is one.
    pub fn none(proc: RawFd) -> Ends {
        Ends { proc, null: -1, channel: -1, life: -1, parent: [-1; 2], told: [-1; 2], nofile: None }
    }
}

impl<'a> Image<'a> {
    pub fn new(plan: &'a Plan, joins: &[OwnedFd], ends: &Ends) -> Image<'a> {
        let exec = &plan.exec;
        let pointers =
            |list: &[CString]| list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
        let (envp, inherited) = match &exec.environment {
            Environment::Inherited => (Vec::new(), sys::environ()),
            Environment::Exact(list) => {
                let list = list.iter().map(|text| text.as_ptr());
                (list.chain([ptr::null()]).collect(), ptr::null())
            }
        };
        let mut reserved = vec![ends.channel, ends.proc];
        reserved.extend(ends.told);
        let (mut groups, mut nofile) = (0, ends.nofile);
        for step in &plan.steps {
            match step {
                Step::Descriptors(kept) => reserved.extend(kept),
                Step::Groups(list) => groups = list.len(),
                Step::Ration(Ration::Limit(limit))
                    if limit.resource.number == libc::RLIMIT_NOFILE as usize =>
                {
                    nofile = None;
                }
                _ => {}
            }
        }
        reserved.retain(|fd| *fd > 2);
        reserved.sort_unstable();
        reserved.dedup();
        Image {
            steps: &plan.steps,
            from_outside: plan.from_outside as u32,
            late: plan
                .steps
                .iter()
                .rposition(|step| !matches!(step, Step::Filter { .. }))
                .map_or(0, |last| last + 1),
            joins: joins.iter().map(AsRawFd::as_raw_fd).collect(),
            proc: ends.proc,
            null: ends.null,
            channel: ends.channel,
            life: ends.life,
            signals: -1,
            shares: false,
            parent_ends: ends.parent,
            init_waits: plan.lifetime.leftovers == Leftovers::Wait,
            sets_clocks: plan.steps.iter().any(|step| matches!(step, Step::TimeOffsets(_))),
            undumpable: plan.steps.contains(&Step::Undumpable),
            reserved,
            groups: vec![0; groups + 1],
            signal_mask: exec.signal_mask,
            nofile,
            candidates: pointers(&exec.candidates),
            is_path: exec.is_path,
            argv: pointers(&exec.argv),
            envp,
            inherited,
            observe: plan.observe,
            hold: plan.hold,
            says_who: plan.says_who(),
            namespace_files: if plan.observe { namespace_files() } else { Vec::new() },
        }
    }
}

/// /dev/null, if the plan turns streams to it: opened while the caller's root is still there.
pub fn null(plan: &Plan) -> Result<Option<OwnedFd>, Failure> {
    if !plan.steps.iter().any(|step| matches!(step, Step::Streams(_))) {
        return Ok(None);
    }
    let failed = |errno| Failure::errno(Stage::Streams, "open", "/dev/null", errno);
    openat(AT_FDCWD, "/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty()).map(Some).map_err(failed)
}

fn namespace_files() -> Vec<CString> {
    let path = |kind: Kind| CString::new(format!("self/ns/{}", kind.file())).expect("no kind has a NUL");
    Kind::ALL.map(path).to_vec()
}
