//! The edge: argv in, exit status out. The only place that prints to standard error or exits.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsString;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::process::ExitCode;

use seclude::failure::{Failure, Stage};
use seclude::host::Host;
use seclude::plan::Plan;
use seclude::report::{Report, coloured};
use seclude::request::{Asked, Request};
use seclude::{doctor, host, launch, request, supervise, sys};

/// What seclude ends with where it refuses or fails.
const REFUSED: u8 = 125;

fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    ExitCode::from(run(&args).unwrap_or_else(|error| {
        let failure = error.downcast_ref::<Failure>();
        let text = match failure {
            Some(failure) if has_colour() => coloured(failure),
            _ => {
                let hint = failure.and_then(|failure| failure.hint.as_ref());
                let hint = hint.map(|hint| format!("seclude: hint: {hint}\n")).unwrap_or_default();
                format!("seclude: {error}\n{hint}")
            }
        };
        let _ = stderr().write_all(text.as_bytes());
        failure.map_or(REFUSED, Failure::exit_status)
    }))
}

fn run(args: &[OsString]) -> anyhow::Result<u8> {
    if sys::is_secure() {
        let rule =
            "its file gives it privilege that its caller does not have, and its options would give that away";
        return Err(Failure::refused(
            Stage::Usage,
            "run",
            "set-uid, set-gid or with file capabilities",
            rule,
        )
        .into());
    }
    match request::read(args)? {
        Asked::Text(text) => {
            let text = if stdout().is_terminal() { text.ansi().to_string() } else { text.to_string() };
            stdout().write_all(text.as_bytes())?;
            Ok(0)
        }
        Asked::Request(request) => {
            let report = Report::open(&request.report)?;
            match carry_out(&request, &report) {
                Err(failure) if report.failed(&failure) => Ok(failure.exit_status()),
                answer => Ok(answer?),
            }
        }
    }
}

/// Ask, decide, do, tell.
fn carry_out(request: &Request, report: &Report) -> Result<u8, Failure> {
    if request.report.doctor {
        let findings = doctor::examine(request);
        report.found(&findings)?;
        return Ok(if findings.iter().all(|finding| finding.answer.is_ok()) { 0 } else { REFUSED });
    }
    let host = Host::probe(request)?;
    let plan = Plan::new(request, &host).map_err(host::named)?;
    if request.report.dry_run {
        return report.planned(&plan).map(|()| 0);
    }
    let held = launch::hold(&plan)?;
    report.started(&plan, &held).inspect_err(|_| launch::let_go(&plan))?;
    let launched = held.release()?;
    let end = supervise::wait(&launched, &host.signal_mask)?;
    // The command has run: a report that can't be written now must not hide how it ended.
    let _ = report.ended(&plan, &launched, &end);
    Ok(end.way.exit_status())
}

fn has_colour() -> bool {
    stderr().is_terminal()
        && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && env::var_os("TERM").is_some_and(|term| term != "dumb")
}
