//! The behaviour of seclude as its users see it, one topic in each file.

#[path = "../machine/mod.rs"]
mod machine;

mod identity;
mod launch;
mod peers;
mod plan;
mod readme;
mod refuse;
mod report;
mod signals;
