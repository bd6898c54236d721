//! Carries a plan out in this very process, which becomes the command: no child, but for one that holds a user namespace.

use std::convert::Infallible;
use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::process;
use std::time::Instant;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::{Mode, fstat, fstatat};

use super::child::{self, Walk};
use super::guarded::Guarded;
use super::handshake::{self, MICROS, Message, WORDS};
use super::image::{Ends, Image};
use super::proc::Proc;
use super::{Standing, check, explain, joins, let_go, maps, number, observe, reads_proc};
use crate::failure::{Failure, Stage};
use crate::namespace::{Kind, Kinds};
use crate::plan::{Maps, Plan, Ration, Step};

const USER: Kinds = Kinds::NONE.with(Kind::User);

/// Takes every step, has `tell` say who the command will be, and becomes it. Returns only where that fails.
///
/// `told` is what `tell` writes to, and stays open until the exec.
pub fn exec(
    plan: &Plan,
    told: Option<RawFd>,
    tell: impl FnOnce(&Standing) -> Result<(), Failure>,
) -> Failure {
    let Err(failure) = run(plan, told, tell);
    let_go(plan);
    failure
}

fn run(
    plan: &Plan,
    told: Option<RawFd>,
    tell: impl FnOnce(&Standing) -> Result<(), Failure>,
) -> Result<Infallible, Failure> {
    let nofile = check(plan)?;
    let proc = reads_proc(plan).then(Proc::open).transpose()?;
    let joins = joins::open_all(plan, proc.as_ref())?;
    let own = proc.as_ref().map(Proc::own).transpose()?;
    let status = own.filter(|_| plan.observe).map(|dir| observe::open(&dir, "self")).transpose()?;
    let mut image = Image::new(
        plan,
        &joins,
        &Ends {
            told: [told.unwrap_or(-1), number(status.as_ref())],
            nofile,
            ..Ends::none(number(proc.as_ref()))
        },
    );
    // A step closes them.
    joins.into_iter().map(IntoRawFd::into_raw_fd).for_each(|_| {});

    let clock = || plan.is_timed().then(Instant::now);
    let since = clock();
    let (mut walk, mut words) = (Walk::new(), [0; WORDS]);
    let late = image.late;
    let steps = || plan.steps.iter().enumerate();
    for (index, step) in steps().filter(|(index, step)| *index < late && !hinders(step)) {
        let before = clock();
        match (step, &plan.maps) {
            (Step::Unshare(USER), Some(maps)) => own_user_namespace(plan, maps, proc.as_ref())?,
            _ => child::take_in_place(&mut walk, step, &mut image, &mut words)
                .map_err(|errno| explain::step(step, errno, plan))?,
        }
        words[MICROS + index] = before.map_or(0, |before| before.elapsed().as_micros() as u32);
    }
    child::look_in_place(&image, &mut words);
    let pid = process::id() as i32;
    let message = Message::own(words, pid);
    tell(&Standing::of(&message, pid, status.as_ref(), plan, since)?)?;
    child::restore_in_place(&image).map_err(|errno| explain::exec(errno, 0, plan))?;
    for (_, step) in steps().filter(|(index, step)| *index >= late || hinders(step)) {
        child::take_in_place(&mut walk, step, &mut image, &mut words)
            .map_err(|errno| explain::step(step, errno, plan))?;
    }
    let (errno, detail) = child::execute_in_place(&image);
    Err(explain::exec(errno, detail, plan))
}

/// Whether a step would hinder the telling: a limit is of memory, of files, of what is written to them.
fn hinders(step: &Step) -> bool {
    matches!(step, Step::Ration(Ration::Limit(_)))
}

/// Enters a new user namespace with its maps. One's own ids one maps from inside; any other take somebody who stays
/// outside: the namespace is then made by a child, mapped from here, and entered.
fn own_user_namespace(plan: &Plan, maps: &Maps, proc: Option<&Proc>) -> Result<(), Failure> {
    let proc = proc.expect("maps are written through /proc");
    let refused = |errno| explain::in_place(errno, USER);
    if maps.own_ids {
        unshare(CloneFlags::CLONE_NEWUSER).map_err(refused)?;
        return maps::write_all(maps, &proc.own()?, "self");
    }
    let (parent, childs) = handshake::channel(false).map_err(explain::channels)?;
    let parent = [parent.as_raw_fd(), -1];
    let ends = Ends { channel: childs.as_raw_fd(), parent, ..Ends::none(-1) };
    let image = Image::new(plan, &[], &ends);
    // It waits for a word that never comes, and is killed when all is done.
    let holder = child::clone(USER, image, false).map(Guarded::new).map_err(refused)?;
    let (dir, name) = proc.child(holder.pid, holder.pidfd())?;
    maps::write_all(maps, &dir, &name)?;
    let failed = |errno: Errno| Failure::errno(Stage::Unshare, "enter", "the new user namespace", errno);
    let file = openat(&dir, "ns/user", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty()).map_err(failed)?;
    let meant = fstat(&file).map_err(failed)?;
    setns(&file, CloneFlags::CLONE_NEWUSER).map_err(failed)?;
    let found = fstatat(proc.own()?, "ns/user", AtFlags::empty()).map_err(failed)?;
    if (meant.st_dev, meant.st_ino) != (found.st_dev, found.st_ino) {
        let rule = "the kernel agreed, and a second look shows something else";
        return Err(Failure::refused(Stage::Unshare, "enter", "the new user namespace", rule));
    }
    Ok(())
}
