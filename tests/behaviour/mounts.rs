//! Mounts and root: a fresh /proc, how mounts travel, a root that holds.

use std::fs;
use std::path::PathBuf;

use crate::machine::{call, caller, can, is_root, scratch, sh};

#[test]
fn a_fresh_proc_shows_the_new_pid_namespace_alone() {
    if !can(&["userns"]) {
        return;
    }
    let options = ["-q", "-n", "user,pid,mount", "--user", "0:0", "--mount-proc"];
    let seen =
        sh(&options, "echo /proc/[0-9]*; readlink /proc/self; grep -c ' /proc proc ' /proc/self/mounts");
    assert_eq!(seen.out.lines().next(), Some("/proc/1 /proc/2"), "{seen:?}");
    let mounts = sh(&options, "sed -n 's/^proc \\/proc proc //p' /proc/self/mounts | tail -1").out;
    assert!(mounts.starts_with("rw,nosuid,nodev,noexec,relatime"), "{mounts}");
}

#[test]
fn a_fresh_proc_goes_where_it_is_asked() {
    if !can(&["userns"]) {
        return;
    }
    let dir = scratch("proc");
    let option = format!("--mount-proc={}", dir.display());
    let script = format!("echo {}/[0-9]*; [ -d /proc/self/task ] && echo old", dir.display());
    let seen = sh(&["-q", "-n", "user,pid,mount", "--user", "0:0", &option], &script);
    assert_eq!(seen.out, format!("{0}/1 {0}/2\nold\n", dir.display()), "{seen:?}");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing of it is seen outside");
}

#[test]
fn mounts_are_private_unless_they_are_asked_to_travel() {
    if !can(&["root"]) {
        return;
    }
    let dir = scratch("travel");
    // A caller whose mount is shared, in a namespace of the test's own.
    let travels = |how: &str| {
        let script = format!(
            r#"exec unshare -m sh -c 'mount -t tmpfs none {dir} && mount --make-shared {dir} && mkdir {dir}/in
            "$0" -q -n mount {how} sh -c "mount -t tmpfs inner {dir}/in; grep {dir} /proc/self/mountinfo | grep -o -E \"shared:|master:\" | sort -u | xargs"
            grep -c inner /proc/self/mounts' "$0""#,
            dir = dir.display()
        );
        let seen = caller(&script);
        assert_eq!(seen.err, "", "{seen:?}");
        seen.out.split_whitespace().map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(travels(""), ["0"]);
    assert_eq!(travels("--propagation private"), ["0"]);
    assert_eq!(travels("--propagation slave"), ["master:", "0"]);
    assert_eq!(travels("--propagation unchanged"), ["shared:", "1"]);
    assert_eq!(travels("--propagation shared"), ["shared:", "1"]);
}

/// A tree with a shell in it, bound from the machine's own.
pub fn tree(name: &str) -> PathBuf {
    let dir = scratch(name);
    for part in ["bin", "lib", "lib64", "usr", "proc", "tmp"] {
        fs::create_dir(dir.join(part)).unwrap();
    }
    fs::write(dir.join("here"), "the new root").unwrap();
    dir
}

/// A script that binds the machine's programs into `tree` in a mount namespace of the caller's, then does `rest`.
pub fn in_tree(tree: &std::path::Path, rest: &str) -> crate::machine::Outcome {
    let dir = tree.display();
    let binds: String = ["bin", "lib", "lib64", "usr"]
        .iter()
        .map(|part| format!("[ -d /{part} ] && mount --rbind /{part} {dir}/{part}\n"))
        .collect();
    let flags = if is_root() { "-m" } else { "-mr" };
    caller(&format!("exec unshare {flags} sh -c '{binds}{}' \"$0\"", rest.replace('\'', r"'\''")))
}

#[test]
fn a_pivoted_root_leaves_nothing_of_the_old_one() {
    if !can(&["userns"]) {
        return;
    }
    let tree = tree("pivot");
    let run = format!(
        r#""$0" -q -n mount,pid --root {} --mount-proc sh -c 'cat /here; pwd; echo /*; cut -d" " -f5 /proc/self/mountinfo | grep -v -e ^/usr -e ^/bin -e ^/lib | xargs; ls -d /../etc 2>&1 | wc -l; cd /proc/1/root && ls -d here; echo /proc/[0-9]*'"#,
        tree.display()
    );
    let seen = in_tree(&tree, &run);
    assert_eq!(
        seen.out,
        "the new root/\n/bin /here /lib /lib64 /proc /tmp /usr\n/ /proc\n1\nhere\n/proc/1 /proc/2\n",
        "{seen:?}"
    );
}

#[test]
fn a_chroot_is_the_root_where_no_mount_namespace_is_made() {
    if !can(&["userns"]) {
        return;
    }
    let tree = tree("chroot");
    let run = format!(r#""$0" -q --root {} sh -c 'cat /here; pwd; echo /*'"#, tree.display());
    let seen = in_tree(&tree, &run);
    assert_eq!(seen.out, "the new root/\n/bin /here /lib /lib64 /proc /tmp /usr\n", "{seen:?}");
}

#[test]
fn the_working_directory_is_one_of_the_new_root() {
    if !can(&["userns"]) {
        return;
    }
    let tree = tree("chdir");
    let run = |dir: &str| {
        let call = format!(r#""$0" -q -n mount --root {} -C {dir} sh -c pwd"#, tree.display());
        in_tree(&tree, &call)
    };
    assert_eq!(run("/tmp").seen(), (Some(0), "/tmp\n", ""));
    let err = "seclude: chdir: cannot enter /etc: No such file or directory (ENOENT)\n";
    assert_eq!(run("/etc").seen(), (Some(125), "", err));
}

#[test]
fn a_root_that_is_none_is_refused() {
    if !can(&["userns"]) {
        return;
    }
    let user = ["-n", "user,mount", "--user", "0:0"];
    let refused = |options: &[&str], message: &str| {
        let seen = call(&[&user, options, &["echo", "ran"]].concat());
        assert_eq!(seen.seen(), (Some(125), "", format!("seclude: {message}\n").as_str()));
    };
    let absent = "No such file or directory (ENOENT)";
    refused(&["--root", "/nope"], &format!("root: cannot change the root to /nope: {absent}"));
    let already = "that is the root already: another directory is needed";
    for slash in ["/", "//", "/.", "/usr/.."] {
        refused(&["--root", slash], &format!("plan: cannot take --root {slash}: {already}"));
    }
    let travel = "its mounts would travel to the caller's namespace: --propagation is private or slave";
    for how in ["shared", "unchanged"] {
        let options = ["--root", "/usr", "--propagation", how];
        refused(&options, &format!("plan: cannot take --root /usr: {travel}"));
    }
    let file = "Not a directory (ENOTDIR)";
    refused(&["--root", "/etc/passwd"], &format!("root: cannot change the root to /etc/passwd: {file}"));
}
