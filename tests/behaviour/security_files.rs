//! Files and descriptors, where launchers of its kind were tricked: what is left open, directories outside, whose names and maps.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::machine::{
    GRANT, GRANTED, Outcome, STRANGER, caller, can, finish, grants, is_root, run, scratch, seclude,
};
use crate::mounts::{in_tree, tree};

/// Calls below strace(1), which hands on the caller's descriptors 3, 9 and 250.
fn traced(arguments: &str, options: &str, command: &str) -> Outcome {
    let script = format!(
        r#"exec 3</ 9</ 250</etc/passwd; exec strace -f -qq -o /dev/null {arguments} "$0" -q {options} sh -c '{command}'"#
    );
    run("bash", &["-c", &script, &seclude().to_string_lossy()])
}

/// CVE-2024-21626, CVE-2016-8649, CVE-2015-3627: a directory that the launcher had open was the command's way out.
#[test]
fn the_caller_s_descriptors_are_closed_or_nothing_runs_whatever_close_range_answers() {
    if !can(&["bash", "strace", "userns"]) {
        return;
    }
    let look = "for n in 3 9 250; do [ -e /proc/$$/fd/$n ] && echo $n; done; echo ran";
    for way in ["", "--exec", "-n user,pid,mount --user 0:0 --mount-proc", "--leftovers wait"] {
        for errno in ["ENOSYS", "EPERM"] {
            let fault = format!("-e trace=close_range -e inject=close_range:error={errno}");
            assert_eq!(traced(&fault, way, look).seen(), (Some(0), "ran\n", ""), "{errno} {way}");
            let kept = traced(&fault, &format!("{way} --keep-fd 250"), look);
            assert_eq!(kept.seen(), (Some(0), "250\nran\n", ""), "{errno} {way}");
        }
        let seen = traced("-e trace=close_range -e inject=close_range:error=EIO", way, look);
        // With an init, it may be that one which fails first.
        assert_eq!((seen.status, seen.out.as_str()), (Some(125), ""), "{way}");
    }
}

/// CVE-2024-21626: a working directory that was named by a descriptor lay outside of the new root.
#[test]
fn no_descriptor_is_a_way_to_a_working_directory_outside_of_the_new_root() {
    if !can(&["userns"]) {
        return;
    }
    let tree = tree("outside");
    fs::create_dir(tree.join("own")).unwrap();
    let rule = "seclude: chdir: cannot stay below the new root: the directory is outside the new root\n";
    for way in ["", "-n mount", "-n mount,pid --mount-proc", "-n mount --keep-fd 9"] {
        let run = |directory: &str, open: &str| {
            let call = format!(
                r#"mount --rbind /proc {0}/proc; exec 9<{open}; "$0" -q {way} --root {0} -C {directory} sh -c 'pwd; echo *'"#,
                tree.display()
            );
            in_tree(&tree, &call)
        };
        for open in ["/etc", "/", "/usr"] {
            assert_eq!(run("/proc/self/fd/9", open).seen(), (Some(125), "", rule), "{way} {open}");
        }
        let inside = format!("{}/own", tree.display());
        let below = run("/own", &inside);
        assert_eq!(below.seen(), (Some(0), "/own\n*\n", ""), "{way}");
    }
}

