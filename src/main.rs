//! The edge: argv in, exit status out. The only place that prints to standard error or exits.
#![no_main]
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::mem::{ManuallyDrop, forget};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use seclude::background::{self, Back, Side};
use seclude::failure::{Failure, Stage};
use seclude::host::Host;
use seclude::pidfile::PidFile;
use seclude::plan::Plan;
use seclude::plan::lifetime::Model;
use seclude::report::{Report, coloured, plain};
use seclude::request::{Asked, Request, StyledStr};
use seclude::supervise::Post;
use seclude::sys::Heap;
use seclude::{doctor, host, launch, report, request, supervise, sys};

/// What seclude ends with where it refuses or fails.
const REFUSED: u8 = 125;

#[global_allocator]
static HEAP: Heap = Heap::new();

seclude::entry!(edge);

fn edge(args: &[OsString]) -> u8 {
    run(args).unwrap_or_else(|error| match error.downcast_ref::<Failure>() {
        Some(failure) => {
            say(failure);
            failure.exit_status()
        }
        None => {
            report::cry(&format!("seclude: {error}\n"));
            REFUSED
        }
    })
}

/// Tells a failure where reports go, and on standard error if that is somewhere else.
fn tell(failure: &Failure, report: &Report) {
    if !report.failed(failure) {
        say(failure);
    }
}

fn say(failure: &Failure) {
    let text = if has_colour(&stderr()) { coloured(failure) } else { plain(failure) };
    report::cry(&text);
}

fn run(args: &[OsString]) -> anyhow::Result<u8> {
    if sys::is_secure() {
        let rule = "its file, or a real id that is not the effective one, gives it privilege that its caller may \
                    lack, and its options would give that away";
        return Err(Failure::refused(
            Stage::Usage,
            "run",
            "set-uid, set-gid or with file capabilities",
            rule,
        )
        .into());
    }
    match request::read(args) {
        Err(failure) => {
            tell(&failure, &Report::open(&request::report_asked(args))?);
            Ok(failure.exit_status())
        }
        Ok(Asked::Text(text)) => Ok(print(&text).map(|()| 0)?),
        Ok(Asked::Request(request)) => {
            let request = ManuallyDrop::new(request);
            let report = Report::open(&request.report)?;
            Ok(carry_out(&request, &report).unwrap_or_else(|failure| {
                tell(&failure, &report);
                failure.exit_status()
            }))
        }
    }
}

/// Prints help or version, in colour where there is somebody to see it.
fn print(text: &StyledStr) -> Result<(), Failure> {
    let text = if has_colour(&stdout()) { text.ansi().to_string() } else { text.to_string() };
    match stdout().write_all(text.as_bytes()).and_then(|()| stdout().flush()) {
        // Whoever reads it has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        answer => answer.map_err(|error| {
            let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
            Failure::errno(Stage::Report, "write", "to standard output", errno)
        }),
    }
}

/// Ask, decide, do, tell.
// On the stack where the parser was, and not above it.
#[inline(never)]
fn carry_out(request: &Request, report: &Report) -> Result<u8, Failure> {
    if request.report.doctor {
        let findings = doctor::examine(request);
        report.found(&findings)?;
        return Ok(if findings.iter().all(|finding| finding.answer.is_ok()) { 0 } else { REFUSED });
    }
    // To take down what goes with the process anyway would only keep its caller waiting.
    let host = ManuallyDrop::new(Host::probe(request)?);
    let plan = ManuallyDrop::new(Plan::new(request, &host).map_err(host::named)?);
    if request.report.dry_run {
        return report.planned(&plan).map(|()| 0);
    }
    match (plan.lifetime.model, plan.lifetime.daemon) {
        (Model::Exec, _) => {
            report.end_with_exec(|fd| plan.keeps(fd))?;
            Err(launch::exec(&plan, report.descriptor(), |standing| report.started(&plan, standing)))
        }
        (_, false) => attend(&plan, report, &mut None),
        (_, true) => match background::part()? {
            Side::Front(status) => Ok(status),
            Side::Back(back) => behind(&plan, report, back),
        },
    }
}

/// Launches the command, stays with it, and ends as it did. The front, if there is one, is told once it runs.
fn attend(plan: &Plan, report: &Report, back: &mut Option<Back>) -> Result<u8, Failure> {
    let post = Post::take(plan)?;
    let held = launch::hold(plan)?;
    let file = plan.lifetime.pid_file.clone().map(PidFile::reserve).transpose();
    let told = file
        .and_then(|file| report.started(plan, &held.standing).map(|()| file))
        .and_then(|file| back.as_ref().map_or(Ok(()), Back::has_front).map(|()| file));
    let pid_file = match told {
        Ok(pid_file) => pid_file,
        Err(failure) => {
            // Undone first: a signal that waits can end us as soon as it is let through.
            drop(held);
            launch::let_go(plan);
            return Err(failure);
        }
    };
    let mut launched = held.release()?;
    if let Some(file) = &pid_file {
        file.fill(launched.real_pid).inspect_err(|_| launched.kill())?;
    }
    let kept: Vec<_> = report.descriptor().into_iter().chain(back.as_ref().map(AsRawFd::as_raw_fd)).collect();
    // The front ends when nothing of the caller's is held here any more.
    let parted = || back.take().into_iter().for_each(|back| back.say(0));
    let end = supervise::wait(&mut launched, plan, &post, &kept, parted)?;
    drop(pid_file);
    // The command has run: a report that can't be written now must not hide how it ended.
    let _ = report.ended(plan, &launched, &end);
    end.reraise(&plan.lifetime);
    // The kernel closes what is open soon enough.
    forget(launched);
    Ok(end.exit_status(&plan.lifetime))
}

/// The same in the background, where a failure is told before the front ends, while the caller still listens.
fn behind(plan: &Plan, report: &Report, back: Back) -> Result<u8, Failure> {
    let mut back = Some(back);
    let answer = attend(plan, report, &mut back);
    match (&answer, back) {
        (Err(failure), Some(back)) => {
            tell(failure, report);
            back.say(failure.exit_status());
            Ok(failure.exit_status())
        }
        _ => answer,
    }
}

fn has_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_some_and(|term| term != "dumb")
}
