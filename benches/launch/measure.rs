//! Interleaved rounds in random order, and medians with their intervals. It knows no scenario and prints nothing.

use std::time::Instant;

use crate::lab::Variant;

/// Each of the two intervals of a difference: 97.5 % each make 95 % for both at once.
const Z: f64 = 2.2414;
const WARM_UP: usize = 3;

/// SplitMix64: as much randomness as an order needs.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, (self.next() % (last as u64 + 1)) as usize);
        }
    }
}

/// What the runs of one variant took, in microseconds, sorted.
pub struct Sample {
    pub label: String,
    times: Vec<f64>,
    /// Runs that failed, and are not in it.
    pub failed: usize,
}

/// A median, and the interval that holds the true one in 95 of 100 cases.
#[derive(Clone, Copy)]
pub struct Median {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl Sample {
    pub fn new(label: &str, mut times: Vec<f64>, failed: usize) -> Sample {
        times.sort_by(f64::total_cmp);
        Sample { label: label.to_string(), times, failed }
    }

    /// By order statistics: no shape of the distribution is assumed. `None` where there is nothing to order.
    pub fn median(&self) -> Option<Median> {
        let count = self.times.len();
        let last = count.checked_sub(1)?;
        let (half, reach) = (count as f64 / 2.0, Z * (count as f64).sqrt() / 2.0);
        let low = (half - reach).floor().max(1.0) as usize - 1;
        let high = ((half + reach).ceil() as usize).min(last);
        let value = f64::midpoint(self.times[last / 2], self.times[count / 2]);
        Some(Median { value, low: self.times[low], high: self.times[high] })
    }
}

impl Median {
    /// What is beyond another, with the doubt of both.
    pub fn beyond(self, other: Median) -> Median {
        Median { value: self.value - other.value, low: self.low - other.high, high: self.high - other.low }
    }
}

/// Runs each variant once a round, in an order of the round's own, after a few runs that don't count.
pub fn interleave(variants: &[Variant], rounds: usize, random: &mut Random) -> Vec<Sample> {
    let mut commands: Vec<_> = variants.iter().map(Variant::command).collect();
    let mut times = vec![Vec::with_capacity(rounds); variants.len()];
    let mut failed = vec![0; variants.len()];
    let mut order: Vec<usize> = (0..variants.len()).collect();
    for round in 0..WARM_UP + rounds {
        random.shuffle(&mut order);
        for &index in &order {
            let before = Instant::now();
            let status = commands[index].spawn().and_then(|mut child| child.wait());
            let took = before.elapsed();
            if round < WARM_UP {
                continue;
            }
            if status.is_ok_and(|status| status.success()) {
                times[index].push(took.as_secs_f64() * 1e6);
            } else {
                failed[index] += 1;
            }
        }
    }
    let samples = variants.iter().zip(times).zip(failed);
    samples.map(|((variant, times), failed)| Sample::new(&variant.label, times, failed)).collect()
}

/// What a launcher that waits holds.
#[derive(Clone, Copy, PartialEq, Default)]
pub struct Memory {
    pub processes: usize,
    /// KiB that no other process has mapped.
    pub private: usize,
    /// Processes that nobody but root may look at.
    pub unread: usize,
}
