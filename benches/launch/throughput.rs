//! Launches per second, one after the other and eight at once, in slices of time in random order.

use std::thread;
use std::time::{Duration, Instant};

use crate::lab::{self, Lab, Variant};
use crate::measure::{Random, Sample};
use crate::{scenario, table};

/// The fewest whose least and greatest hold the median in 95 of 100 cases.
const SLICES: usize = 6;
const SLICE: Duration = Duration::from_millis(100);
const AT_ONCE: [usize; 2] = [1, 8];

pub fn run(lab: &Lab, random: &mut Random) {
    let lines = scenario::S2.iter().map(|(label, line)| lab.variant(label, line));
    let variants = lab::working("throughput", std::iter::once(Some(lab.target())).chain(lines));
    let mut slices: Vec<(usize, usize)> =
        (0..variants.len()).flat_map(|index| [(index, 0), (index, 1)]).collect();
    let mut rates = vec![[(); 2].map(|()| (Vec::new(), 0)); variants.len()];
    for _ in 0..SLICES {
        random.shuffle(&mut slices);
        for &(index, how) in &slices {
            let (launched, failed, took) = slice(&variants[index], AT_ONCE[how]);
            let (rates, failures) = &mut rates[index][how];
            rates.push(launched as f64 / took.as_secs_f64());
            *failures += failed;
        }
    }
    let rows = variants.iter().zip(rates);
    let rows: Vec<_> = rows
        .map(|(variant, rates)| rates.map(|(rates, failed)| Sample::new(&variant.label, rates, failed)))
        .collect();
    table::throughput(SLICES, &rows);
}

/// How many launches went well and how many did not, and in what time.
fn slice(variant: &Variant, at_once: usize) -> (usize, usize, Duration) {
    let started = Instant::now();
    let launch = || {
        let (mut command, mut done) = (variant.command(), (0, 0));
        while started.elapsed() < SLICE {
            let status = command.spawn().and_then(|mut child| child.wait());
            if status.is_ok_and(|status| status.success()) { done.0 += 1 } else { done.1 += 1 }
        }
        done
    };
    let (launched, failed) = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(launch)).collect();
        let ended = threads.into_iter().map(|thread| thread.join().expect("a launch panics nowhere"));
        ended.fold((0, 0), |sum, done| (sum.0 + done.0, sum.1 + done.1))
    });
    (launched, failed, started.elapsed())
}
