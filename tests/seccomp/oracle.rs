//! The C library libseccomp, loaded while the tests run, and what an OCI runtime tells it of a profile. It asserts nothing.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io::Read;
use std::os::fd::AsRawFd;

use serde_json::Value;

use crate::verdict::Line;

/// `struct scmp_arg_cmp`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    pub argument: c_uint,
    /// `enum scmp_compare`.
    pub op: c_int,
    pub first: u64,
    pub second: u64,
}

/// The operators in the order of `enum scmp_compare`, which starts at 1.
pub const OPS: [&str; 7] = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

type Init = unsafe extern "C" fn(u32) -> *mut c_void;
type Release = unsafe extern "C" fn(*mut c_void);
type Set = unsafe extern "C" fn(*mut c_void, c_int, u32) -> c_int;
type Arch = unsafe extern "C" fn(*mut c_void, u32) -> c_int;
type Rule = unsafe extern "C" fn(*mut c_void, u32, c_int, c_uint, *const Compared) -> c_int;
type Export = unsafe extern "C" fn(*mut c_void, c_int) -> c_int;
type Resolve = unsafe extern "C" fn(u32, *const c_char) -> c_int;
type Name = unsafe extern "C" fn(u32, c_int) -> *mut c_char;

/// This machine's own architecture, as the library has it.
const NATIVE: u32 = 0;

/// The functions of the library that are needed.
pub struct Library {
    init: Init,
    release: Release,
    set: Set,
    arch_add: Arch,
    arch_remove: Arch,
    rule: Rule,
    export: Export,
    resolve: Resolve,
    name: Name,
}

impl Library {
    /// `None` where this machine doesn't have it, or this build can't load anything.
    pub fn load() -> Option<Library> {
        // SAFETY: the library's constructors do nothing; it stays loaded.
        let handle = unsafe { libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW) };
        if handle.is_null() {
            return None;
        }
        let symbol = |name: &CStr| {
            // SAFETY: the handle is that of a loaded library.
            let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
            assert!(!found.is_null(), "libseccomp has {name:?}");
            found
        };
        // SAFETY: these are the types of the functions in seccomp.h, where enum and pointer are as in C.
        unsafe {
            Some(Library {
                init: std::mem::transmute::<*mut c_void, Init>(symbol(c"seccomp_init")),
                release: std::mem::transmute::<*mut c_void, Release>(symbol(c"seccomp_release")),
                set: std::mem::transmute::<*mut c_void, Set>(symbol(c"seccomp_attr_set")),
                arch_add: std::mem::transmute::<*mut c_void, Arch>(symbol(c"seccomp_arch_add")),
                arch_remove: std::mem::transmute::<*mut c_void, Arch>(symbol(c"seccomp_arch_remove")),
                rule: std::mem::transmute::<*mut c_void, Rule>(symbol(c"seccomp_rule_add_array")),
                export: std::mem::transmute::<*mut c_void, Export>(symbol(c"seccomp_export_bpf")),
                resolve: std::mem::transmute::<*mut c_void, Resolve>(symbol(
                    c"seccomp_syscall_resolve_name_arch",
                )),
                name: std::mem::transmute::<*mut c_void, Name>(symbol(c"seccomp_syscall_resolve_num_arch")),
            })
        }
    }

    /// The number that the library has for a name; below 0 where the architecture doesn't have it.
    pub fn number(&self, architecture: u32, name: &str) -> i32 {
        let name = CString::new(name).expect("no NUL in a name");
        // SAFETY: the name outlives the call.
        unsafe { (self.resolve)(architecture, name.as_ptr()) }
    }

    /// The number that the library wants to be told for one of another architecture: that of the same name here, or one below 0
    /// that stands for the name.
    fn told(&self, architecture: u32, number: i32) -> i32 {
        // SAFETY: the name that is found outlives the call that it is given to, and belongs to us then.
        unsafe {
            let name = (self.name)(architecture, number);
            if name.is_null() {
                return number;
            }
            let own = (self.resolve)(NATIVE, name);
            libc::free(name.cast());
            own
        }
    }

    /// The library's filter; its refusal, as an errno below 0, where it doesn't take a rule.
    pub fn filter(&self, architecture: u32, default: u32, rules: &[Told]) -> Result<Vec<Line>, i32> {
        const BAD_ARCHITECTURE: c_int = 2;
        // SAFETY: the filter is released at the end and used by nobody else; arrays outlive their calls.
        unsafe {
            let filter = (self.init)(default);
            assert!(!filter.is_null(), "a filter can be made");
            assert_eq!((self.set)(filter, BAD_ARCHITECTURE, libc::SECCOMP_RET_KILL_PROCESS), 0);
            let added = (self.arch_add)(filter, architecture);
            if added == 0 {
                assert_eq!((self.arch_remove)(filter, NATIVE), 0);
            }
            assert!(added == 0 || added == -libc::EEXIST, "{architecture:#x} is known");
            let mut told = rules.iter();
            let refusal = told.find_map(|(number, action, conditions)| {
                let count = conditions.len() as c_uint;
                let number = self.told(architecture, *number);
                let answer = (self.rule)(filter, *action, number, count, conditions.as_ptr());
                (answer != 0).then_some(answer)
            });
            let (mut out, into) = std::io::pipe().expect("a pipe");
            // 4096 instructions of 8 bytes fit into a pipe.
            let exported = (self.export)(filter, into.as_raw_fd());
            (self.release)(filter);
            drop(into);
            let mut bytes = Vec::new();
            out.read_to_end(&mut bytes).expect("our own pipe");
            assert_eq!(exported, 0, "a filter can be exported");
            let line = |b: &[u8]| {
                let operand = u32::from_le_bytes([b[4], b[5], b[6], b[7]]);
                (u16::from_le_bytes([b[0], b[1]]), b[2], b[3], operand)
            };
            refusal.map_or(Ok(bytes.chunks_exact(8).map(line).collect()), Err)
        }
    }
}

