//! Prints what was measured, in at most 100 columns. It measures nothing.

use crate::lab;
use crate::measure::{Median, Memory, Sample};

/// What one line costs more than another: what, the dearer one's label, and the other's.
pub type Difference = (&'static str, &'static str, &'static str);

/// The overhead beyond the target's, and how many times that of each floor it is.
pub fn scenario(name: &str, title: &str, rounds: usize, samples: &[Sample], differences: &[Difference]) {
    let who = if lab::is_root() { "root".to_string() } else { format!("uid {}", lab::plain().0) };
    println!("\n{} · {} · {rounds} rounds as {who}", name.to_uppercase(), title);
    let Some((target, rest)) = samples.split_first() else { return };
    let Some(base) = target.median() else { return };
    let beyond = |sample: &Sample| sample.median().map(|median| median.beyond(base));
    let floors: Vec<_> = rest
        .iter()
        .filter_map(|sample| Some((sample.label.strip_prefix("floor ")?, beyond(sample)?.value)))
        .collect();
    let names: String = floors.iter().map(|(name, _)| format!("{:>14}", format!("× {name}"))).collect();
    let head = format!("{:<32}{:>9}   {:<17}{names}", "µs beyond the target", "median", "95 % interval");
    println!("{}", head.trim_end());
    for sample in rest {
        let Some(overhead) = beyond(sample) else { continue };
        let ratios: String =
            floors.iter().map(|(_, floor)| format!("{:>14.2}", overhead.value / floor)).collect();
        let row = format!("{}{ratios}{}", line(&sample.label, overhead), failures(sample));
        println!("{}", row.trim_end());
    }
    println!("{}", line(&target.label, base).trim_end());
    for (what, more, less) in differences {
        let of = |label: &str| rest.iter().find(|sample| sample.label == *label)?.median();
        if let (Some(more), Some(less)) = (of(more), of(less)) {
            println!("{}", line(what, more.beyond(less)).trim_end());
        }
    }
}

fn line(label: &str, median: Median) -> String {
    let interval = format!("{:.0} to {:.0}", median.low, median.high);
    format!("{label:<32}{:>9.0}   {interval:<17}", median.value)
}

fn failures(sample: &Sample) -> String {
    if sample.failed == 0 { String::new() } else { format!("  {} failed", sample.failed) }
}

pub fn growth_head(title: &str, unit: &str, rounds: usize, labels: &[String]) {
    println!("\nGROWTH · {title} · {rounds} rounds\nµs beyond the target, ± half of the 95 % interval");
    let names: String = labels.iter().map(|label| format!("{label:>18}")).collect();
    println!("{unit:<12}{names}{:>9}", "× floor");
}

/// The overhead of each variant, and what seclude is to the floor.
pub fn growth_row(value: &str, overheads: &[Option<Median>], ratio: Option<f64>) {
    let cell = |overhead: &Option<Median>| match overhead {
        Some(median) => format!("{:>11.0} ±{:<5.0}", median.value, (median.high - median.low) / 2.0),
        None => format!("{:>18}", "–"),
    };
    let cells: String = overheads.iter().map(cell).collect();
    let ratio = ratio.map_or("–".to_string(), |ratio| format!("{ratio:.2}"));
    println!("{value:<12}{cells}{ratio:>9}");
}

/// Launches per second, one after the other and eight at once.
pub fn throughput(slices: usize, rows: &[[Sample; 2]]) {
    println!("\nTHROUGHPUT · S2, launches per second · {slices} slices each");
    println!(
        "{:<24}{:>10}   {:<17}{:>14}   95 % interval",
        "", "one by one", "95 % interval", "eight at once"
    );
    for [one, eight] in rows {
        let (Some(first), Some(second)) = (one.median(), eight.median()) else { continue };
        let interval = |median: Median| format!("{:.0} to {:.0}", median.low, median.high);
        println!(
            "{:<24}{:>10.0}   {:<17}{:>14.0}   {}{}",
            one.label,
            first.value,
            interval(first),
            second.value,
            interval(second),
            failures(eight)
        );
    }
}

pub fn memory_head(title: &str) {
    println!("\nMEMORY · {title}");
    println!(
        "{:<33}{:>10}{:>22}{:>14}",
        "private KiB of a waiting launcher", "processes", "alone, with its text", "one more"
    );
}

pub fn memory_row(label: &str, alone: Memory, more: Memory) {
    let unread = match alone.unread {
        0 => String::new(),
        unread => format!("  and {unread} that only root may read"),
    };
    println!("{label:<33}{:>10}{:>22}{:>14}{unread}", alone.processes, alone.private, more.private);
}
