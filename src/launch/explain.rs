//! Why the kernel said no: looks around after a failure, and names a cause only where it has seen it.

mod limits;

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::thread::no_new_privs;

use super::child::exec::{NO_INTERPRETER, UNSEARCHABLE};
use super::child::landlock::ERRNO_BITS;
use crate::failure::{Cause, Failure, Stage, shown};
use crate::idmap::IdMap;
use crate::namespace::{Kind, Kinds};
use crate::plan::landlock::Ruleset;
use crate::plan::{Plan, Step};
use crate::procfs::read_whole;

pub const FEW_DESCRIPTORS: &str = "RLIMIT_NOFILE leaves no descriptors: ulimit -n";

/// What is said of a step that the kernel agreed to.
const NOT_SO: &str = "the kernel agreed, and a second look shows something else";

/// Channels that could not be made.
pub fn channels(errno: Errno) -> Failure {
    let failure = Failure::errno(Stage::Channel, "make", "the channels to the child", errno);
    match errno {
        Errno::EMFILE => failure.hint(FEW_DESCRIPTORS),
        Errno::ENFILE => failure.hint("the machine's fs.file-max is reached"),
        _ => failure,
    }
}

/// A clone that was refused, for these new namespaces.
pub fn clone(errno: Errno, kinds: Kinds) -> Failure {
    let object = match kinds.is_empty() {
        true => "a child".to_string(),
        false => format!("a child into {}", kinds.as_new()),
    };
    namespaces(Failure::errno(Stage::Clone, "clone", object, errno), errno, kinds)
}

/// New namespaces that were refused to this process itself.
pub fn in_place(errno: Errno, kinds: Kinds) -> Failure {
    namespaces(Failure::errno(Stage::Unshare, "make", kinds.as_new(), errno), errno, kinds)
}

fn namespaces(plain: Failure, errno: Errno, kinds: Kinds) -> Failure {
    let because = |text: &str| Failure { cause: Cause::Because(errno, text.to_string()), ..plain.clone() };
    match errno {
        Errno::ENOSPC => limit(kinds, because),
        Errno::EMFILE => plain.hint(FEW_DESCRIPTORS),
        Errno::EAGAIN => because("no more processes: RLIMIT_NPROC or the limit of a pids cgroup is reached"),
        Errno::EINVAL => match kinds.iter().find(|kind| !has_kind(*kind)) {
            Some(kind) => because(&format!("this kernel has no {kind} namespaces")),
            None => plain,
        },
        Errno::EPERM if kinds.has(Kind::User) => user_namespace_refused(plain.clone(), because),
        Errno::EPERM if filtered() => because("a seccomp filter forbids new namespaces").hint(FILTER_HINT),
        _ => plain,
    }
}

const FILTER_HINT: &str =
    "a container's default filter does this; podman and docker take --security-opt seccomp=FILE";

fn has_kind(kind: Kind) -> bool {
    Path::new("/proc/self/ns").join(kind.file()).exists() || !Path::new("/proc/self/ns").exists()
}

fn limit(kinds: Kinds, because: impl Fn(&str) -> Failure) -> Failure {
    let read = |kind: Kind| {
        let sysctl = kind.sysctl();
        let path = format!("/proc/sys/{}", sysctl.replace('.', "/"));
        Some((sysctl, fs::read_to_string(path).ok()?.trim().parse::<u64>().ok()?))
    };
    let limits: Vec<_> = kinds.iter().filter_map(read).collect();
    match limits.iter().find(|(_, value)| *value == 0) {
        Some((sysctl, _)) => because(&format!("the limit is reached: {sysctl} is 0"))
            .hint(format!("sysctl -w {sysctl}=15000 allows them")),
        None => {
            let list: Vec<_> = limits.iter().map(|(sysctl, value)| format!("{sysctl} is {value}")).collect();
            because(&format!("a limit is reached, or 32 levels of nesting: {}", list.join(", ")))
        }
    }
}

