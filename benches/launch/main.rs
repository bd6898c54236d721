//! What a launch costs, beside a floor and the peers, in one interleaved run: `cargo bench`. It asserts nothing.

mod growth;
mod lab;
mod measure;
mod memory;
mod scenario;
mod table;
mod throughput;

use std::env;
use std::fs;
use std::process::ExitCode;
use std::thread::available_parallelism;
use std::time::{SystemTime, UNIX_EPOCH};

use lab::Lab;
use measure::Random;

const USAGE: &str = "cargo bench -- [NAME]... [--rounds N] [--seed N]";

struct Asked {
    /// All, where none is named.
    names: Vec<String>,
    rounds: usize,
    seed: u64,
}

/// A part of the run.
struct Part<'a> {
    name: &'a str,
    privileged: bool,
    run: Run<'a>,
}

type Run<'a> = Box<dyn Fn(&Lab, &mut Random) + 'a>;

impl Asked {
    fn read(mut words: impl Iterator<Item = String>) -> Option<Asked> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        let mut asked = Asked { names: vec![], rounds: 200, seed: now };
        while let Some(word) = words.next() {
            match word.as_str() {
                // cargo's own.
                "--bench" => {}
                "--rounds" => asked.rounds = words.next()?.parse().ok().filter(|rounds| *rounds > 0)?,
                "--seed" => asked.seed = words.next()?.parse().ok()?,
                name if name.starts_with('-') => return None,
                name => asked.names.push(name.to_lowercase()),
            }
        }
        Some(asked)
    }

    fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

/// All that can be measured, with what takes root first: it is given up on the way.
fn parts(rounds: usize) -> Vec<Part<'static>> {
    let fewer = (rounds / 4).max(1);
    let memory =
        Part { name: "memory", privileged: lab::is_root(), run: Box::new(|lab, _| memory::run(lab)) };
    let throughput = Part { name: "throughput", privileged: false, run: Box::new(throughput::run) };
    let scenarios = scenario::ALL.iter().map(|scenario| Part {
        name: scenario.name,
        privileged: scenario.privileged,
        run: Box::new(move |lab, random| scenario.run(lab, rounds, random)),
    });
    let growths = growth::ALL.iter().map(|growth| Part {
        name: growth.name,
        privileged: growth.privileged,
        run: Box::new(move |lab, random| growth.run(lab, fewer, random)),
    });
    let mut parts: Vec<_> = scenarios.chain([throughput, memory]).chain(growths).collect();
    parts.sort_by_key(|part| !part.privileged);
    parts
}

fn main() -> ExitCode {
    if !env::args().any(|word| word == "--bench") {
        println!("measured by cargo bench alone: {USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(asked) = Asked::read(env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let parts = parts(asked.rounds);
    let names: Vec<&str> = parts.iter().map(|part| part.name).collect();
    if let Some(unknown) = asked.names.iter().find(|name| !names.contains(&name.as_str())) {
        eprintln!("no {unknown}; there is {}", names.join(" "));
        return ExitCode::from(2);
    }
    introduce(&asked);
    match Lab::set_up() {
        Ok(lab) => measure(&lab, &asked, &parts),
        Err(error) => {
            eprintln!("nothing can be laid out: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(lab: &Lab, asked: &Asked, parts: &[Part]) -> ExitCode {
    let mut random = Random(asked.seed);
    let was_root = lab::is_root();
    for part in parts.iter().filter(|part| asked.wants(part.name)) {
        if part.privileged && !was_root {
            println!("skipped: {} takes root", part.name);
            continue;
        }
        if !part.privileged
            && let Err(errno) = lab.become_plain()
        {
            eprintln!("no plain user can be had: {errno}");
            return ExitCode::FAILURE;
        }
        (part.run)(lab, &mut random);
    }
    ExitCode::SUCCESS
}

fn introduce(asked: &Asked) {
    let link = if cfg!(target_env = "musl") { "static musl" } else { "dynamic glibc" };
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    println!(
        "seclude {}, {link} · Linux {} · {} × {}\n{} rounds, seed {}",
        env!("CARGO_PKG_VERSION"),
        kernel.trim(),
        available_parallelism().map_or(0, usize::from),
        model.unwrap_or("an unnamed processor"),
        asked.rounds,
        asked.seed
    );
}
