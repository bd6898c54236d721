//! What a launcher that waits holds for itself: the private memory of all its processes, the command's own left out.

use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

use crate::lab::{self, Lab, Variant};
use crate::measure::Memory;
use crate::{scenario, table};

/// How far apart two equal readings are, so that a launcher counts as waiting.
const PAUSE: Duration = Duration::from_millis(20);

/// Others of its kind, so that the text of the program, in memory once for all, is no longer counted as one's own.
const OTHERS: usize = 4;

/// A launch whose command has begun and stays.
struct Waiting(Child);

pub fn run(lab: &Lab) {
    for name in ["s2", "s3"] {
        let Some(scenario) = scenario::ALL.iter().find(|scenario| scenario.name == name) else { continue };
        let lines = scenario.lines.iter();
        let variants = lines.map(|(label, line)| lab.variant(label, &line.replace("TARGET", "TARGET stay")));
        table::memory_head(&format!("{} · {}", name.to_uppercase(), scenario.title));
        for variant in variants.flatten() {
            match look(&variant, &lab.target().program) {
                Ok([alone, more]) => table::memory_row(&variant.label, alone, more),
                Err(why) => println!("left out: {}: {why}", variant.label),
            }
        }
    }
}

/// What the only launcher of its kind holds, and what one more does.
fn look(variant: &Variant, target: &Path) -> io::Result<[Memory; 2]> {
    let first = Waiting::start(variant)?;
    let alone = first.settled(target)?;
    let others: io::Result<Vec<_>> = (0..OTHERS).map(|_| Waiting::start(variant)).collect();
    let more = others?.last().unwrap_or(&first).settled(target)?;
    Ok([alone, more])
}

impl Waiting {
    fn start(variant: &Variant) -> io::Result<Waiting> {
        let mut command = variant.command();
        let (uid, gid) = lab::plain();
        if lab::is_root() {
            command.uid(uid).gid(gid);
        }
        let mut waiting = Waiting(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?);
        match waiting.0.stdout.as_mut().map(|stdout| stdout.read(&mut [0])) {
            Some(Ok(1)) => Ok(waiting),
            _ => Err(io::Error::other("the command never ran")),
        }
    }

    /// Two readings that are equal, some time apart.
    fn settled(&self, target: &Path) -> io::Result<Memory> {
        let target = fs::metadata(target)?;
        let mut last = Memory::default();
        // The last reading of a launcher that never rests is as good as any.
        for _ in 0..50 {
            sleep(PAUSE);
            let memory = self.memory(&target);
            if memory == last {
                break;
            }
            last = memory;
        }
        Ok(last)
    }

    fn memory(&self, target: &Metadata) -> Memory {
        let mut memory = Memory::default();
        for pid in family(self.0.id()) {
            // Where the link can't be followed it is no command of ours, which anybody may look at.
            let is_target = fs::metadata(format!("/proc/{pid}/exe"))
                .is_ok_and(|exe| (exe.dev(), exe.ino()) == (target.dev(), target.ino()));
            if is_target {
                continue;
            }
            memory.processes += 1;
            match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
                Ok(text) => memory.private += kibibytes(&text, "Private_"),
                Err(_) => memory.unread += 1,
            }
        }
        memory
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        // The command ends with its input, and its launcher with it.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
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
