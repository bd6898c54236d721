//! seclude launches a command in isolation. Ask, decide, do, tell: a [`request::Request`] and a [`host::Host`] make a
//! [`plan::Plan`]; a plan is carried out by [`launch`]; [`report`] tells it; [`failure::Failure`] is the only other way out.
//!
//! The rooms below are in story order, and a room uses only rooms told before it.
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
compile_error!("seclude is for 64-bit Linux");

pub mod failure;
pub mod sys;
pub mod terminal;
pub mod procfs;
pub mod namespace;
pub mod idmap;
pub mod account;
pub mod signal;
pub mod capability;
pub mod seccomp;
pub mod request;
pub mod host;
pub mod plan;
pub mod launch;
pub mod supervise;
pub mod pidfile;
pub mod background;
pub mod report;
pub mod doctor;