/// What the library is told in one call: number, action, conditions.
pub type Told = (i32, u32, Vec<Compared>);

/// The texts of an array; of anything else, none.
pub fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn action(object: &Value, word: &str, errno: &str) -> u32 {
    let errno = object[errno].as_u64().unwrap_or(1) as u32;
    match object[word].as_str().expect("an action") {
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        "SCMP_ACT_ERRNO" => 0x5_0000 | errno,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno,
        "SCMP_ACT_TRAP" => 0x3_0000,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_KILL" => 0,
        other => panic!("{other}"),
    }
}

/// What an OCI runtime makes of a profile: the default and the rules, in their order.
pub fn told(
    profile: &Value,
    word: &str,
    capabilities: &[&str],
    number: impl Fn(&str) -> i32,
) -> (u32, Vec<Told>) {
    let default = action(profile, "defaultAction", "defaultErrnoRet");
    let mut all = Vec::new();
    for rule in profile["syscalls"].as_array().expect("rules") {
        let (wanted, unwanted) = (texts(&rule["includes"]["caps"]), texts(&rule["excludes"]["caps"]));
        let (here, elsewhere) = (texts(&rule["includes"]["arches"]), texts(&rule["excludes"]["arches"]));
        let counts = wanted.iter().all(|one| capabilities.contains(one))
            && !unwanted.iter().any(|one| capabilities.contains(one))
            && (here.is_empty() || here.contains(&word))
            && !elsewhere.contains(&word);
        let action = action(rule, "action", "errnoRet");
        if !counts || action == default {
            continue;
        }
        let compared = |arg: &Value| Compared {
            argument: arg["index"].as_u64().expect("an index") as c_uint,
            op: 1 + OPS.iter().position(|op| arg["op"] == format!("SCMP_CMP_{op}")).expect("an op") as c_int,
            first: arg["value"].as_u64().expect("a value"),
            second: arg["valueTwo"].as_u64().unwrap_or_default(),
        };
        let conditions: Vec<Compared> = rule["args"].as_array().into_iter().flatten().map(compared).collect();
        let of = |argument| conditions.iter().filter(|one| one.argument == argument).count();
        for number in texts(&rule["names"]).into_iter().map(&number).filter(|number| *number >= 0) {
            if (0..6).any(|argument| of(argument) > 1) {
                all.extend(conditions.iter().map(|one| (number, action, vec![*one])));
            } else {
                all.push((number, action, conditions.clone()));
            }
        }
    }
    (default, all)
}
