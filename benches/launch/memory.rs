//! What a launcher that waits holds for itself: the private memory of all its processes, the command's own left out.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use crate::lab::{self, Lab, Variant};
use crate::{scenario, table};

/// How far apart two equal readings are, so that a launcher counts as waiting.
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, PartialEq, Default)]
struct Memory {
    processes: usize,
    private: usize,
    dirty: usize,
    /// Processes that nobody but root may look at.
    unread: usize,
}

pub fn run(lab: &Lab) {
    for name in ["s2", "s3"] {
        let Some(scenario) = scenario::ALL.iter().find(|scenario| scenario.name == name) else { continue };
        let lines = scenario.lines.iter();
        let variants = lines.map(|(label, line)| lab.variant(label, &line.replace("TARGET", "TARGET stay")));
        table::memory_head(&format!("{} · {}", name.to_uppercase(), scenario.title));
        for variant in variants.flatten() {
            match look(&variant, &lab.target()) {
                Ok(memory) => table::memory_row(
                    &variant.label,
                    memory.processes,
                    memory.private,
                    memory.dirty,
                    memory.unread,
                ),
                Err(why) => println!("left out: {}: {why}", variant.label),
            }
        }
    }
}

/// Launches a command that stays, and looks once it runs and its launcher does no more.
fn look(variant: &Variant, target: &Variant) -> io::Result<Memory> {
    let mut command = variant.command();
    let (uid, gid) = lab::plain();
    if lab::is_root() {
        command.uid(uid).gid(gid);
    }
    let mut launcher = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let runs = launcher.stdout.take().map_or(Ok(0), |mut stdout| stdout.read(&mut [0]));
    let answer = match runs {
        Ok(1) => settled(launcher.id(), &target.program),
        _ => Err(io::Error::other("the command never ran")),
    };
    drop(launcher.stdin.take());
    launcher.wait()?;
    answer
}

fn settled(launcher: u32, target: &std::path::Path) -> io::Result<Memory> {
    let target = fs::metadata(target)?;
    let mut last = Memory::default();
    // A launcher that never rests is one whose last reading is as good as any.
    for _ in 0..50 {
        sleep(PAUSE);
        let mut memory = Memory::default();
        for pid in family(launcher) {
            // Where the link can't be followed it is no command of ours, which anybody may look at.
            let is_target = fs::metadata(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| (exe.dev(), exe.ino()) == (target.dev(), target.ino()));
            if is_target {
                continue;
            }
            memory.processes += 1;
            match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
                Ok(text) => {
                    memory.private += kibibytes(&text, "Private_");
                    memory.dirty += kibibytes(&text, "Private_Dirty");
                }
                Err(_) => memory.unread += 1,
            }
        }
        if memory == last {
            break;
        }
        last = memory;
    }
    Ok(last)
}

/// The sum of the lines that begin so.
fn kibibytes(text: &str, start: &str) -> usize {
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok()).sum()
}

/// A process and all that descend from it.
fn family(first: u32) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids: Vec<u32> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let parent = |pid: u32| -> Option<u32> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok())
    };
    let parents: Vec<_> = pids.into_iter().filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let mut found = vec![first];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    found
}
