//! A profile's JSON, member by member; what is no member of either format is refused. It knows no numbers of system calls.

use std::str::FromStr;

use caps::Capability;
use nix::errno::Errno;
use serde::Deserialize;
use serde_json::Value;

use super::{Action, Circumstances, Comparison, Condition, Profile, Rule};
use crate::failure::{name, shown};

/// The largest errno that a system call can end with; the kernel makes larger ones this one. Source: linux/err.h.
const MAX_ERRNO: u64 = 4095;
/// The machines that `arches` may name.
const ARCHITECTURES: [&str; 20] = [
    "amd64",
    "arm",
    "arm64",
    "loong64",
    "mips",
    "mips64",
    "mips64n32",
    "mipsel",
    "mipsel64",
    "mipsel64n32",
    "parisc",
    "parisc64",
    "ppc",
    "ppc64",
    "ppc64le",
    "riscv64",
    "s390",
    "s390x",
    "x32",
    "x86",
];
/// What Docker's own profile of 20.10 calls mipsel64n32.
const MISWRITTEN: &str = "mips3l64n32";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct File {
    default_action: String,
    default_errno_ret: Option<u64>,
    default_errno: Option<String>,
    architectures: Option<Vec<String>>,
    arch_map: Option<Vec<Family>>,
    flags: Option<Vec<String>>,
    listener_path: Option<String>,
    listener_metadata: Option<String>,
    syscalls: Option<Vec<Entry>>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Family {
    architecture: String,
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    name: Option<String>,
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u64>,
    errno: Option<String>,
    args: Option<Vec<Arg>>,
    includes: Option<Filter>,
    excludes: Option<Filter>,
    #[serde(rename = "comment")]
    _comment: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Arg {
    index: u64,
    value: u64,
    value_two: Option<u64>,
    op: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Filter {
    caps: Option<Vec<String>>,
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

/// A profile, or the one that an OCI config.json holds.
pub fn read(text: &str) -> Result<Profile, String> {
    let no_profile =
        |error: serde_json::Error| format!("it is no seccomp profile: {}", shown(error.to_string()));
    let mut whole: Value = serde_json::from_str(text).map_err(no_profile)?;
    let is_config = whole.get("ociVersion").is_some();
    let file: File = match whole.pointer_mut("/linux/seccomp") {
        // From the text, where a member that stands twice is seen.
        _ if !is_config => serde_json::from_str(text).map_err(no_profile)?,
        Some(profile) => serde_json::from_value(profile.take()).map_err(no_profile)?,
        None => return Err("it is an OCI config, and has no linux.seccomp".to_string()),
    };
    if file.listener_path.is_some() || file.listener_metadata.is_some() {
        return Err(
            "seclude has no listener: listenerPath and listenerMetadata can't be honoured".to_string()
        );
    }
    let mut architectures = file.architectures.unwrap_or_default();
    for family in file.arch_map.unwrap_or_default() {
        architectures.push(family.architecture);
        architectures.extend(family.sub_architectures.unwrap_or_default());
    }
    if let Some(other) = architectures.iter().find(|name| !name.starts_with("SCMP_ARCH_")) {
        return Err(format!("an architecture begins with SCMP_ARCH_: {}", shown(other)));
    }
    let default = action(&file.default_action, file.default_errno_ret, file.default_errno.as_deref())
        .map_err(|rule| format!("defaultAction: {rule}"))?;
    let mut flags = 0;
    for flag in file.flags.unwrap_or_default() {
        flags |= match flag.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => 0,
            "SECCOMP_FILTER_FLAG_LOG" => libc::SECCOMP_FILTER_FLAG_LOG as u32,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW as u32,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => {
                return Err(format!("seclude has no listener: {flag} can't be honoured"));
            }
            other => return Err(format!("{} is no flag of a seccomp filter", shown(other))),
        };
    }
    let entries = file.syscalls.unwrap_or_default().into_iter().enumerate();
    let rules = entries.map(|(at, entry)| rule(entry).map_err(|rule| format!("syscalls[{at}]: {rule}")));
    Ok(Profile { default, flags, rules: rules.collect::<Result<_, String>>()? })
}

fn rule(entry: Entry) -> Result<Rule, String> {
    // A name that is empty is as good as none: the formats' own writers leave one behind.
    let name = entry.name.filter(|name| !name.is_empty());
    let names = match (name, entry.names.unwrap_or_default()) {
        (Some(_), names) if !names.is_empty() => return Err("it has name or names, not both".to_string()),
        (Some(name), _) => vec![name],
        (None, names) if names.is_empty() => return Err("it names at least one system call".to_string()),
        (None, names) => names,
    };
    let action = action(&entry.action, entry.errno_ret, entry.errno.as_deref())?;
    let conditions = entry.args.unwrap_or_default().iter().map(condition).collect::<Result<_, _>>()?;
    let circumstances = |filter: Option<Filter>| filter.map_or(Ok(Circumstances::default()), circumstances);
    let (includes, excludes) = (circumstances(entry.includes)?, circumstances(entry.excludes)?);
    Ok(Rule { names, action, conditions, includes, excludes })
}

fn action(word: &str, number: Option<u64>, errno: Option<&str>) -> Result<Action, String> {
    let errno = match (number, errno.filter(|errno| !errno.is_empty())) {
        (number, None) => number,
        (None, Some(errno)) => Some(numbered(errno)?),
        (Some(number), Some(errno)) if numbered(errno)? == number => Some(number),
        (Some(number), Some(errno)) => return Err(format!("{number} is not {}", shown(errno))),
    };
    let with_errno = |base: u32| match errno.unwrap_or(libc::EPERM as u64) {
        errno @ 0..=MAX_ERRNO => Ok(Action(base | errno as u32)),
        errno => Err(format!("an errno is {MAX_ERRNO} at most: {errno}")),
    };
    let without = |action: u32| match errno {
        None => Ok(Action(action)),
        Some(_) => Err(format!("{word} has no errno")),
    };
    match word {
        "SCMP_ACT_ALLOW" => without(libc::SECCOMP_RET_ALLOW),
        "SCMP_ACT_ERRNO" => with_errno(libc::SECCOMP_RET_ERRNO),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => without(libc::SECCOMP_RET_KILL_THREAD),
        "SCMP_ACT_KILL_PROCESS" => without(libc::SECCOMP_RET_KILL_PROCESS),
        "SCMP_ACT_TRAP" => without(libc::SECCOMP_RET_TRAP),
        "SCMP_ACT_LOG" => without(libc::SECCOMP_RET_LOG),
        // Where there is no tracer the kernel answers with ENOSYS, so it lets nothing through by itself.
        "SCMP_ACT_TRACE" => with_errno(libc::SECCOMP_RET_TRACE),
        "SCMP_ACT_NOTIFY" => Err("seclude has no listener: SCMP_ACT_NOTIFY can't be honoured".to_string()),
        other => Err(format!("{} is no action", shown(other))),
    }
}

/// An errno by its name, or as a number in digits.
fn numbered(errno: &str) -> Result<u64, String> {
    let named = || (1..=MAX_ERRNO).find(|number| name(Errno::from_raw(*number as i32)) == errno);
    let found = errno.parse().ok().or_else(named).filter(|_| errno != name(Errno::UnknownErrno));
    found.ok_or_else(|| format!("{} is no errno", shown(errno)))
}

fn condition(arg: &Arg) -> Result<Condition, String> {
    let argument = u8::try_from(arg.index).ok().filter(|index| *index < 6);
    let argument = argument.ok_or_else(|| format!("the arguments are 0 to 5: {}", arg.index))?;
    let second = arg.value_two.unwrap_or_default();
    let (comparison, value) = match arg.op.as_str() {
        "SCMP_CMP_NE" => (Comparison::NotEqual, arg.value),
        "SCMP_CMP_LT" => (Comparison::Less, arg.value),
        "SCMP_CMP_LE" => (Comparison::LessOrEqual, arg.value),
        "SCMP_CMP_EQ" => (Comparison::Equal { mask: u64::MAX }, arg.value),
        "SCMP_CMP_GE" => (Comparison::GreaterOrEqual, arg.value),
        "SCMP_CMP_GT" => (Comparison::Greater, arg.value),
        "SCMP_CMP_MASKED_EQ" => (Comparison::Equal { mask: arg.value }, second),
        other => return Err(format!("{} is no op", shown(other))),
    };
    if second != 0 && arg.op != "SCMP_CMP_MASKED_EQ" {
        return Err(format!("{} has no valueTwo", arg.op));
    }
    Ok(Condition { argument, comparison, value })
}

fn circumstances(filter: Filter) -> Result<Circumstances, String> {
    let mut capabilities = 0;
    for name in filter.caps.unwrap_or_default() {
        let known = Capability::from_str(&name).map_err(|_| format!("{} is no capability", shown(&name)))?;
        capabilities |= known.bitmask();
    }
    let architectures = filter.arches.unwrap_or_default();
    if let Some(other) =
        architectures.iter().find(|name| *name != MISWRITTEN && !ARCHITECTURES.contains(&name.as_str()))
    {
        return Err(format!("{} is no architecture: {}", shown(other), ARCHITECTURES.join(", ")));
    }
    let kernel = filter.min_kernel.filter(|text| !text.is_empty());
    let kernel = kernel.map(|text| {
        let parts = text.split_once('.').and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        parts.ok_or_else(|| format!("minKernel is VERSION.PATCHLEVEL: {}", shown(&text)))
    });
    Ok(Circumstances { capabilities, architectures, kernel: kernel.transpose()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        read(text).unwrap_err()
    }

    /// Why a profile with this rule is refused.
    fn of_rule(rule: &str) -> String {
        refusal(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{rule}]}}"#))
    }

    #[test]
    fn both_formats_are_read() {
        let oci = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "architectures": ["SCMP_ARCH_X86_64"],
            "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"], "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1, "args": null}]}"#;
        let docker = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrno": "ENOSYS", "comment": "c",
            "flags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"],
            "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}], "syscalls": [
            {"name": "read", "names": [], "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": 1, "args": [],
             "comment": "", "includes": {}, "excludes": {"caps": []}}]}"#;
        let profile = read(oci).unwrap();
        let rules = vec![Rule::new(vec!["read".to_string()], Vec::new(), Action(0x5_0001))];
        assert_eq!(profile, Profile { default: Action(0x5_0026), flags: 6, rules });
        assert_eq!(read(docker).unwrap(), profile);
    }

    #[test]
    fn each_action_is_its_return_value() {
        for (word, value) in [
            ("ALLOW", 0x7fff_0000),
            ("LOG", 0x7ffc_0000),
            ("TRACE", 0x7ff0_0001),
            ("ERRNO", 0x5_0001),
            ("TRAP", 0x3_0000),
            ("KILL", 0),
            ("KILL_THREAD", 0),
            ("KILL_PROCESS", 0x8000_0000),
        ] {
            let profile = read(&format!(r#"{{"defaultAction": "SCMP_ACT_{word}"}}"#)).unwrap();
            assert_eq!(profile.default, Action(value), "{word}");
        }
    }

    #[test]
    fn what_only_a_listener_could_answer_is_refused() {
        for text in [
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent"}"#,
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
            r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "bpf", "action": "SCMP_ACT_NOTIFY"}]}"#,
            r#"{"defaultAction": "SCMP_ACT_NOTIFY"}"#,
        ] {
            assert!(refusal(text).contains("seclude has no listener"), "{text}");
        }
    }

    #[test]
    fn members_that_no_format_has_are_refused_by_name() {
        let told = refusal(r#"{"defaultAction": "SCMP_ACT_ALLOW", "defaultErno": 1}"#);
        assert!(told.starts_with("it is no seccomp profile: unknown field `defaultErno`"), "{told}");
        let told = of_rule(r#"{"name": "read", "action": "SCMP_ACT_LOG", "arg": []}"#);
        assert!(told.contains("unknown field `arg`"), "{told}");
        assert!(refusal("{}").contains("missing field `defaultAction`"));
        assert!(refusal(r#"{"flags": [], "flags": []}"#).contains("duplicate field `flags`"));
    }

    #[test]
    fn a_rule_is_refused_by_its_place() {
        let arg =
            |arg: &str| of_rule(&format!(r#"{{"name": "read", "action": "SCMP_ACT_LOG", "args": [{arg}]}}"#));
        let filter = |filter: &str| {
            of_rule(&format!(r#"{{"name": "read", "action": "SCMP_ACT_LOG", "includes": {filter}}}"#))
        };
        let rule = |members: &str| of_rule(&format!("{{{members}}}"));
        for (told, right) in [
            (arg(r#"{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}"#), "the arguments are 0 to 5: 6"),
            (arg(r#"{"index": 0, "value": 0, "op": "SCMP_CMP_EQUAL"}"#), "SCMP_CMP_EQUAL is no op"),
            (
                arg(r#"{"index": 0, "value": 0, "valueTwo": 1, "op": "SCMP_CMP_EQ"}"#),
                "SCMP_CMP_EQ has no valueTwo",
            ),
            (filter(r#"{"caps": ["SYS_ADMIN"]}"#), "SYS_ADMIN is no capability"),
            (filter(r#"{"minKernel": "4.8.1"}"#), "minKernel is VERSION.PATCHLEVEL: 4.8.1"),
            (rule(r#""action": "SCMP_ACT_LOG""#), "it names at least one system call"),
            (
                rule(r#""name": "a", "names": ["b"], "action": "SCMP_ACT_LOG""#),
                "it has name or names, not both",
            ),
            (rule(r#""name": "a", "action": "ALLOW""#), "ALLOW is no action"),
            (rule(r#""name": "a", "action": "SCMP_ACT_LOG", "errnoRet": 1"#), "SCMP_ACT_LOG has no errno"),
            (
                rule(r#""name": "a", "action": "SCMP_ACT_ERRNO", "errnoRet": 4096"#),
                "an errno is 4095 at most: 4096",
            ),
            (rule(r#""name": "a", "action": "SCMP_ACT_ERRNO", "errno": "EPURM""#), "EPURM is no errno"),
            (
                rule(r#""name": "a", "action": "SCMP_ACT_ERRNO", "errno": "UnknownErrno""#),
                "UnknownErrno is no errno",
            ),
            (
                rule(r#""name": "a", "action": "SCMP_ACT_ERRNO", "errno": "EPERM", "errnoRet": 2"#),
                "2 is not EPERM",
            ),
        ] {
            assert_eq!(told, format!("syscalls[0]: {right}"));
        }
        assert!(
            filter(r#"{"arches": ["amd46"]}"#)
                .starts_with("syscalls[0]: amd46 is no architecture: amd64, arm")
        );
        let told = refusal(r#"{"defaultAction": "SCMP_ACT_ALLOW", "flags": ["LOG"]}"#);
        assert_eq!(told, "LOG is no flag of a seccomp filter");
        let told = refusal(r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["amd64"]}"#);
        assert_eq!(told, "an architecture begins with SCMP_ARCH_: amd64");
    }
}
