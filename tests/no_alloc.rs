//! Launches past an allocator that ends any process but the launcher: the child reaches its exec, or its failure, without it.

#[path = "machine/mod.rs"]
mod machine;

use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use seclude::failure::{Failure, Stage};
use seclude::host::Host;
use seclude::launch::Told;
use seclude::plan::Plan;
use seclude::request::{self, Asked};
use seclude::{launch, sys};

/// The only process that may allocate; 0: all may.
static LAUNCHER: AtomicI32 = AtomicI32::new(0);

struct Tripwire;

#[global_allocator]
static ALLOCATOR: Tripwire = Tripwire;

impl Tripwire {
    fn touch(&self) {
        let launcher = LAUNCHER.load(Ordering::Relaxed);
        // SAFETY: system calls alone, on a constant.
        unsafe {
            if launcher != 0 && libc::syscall(libc::SYS_getpid) != i64::from(launcher) {
                let text = b"no_alloc: the child came to the allocator\n";
                libc::syscall(libc::SYS_write, 2, text.as_ptr(), text.len());
                libc::abort();
            }
        }
    }
}

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Tripwire {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.touch();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.touch();
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.touch();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What a launch comes to: the command's exit status, or the stage that failed.
type Outcome = Result<i32, Stage>;

/// A line of options and a command, what it takes to run it, and what comes of it.
type Case<'a> = (&'a [&'a str], &'a str, Outcome);

const CASES: &[Case] = &[
    (&[], "/bin/true", Ok(0)),
    (&[], "/bin/false", Ok(1)),
    (&[], "-v --umask 027 --no-new-privs --clear-env --env A=b --argv0 x /bin/true", Ok(0)),
    (&[], "--chdir / /bin/true", Ok(0)),
    (
        &["landlock"],
        "--no-new-privs --landlock-read / --landlock-write /dev/null --landlock-connect 1 --landlock-scope signal /bin/true",
        Ok(0),
    ),
    (&["landlock"], "--no-new-privs --landlock-read /proc/none /bin/true", Err(Stage::Landlock)),
    (&["landlock"], "--no-new-privs --landlock-exec /proc /bin/true", Err(Stage::Exec)),
    (
        &[],
        "--nice 19 --oom-score-adj 900 --cpu-affinity 0 --sched idle --ioprio be:7 --rlimit core=0 /bin/true",
        Ok(0),
    ),
    (&[], "-q --nice 19 --cpu-affinity 0 --sched batch --rlimit nofile=9 --rlimit nproc=1 /bin/true", Ok(0)),
    (&[], "-q --cpu-affinity 8191 /bin/true", Err(Stage::CpuAffinity)),
    (&[], "--chdir /proc/none /bin/true", Err(Stage::Chdir)),
    (&[], "SCRATCH/uninterpreted", Err(Stage::Exec)),
    (&[], "SCRATCH/neither", Err(Stage::Exec)),
    (&["userns"], "-n user -u 0:0 /bin/true", Ok(0)),
    (&["userns"], "-q -n user -u 0:0 /bin/true", Ok(0)),
    (&["userns"], "-n user,pid -u 0:0 --nice 19 --oom-score-adj 950 --rlimit as=9G /bin/true", Ok(0)),
    (&["userns"], "-n user,pid -u 0:0 --cpu-affinity 8191 /bin/true", Err(Stage::CpuAffinity)),
    (&["userns"], "-q -n user,pid -u 0:0 /bin/false", Ok(1)),
    (&["userns"], "-q -n user,pid -u 0:0 SCRATCH/neither", Err(Stage::Exec)),
    (
        &["userns"],
        "-v -n user,pid,mount,uts,ipc,net,cgroup -u 0:0 --mount-proc --hostname a --domainname b /bin/true",
        Ok(0),
    ),
    (&["userns"], "-n user,time -u 0:0 --time-offset boottime=9 /bin/true", Ok(0)),
    (&["userns"], "-n user,mount,pid -u 0:0 --mount-proc=/proc/none /bin/true", Err(Stage::MountProc)),
    (&["userns"], "-n user,mount -u 0:0 -R /proc/none /bin/true", Err(Stage::Root)),
    (&["userns"], "-n user,mount -u 0:0 -R SCRATCH /bin/true", Err(Stage::Exec)),
    (&["userns"], "-n user -u 1:1 --chdir / /bin/true", Ok(0)),
    (&["subids"], "--map auto -u 7:7 --groups 8,9 /bin/true", Ok(0)),
    (&["root"], "-u 65534:65534 /bin/true", Ok(0)),
    (&["root"], "-u 65534:65534 --groups 1,2,3 --chdir SCRATCH/closed /bin/true", Ok(0)),
    (&["root"], "-u 65534:65534 SCRATCH/closed/true", Err(Stage::Exec)),
    (&["root"], "-n pid,mount --mount-proc /bin/true", Ok(0)),
    (&["root"], "-n time --time-offset monotonic=9 /bin/true", Ok(0)),
    (&["root"], "--join mount,net,uts,ipc,cgroup=SELF /bin/true", Ok(0)),
    (&["root"], "--join pid,net=SELF -n uts --hostname a /bin/true", Ok(0)),
    (&["root"], "--join user=SELF /bin/true", Err(Stage::Join)),
];

fn main() -> ExitCode {
    let dir = furnished();
    // Asked while children may still allocate.
    let cases: Vec<_> = CASES.iter().filter(|(needs, ..)| machine::can(needs)).collect();
    LAUNCHER.store(process::id() as i32, Ordering::Relaxed);
    if !trips() {
        println!("no_alloc: a child that allocates is not noticed");
        return ExitCode::FAILURE;
    }
    let mut wrong = 0;
    for (_, line, expected) in &cases {
        let line = line.replace("SCRATCH", &dir).replace("SELF", &process::id().to_string());
        let words: Vec<OsString> =
            ["seclude"].into_iter().chain(line.split(' ')).map(OsString::from).collect();
        let found = launched(&words);
        let stage = found.as_ref().map(|status| *status).map_err(|failure| failure.stage);
        if stage != *expected {
            wrong += 1;
            let found = found.map_err(|failure| failure.to_string());
            println!("no_alloc: {line}: expected {expected:?}, found {found:?}");
        }
    }
    println!("no_alloc: {} launches, {wrong} of them wrong, 0 allocations in the others", cases.len());
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn launched(words: &[OsString]) -> Result<i32, Failure> {
    let Asked::Request(request) = request::read(words)? else { panic!("{words:?} asks for a text") };
    let host = Host::probe(&request)?;
    let plan = Plan::new(&request, &host)?;
    let launched = launch::hold(&plan)?.release()?;
    let ended = sys::reap(launched.pidfd.as_fd()).expect("the command is our child, or its init");
    let told = launched.life.as_ref().map(|life| life.hear().expect("init can be heard"));
    let ended = match told {
        Some(Some(Told::Ended(change))) => change,
        Some(_) if !launched.is_told_by(&ended) => {
            panic!("{words:?}: init has not told how the command ended")
        }
        _ => ended,
    };
    assert_eq!(ended.code, libc::CLD_EXITED, "{words:?}");
    Ok(ended.status)
}

/// Whether a child that allocates dies of it.
fn trips() -> bool {
    // Its last words are not for whoever reads this test's.
    let quiet = fs::File::options().write(true).open("/dev/null").expect("/dev/null can be written to");
    // SAFETY: one thread runs, and the child makes system calls until it does what it is here to die of.
    match unsafe { fork() }.expect("a child can be made") {
        ForkResult::Child => unsafe {
            libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&quiet), 2);
            let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            libc::setrlimit(libc::RLIMIT_CORE, &none);
            black_box(Box::new(7));
            libc::_exit(0)
        },
        ForkResult::Parent { child } => {
            let end = waitpid(child, None).expect("our own child");
            matches!(end, WaitStatus::Signaled(_, nix::sys::signal::Signal::SIGABRT, _))
        }
    }
}

/// A directory with files that can't be executed, and one that only its maker may enter.
fn furnished() -> String {
    let dir = machine::scratch("no-alloc");
    let file = |name: &str, text: &str| {
        fs::write(dir.join(name), text).expect("a file can be written");
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o755)).expect("its mode can be set");
    };
    file("uninterpreted", "#!/proc/none\n");
    file("neither", "\0neither\n");
    fs::create_dir(dir.join("closed")).expect("a directory can be made");
    fs::set_permissions(dir.join("closed"), fs::Permissions::from_mode(0o700)).expect("its mode can be set");
    file("closed/true", "#!/bin/true\n");
    dir.to_str().expect("a scratch path is text").to_string()
}