fn user_namespace_refused(plain: Failure, because: impl Fn(&str) -> Failure) -> Failure {
    let sysctl = |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).ok();
    let is_zero = |text: Option<String>| text.is_some_and(|text| text.trim() == "0");
    if filtered() {
        return because("a seccomp filter forbids new namespaces").hint(FILTER_HINT);
    }
    if is_zero(sysctl("kernel/unprivileged_userns_clone")) && unistd::geteuid().as_raw() != 0 {
        return because("kernel.unprivileged_userns_clone is 0")
            .hint("sysctl -w kernel.unprivileged_userns_clone=1 allows them");
    }
    if in_chroot() {
        return because("the kernel makes no user namespace in a chroot")
            .hint("enter the tree with pivot_root instead, as --unshare mount --root DIR does");
    }
    for (file, id, what) in
        [("uid_map", unistd::geteuid().as_raw(), "user"), ("gid_map", unistd::getegid().as_raw(), "group")]
    {
        let map = fs::read_to_string(format!("/proc/self/{file}")).ok();
        // A map that holds nothing is none.
        if map.is_some_and(|text| IdMap::from_kernel(&text).is_none_or(|map| map.outside(id).is_none())) {
            return because(&format!("the caller's {what} id has no place in its own user namespace"));
        }
    }
    plain
}

/// Whether a filter, and not the kernel, refuses unshare(2): the call without a flag can fail for nothing else.
fn filtered() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Seccomp:") && line.ends_with('2'))
        && unshare(CloneFlags::empty()) == Err(Errno::EPERM)
}

/// Whether the root is a directory that is no mount's root, as only chroot(2) leaves it.
fn in_chroot() -> bool {
    let root = statx(CWD, "/", AtFlags::empty(), StatxFlags::BASIC_STATS);
    root.is_ok_and(|root| {
        root.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
            && !root.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
    })
}

/// A file of the child's that could not be opened, written or read.
pub fn map_file(stage: Stage, verb: &'static str, object: &str, errno: Errno, dir: &OwnedFd) -> Failure {
    let failure = Failure::errno(stage, verb, object, errno);
    let profile = openat(dir, "attr/current", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty());
    let profile = profile.and_then(|file| read_whole(&file)).unwrap_or_default();
    match errno {
        Errno::EACCES | Errno::EPERM if profile.trim_end().starts_with("unprivileged_userns") => {
            let cause = "AppArmor confines user namespaces of programs that have no profile".to_string();
            Failure { cause: Cause::Because(errno, cause), ..failure }.hint(
                "give seclude a profile with userns, or sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
            )
        }
        Errno::EROFS => failure.hint("/proc is read-only here, as in many containers"),
        _ => failure,
    }
}

/// What keeps newuidmap from doing its work, where that can be seen.
pub fn helper(program: &Path) -> Option<String> {
    let shown_program = shown(program);
    if no_new_privs().unwrap_or(false) {
        return Some(format!(
            "no_new_privs is set here, and {shown_program} needs the privilege of its file"
        ));
    }
    let meta = fs::metadata(program).ok()?;
    let set_id = meta.permissions().mode() & 0o6000 != 0 && meta.uid() == 0;
    if set_id && statvfs(program).is_ok_and(|fs| fs.flags().contains(FsFlags::ST_NOSUID)) {
        return Some(format!("{shown_program} is on a file system that is mounted nosuid"));
    }
    None
}