/// CVE-2019-14271, CVE-2025-32463: names were looked up by the new root's libraries and files.
#[test]
fn a_name_is_looked_up_outside_of_the_new_root() {
    if !can(&["root"]) {
        return;
    }
    let tree = tree("names");
    fs::create_dir(tree.join("etc")).unwrap();
    for (name, text) in [
        ("passwd", "nobody:x:0:0::/:/bin/sh\n"),
        ("group", "nogroup:x:0:\ndaemon:x:0:\n"),
        ("nsswitch.conf", "passwd: planted\ngroup: planted\n"),
    ] {
        fs::write(tree.join("etc").join(name), text).unwrap();
    }
    let file = scratch("opened").join("calls");
    let trace = format!("strace -f -qq -o {} -e trace=open,openat,chroot,pivot_root,execve", file.display());
    for way in ["", "-n mount", "--exec", "-n mount,pid"] {
        let options = format!("-q {way} --root {} --user nobody --group daemon", tree.display());
        let seen = in_tree(&tree, &format!(r#""$0" {options} sh -c 'id -ru; id -rg'"#));
        assert_eq!(seen.seen(), (Some(0), "65534\n1\n", ""), "{way}");
        if can(&["strace"]) {
            let seen = in_tree(&tree, &format!(r#"{trace} "$0" {options} /bin/true"#));
            assert_eq!(seen.seen(), (Some(0), "", ""), "{way}");
            let text = fs::read_to_string(&file).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let at = |name: &str| lines.iter().position(|line| line.contains(name));
            let rooted = at(" chroot(").or(at(" pivot_root(")).expect("the root is changed");
            let exec =
                lines.iter().rposition(|line| line.contains(" execve(\"/bin/true\"")).expect("an exec");
            let databases = ["passwd", "group\"", "nsswitch", "libnss", "subuid"];
            let asks = |line: &&&str| databases.iter().any(|name| line.contains(name));
            assert_ne!(lines[..rooted].iter().find(asks), None, "{way}: {text}");
            assert_eq!(lines[rooted..exec].iter().find(asks), None, "{way}: {text}");
        }
    }
}

/// No CVE: the map of a process that had died went to whoever had its pid by then.
#[test]
fn maps_are_written_through_the_directory_of_the_child_and_never_by_its_number() {
    if !can(&["userns", "strace"]) {
        return;
    }
    let file = scratch("maps").join("calls");
    // A plain user may write it as well.
    fs::write(&file, "").unwrap();
    std::os::unix::fs::chown(&file, is_root().then_some(STRANGER), None).unwrap();
    for way in ["", "--exec"] {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(&file).arg(seclude()).arg("-q");
        command
            .args(way.split_whitespace())
            .args(["-n", "user", "--user", "0:0", "/bin/true"])
            .current_dir("/");
        if is_root() {
            use std::os::unix::process::CommandExt;
            command.uid(STRANGER).gid(STRANGER);
        }
        assert_eq!(finish(&mut command).seen(), (Some(0), "", ""), "{way}");
        let text = fs::read_to_string(&file).unwrap();
        let mut opened = BTreeSet::new();
        for line in text.lines() {
            for name in ["uid_map", "gid_map", "setgroups"] {
                if line.contains(&format!("{name}\"")) {
                    let (_, call) = line.split_once("openat(").unwrap_or_else(|| panic!("{way}: {line}"));
                    let (at, path) = call.split_once(", ").unwrap();
                    assert!(at.parse::<i32>().is_ok_and(|fd| fd > 2), "{way}: {line}");
                    assert!(path.starts_with(&format!("\"{name}\",")), "{way}: {line}");
                    opened.insert(name);
                }
            }
        }
        assert_eq!(opened.len(), 3, "{way}: {text}");
    }
}

/// No CVE: where children are reaped unseen, their pids are anybody's.
#[test]
fn a_caller_that_ignores_sigchld_has_the_maps_that_were_asked_for() {
    if !can(&["root", "newuidmap", "unshare"]) {
        return;
    }
    let dir = scratch("unseen");
    let mut binds = String::new();
    for (name, text) in grants() {
        fs::write(dir.join(name), text).unwrap();
        binds += &format!("mount --bind {}/{name} /etc/{name}; ", dir.display());
    }
    let user = format!("setpriv --reuid {GRANTED} --regid {GRANTED} --clear-groups env --ignore-signal=CHLD");
    let maps = format!("--map-uid 0:{GRANT}:10 --map-gid 0:{GRANT}:10 --user 3:4");
    for way in ["", "--exec", "-n pid"] {
        let seen = caller(&format!(
            r#"cd /; exec unshare -m sh -ec '{binds} exec {user} "$0" -q {way} {maps} sh -c "id -u; xargs < /proc/self/uid_map; exit 42"' "$0""#
        ));
        assert_eq!(seen.seen(), (Some(42), format!("3\n0 {GRANT} 10\n").as_str(), ""), "{way}");
    }
}

/// CVE-2023-42456: files of state were had by names that are paths. There are none here.
#[test]
fn a_launch_opens_no_file_for_writing_but_maps_and_terminal() {
    if !can(&["userns", "strace"]) {
        return;
    }
    let file = scratch("written").join("calls");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(&file).arg(seclude());
    command.args(["-n", "user,pid,mount", "--mount-proc", "--user", "0:0", "/bin/true"]).current_dir("/");
    assert_eq!(finish(&mut command).status, Some(0));
    let text = fs::read_to_string(&file).unwrap();
    let writes = [
        "O_WRONLY", "O_RDWR", "O_CREAT", " creat(", "mkdir", "mknod", "link(", "linkat(", "rename",
        "truncate",
    ];
    let mut written = BTreeSet::new();
    for line in text
        .lines()
        .filter(|line| writes.iter().any(|call| line.contains(call)) && !line.contains("readlink"))
    {
        written.insert(line.split('"').nth(1).unwrap_or(line));
    }
    written.remove("setgroups");
    assert_eq!(written, BTreeSet::from(["/dev/tty", "gid_map", "uid_map"]), "{text}");
}

/// CVE-2019-19921, CVE-2023-27561, CVE-2025-52881: maps and labels went to files that were none of the kernel's.
#[test]
fn maps_are_written_to_no_file_that_is_not_the_kernel_s() {
    if !can(&["root", "unshare"]) {
        return;
    }
    let rule = "seclude: proc: cannot use /proc: it is not procfs, and nothing that matters is read from or written to a \
                place that only looks like it\nseclude: hint: mount it: mount -t proc proc /proc\n";
    let fake = "mkdir /proc/1; ln -s 1 /proc/self; for file in uid_map gid_map setgroups; do : > /proc/1/$file; done";
    for (cover, way) in [
        ("mount -t tmpfs none /proc", ""),
        ("mount -t tmpfs none /proc", "--exec"),
        ("mkdir /DIR/bound && mount --bind /DIR/bound /proc", ""),
        ("mkdir /DIR/again && mount --bind /DIR/again /proc", "--exec"),
    ] {
        let dir = scratch("fake").display().to_string();
        let cover = cover.replace("/DIR", &dir);
        let user = format!("setpriv --reuid {STRANGER} --regid {STRANGER} --clear-groups");
        let seen = caller(&format!(
            r#"cd /; exec unshare -m sh -ec '{cover}; {fake}; chmod -R a+rwX /proc
            {user} "$0" {way} -n user --user 0:0 echo ran || echo "status $?"; cat /proc/1/uid_map /proc/1/gid_map /proc/1/setgroups' "$0""#
        ));
        assert_eq!(seen.seen(), (Some(0), "status 125\n", rule), "{cover} {way}");
    }
}
