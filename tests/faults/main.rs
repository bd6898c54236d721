//! Every system call of a launch made to fail, and each of its processes killed at every one of them.

#[path = "../machine/mod.rs"]
mod machine;
#[cfg(target_arch = "x86_64")]
mod ptrace;
#[cfg(target_arch = "x86_64")]
mod state;
#[cfg(target_arch = "x86_64")]
mod struck;
mod surroundings;
#[cfg(target_arch = "x86_64")]
mod tracer;

#[cfg(not(target_arch = "x86_64"))]
#[test]
fn no_call_is_struck_at_where_registers_have_other_names() {
    assert!(!machine::can(&["x86_64"]));
}

/// Whether standard error ends in one message with a stage, and a hint at most.
pub fn tells_why(err: &str) -> bool {
    let mut lines = err.lines().filter(|line| !line.starts_with("seclude: hint: "));
    lines.next_back().is_some_and(|line| {
        let stage = line.strip_prefix("seclude: ").and_then(|rest| rest.split_once(": cannot "));
        stage.is_some_and(|(stage, rest)| {
            stage.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && rest.contains(": ")
        })
    })
}
