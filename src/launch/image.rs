//! What the child needs, laid out in memory before the clone, so that it only has to walk. Nothing here runs after it.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr;

use libc::c_char;
use nix::sys::signal::SigSet;

use super::handshake;
use crate::namespace::Kind;
use crate::plan::{Environment, Plan, Step};
use crate::sys;

/// The child's memory. Every pointer is into the plan, which outlives the launch, or into the process's own environment.
pub struct Image<'a> {
    pub(super) steps: &'a [Step],
    /// The namespaces of the Join steps, in their order.
    pub(super) joins: Vec<RawFd>,
    pub(super) proc: RawFd,
    pub(super) go: RawFd,
    pub(super) report: RawFd,
    pub(super) parent_ends: [RawFd; 2],
    /// What stays open until the exec, in ascending order, and the spans between, which are closed.
    pub(super) reserved: Vec<RawFd>,
    pub(super) gaps: Vec<(u32, u32)>,
    /// Room for the groups to be read back into.
    pub(super) groups: Vec<u32>,
    pub(super) signal_mask: SigSet,
    /// Ends with a null pointer, as the next two do.
    pub(super) candidates: Vec<*const c_char>,
    pub(super) argv: Vec<*const c_char>,
    pub(super) envp: Vec<*const c_char>,
    pub(super) inherited: *const *const c_char,
    pub(super) observe: bool,
    /// `self/ns/KIND` below /proc, a file per kind.
    pub(super) namespace_files: Vec<CString>,
}

impl<'a> Image<'a> {
    pub fn new(
        plan: &'a Plan,
        joins: &[OwnedFd],
        proc: Option<BorrowedFd>,
        child: &handshake::Child,
        parent: &handshake::Parent,
    ) -> Image<'a> {
        let exec = &plan.exec;
        let pointers =
            |list: &[CString]| list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect::<Vec<_>>();
        let (envp, inherited) = match &exec.environment {
            Environment::Inherited => (Vec::new(), sys::environ()),
            Environment::Exact(list) => (pointers(list), ptr::null()),
        };
        let (go, report) = (child.go.as_raw_fd(), child.report.as_raw_fd());
        let proc = proc.map_or(-1, |fd| fd.as_raw_fd());
        let mut reserved = vec![go, report, proc];
        let mut groups = 0;
        for step in &plan.steps {
            match step {
                Step::Descriptors(kept) => reserved.extend(kept),
                Step::Groups(list) => groups = list.len(),
                _ => {}
            }
        }
        reserved.retain(|fd| *fd > 2);
        reserved.sort_unstable();
        reserved.dedup();
        Image {
            steps: &plan.steps,
            joins: joins.iter().map(AsRawFd::as_raw_fd).collect(),
            proc,
            go,
            report,
            parent_ends: parent.numbers(),
            gaps: gaps(&reserved),
            reserved,
            groups: vec![0; groups + 1],
            signal_mask: exec.signal_mask,
            candidates: pointers(&exec.candidates),
            argv: pointers(&exec.argv),
            envp,
            inherited,
            observe: plan.observe,
            namespace_files: if plan.observe { namespace_files() } else { Vec::new() },
        }
    }
}

fn namespace_files() -> Vec<CString> {
    let path = |kind: Kind| CString::new(format!("self/ns/{}", kind.file())).expect("no kind has a NUL");
    Kind::ALL.map(path).to_vec()
}

/// The spans from 3 up between descriptors in ascending order.
fn gaps(reserved: &[RawFd]) -> Vec<(u32, u32)> {
    let mut gaps = Vec::with_capacity(reserved.len() + 1);
    let mut next = 3u32;
    for fd in reserved.iter().map(|fd| *fd as u32) {
        if fd > next {
            gaps.push((next, fd - 1));
        }
        next = fd + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_between_reserved_descriptors_is_closed() {
        assert_eq!(gaps(&[]), [(3, u32::MAX)]);
        assert_eq!(gaps(&[3, 4, 9]), [(5, 8), (10, u32::MAX)]);
        assert_eq!(gaps(&[5]), [(3, 4), (6, u32::MAX)]);
    }
}