/// A step of the child that failed.
pub fn step(step: &Step, errno: i32, plan: &Plan) -> Failure {
    if let Step::Ration(ration) = step {
        return limits::ration(ration, errno);
    }
    if let Step::Landlock(ruleset) = step
        && let Some(rule) = ruleset.paths.get((errno >> ERRNO_BITS).wrapping_sub(1) as usize)
    {
        let errno = Errno::from_raw(errno & ((1 << ERRNO_BITS) - 1));
        let path = shown(OsStr::from_bytes(rule.path.to_bytes()));
        return Failure::errno(step.stage(), "make a rule for", path, errno);
    }
    let (verb, object) = step.words();
    if errno == 0 {
        let rule = match step {
            Step::InsideRoot => "the directory is outside the new root",
            Step::Irrevocable => "the kernel gave it back",
            _ => NOT_SO,
        };
        return Failure::refused(step.stage(), verb, object, rule);
    }
    let errno = Errno::from_raw(errno);
    let failure = Failure::errno(step.stage(), verb, object, errno);
    match (step, errno) {
        (Step::Carry(kinds), errno) => clone(errno, *kinds),
        (Step::NewTime, Errno::ENOSPC) => in_place(errno, Kinds::NONE.with(Kind::Time)),
        (Step::Unshare(kinds), errno) => in_place(errno, *kinds),
        (Step::NewSession, Errno::EPERM) => failure
            .hint("seclude leads a process group, and its leader starts no session: without --exec it works"),
        (Step::Uid(_) | Step::Gid(_) | Step::Groups(_), Errno::EINVAL) => {
            let cause = Cause::Because(errno, "the user namespace has no such id".to_string());
            let failure = Failure { cause, ..failure };
            let file = if matches!(step, Step::Uid(_)) { "uid_map" } else { "gid_map" };
            let text = fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
            match IdMap::from_kernel(&text).filter(|_| !plan.layout.enters_user()) {
                Some(map) => failure.hint(format!("the caller's own user namespace holds {map}")),
                None => failure,
            }
        }
        (Step::Groups(_), Errno::EPERM) => {
            failure.hint("setgroups(2) may be denied in the user namespace: --groups keep leaves them")
        }
        (Step::MountProc(_), Errno::EPERM) if plan.layout.enters_user() => failure.hint(
            "where parts of the caller's /proc are covered, as in a container, the kernel gives no fresh one",
        ),
        (Step::NoTyping(_), _) => failure.hint("--new-session leaves it no terminal to type into"),
        (Step::NoUserns, Errno::EROFS) => failure.hint("/proc/sys is read-only here, as in many containers"),
        (Step::Landlock(_), Errno::E2BIG) => {
            failure.hint("the kernel takes 16 rulesets, one upon another, and the caller is under as many")
        }
        (Step::MountProc(_), Errno::ENOENT) => failure.hint("the directory has to be there, in the new root"),
        (Step::Propagation(_), Errno::EINVAL) => failure.hint("the root is no mount point, as in a chroot"),
        (Step::Join { kind: Kind::User, .. }, Errno::EINVAL) => {
            failure.hint("the caller lives in that user namespace already, or it is an ancestor's")
        }
        (Step::Join { kind, .. }, Errno::EPERM) if *kind != Kind::User && !plan.layout.joins(Kind::User) => {
            failure.hint(format!("join the user namespace that owns it as well: --join user,{kind}=PID"))
        }
        _ => failure,
    }
}

/// An execve that failed. `detail` is the index of the candidate, above eight bits of what was noticed.
pub fn exec(errno: i32, detail: u32, plan: &Plan) -> Failure {
    let errno = Errno::from_raw(errno);
    let candidates = &plan.exec.candidates;
    let name = shown(plan.command.first().expect("a plan has a command"));
    let failure = Failure::errno(Stage::Exec, "execute", name, errno);
    let because = |text: String| Failure { cause: Cause::Because(errno, text), ..failure.clone() };
    let tried = candidates.get((detail >> 8) as usize);
    if detail & NO_INTERPRETER != 0 {
        let named = tried.filter(|_| plan.exec.same_root).and_then(|path| interpreter(path.to_str().ok()?));
        return match named {
            Some(name) => because(format!("its interpreter {} was not found", shown(name))),
            None => because("the interpreter that it names was not found".to_string()),
        };
    }
    let failure = match errno {
        Errno::EACCES if plan.ruleset().is_some_and(Ruleset::restricts_exec) => failure
            .hint("--landlock-exec has to cover the command, its loader, and the interpreter of a script"),
        Errno::EPERM if plan.steps.iter().any(|step| matches!(step, Step::Filter { .. })) => {
            failure.hint("a filter may deny execve: --seccomp and --deny-syscall hold for this call as well")
        }
        _ => failure,
    };
    let because = |text: String| Failure { cause: Cause::Because(errno, text), ..failure.clone() };
    match errno {
        Errno::ENOENT if !plan.exec.is_path => {
            let failure = because("no directory of PATH has it".to_string());
            match detail & UNSEARCHABLE {
                0 => failure,
                _ => failure.hint("a directory of PATH can't be searched by the command's user"),
            }
        }
        Errno::EACCES if !plan.exec.is_path => {
            let path = tried.map(|path| shown(OsStr::from_bytes(path.to_bytes()))).unwrap_or_default();
            because(format!("{path} is there, and may not be executed"))
        }
        Errno::ENOEXEC => {
            because("it is neither a program of this machine's nor a script with a #! line".to_string())
        }
        _ => failure,
    }
}

/// What a script's first line names.
fn interpreter(path: &str) -> Option<String> {
    let mut head = Vec::new();
    fs::File::open(path).ok()?.take(256).read_to_end(&mut head).ok()?;
    let line = head.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    String::from_utf8_lossy(line).split_whitespace().next().map(str::to_string)
}
