//! The `isolation` object of NGINX Unit, or the application around it. Source: its configuration reference.

use std::path::Path;

use super::Asked;
use super::members::Members;

pub fn read(members: Members, _path: &Path) -> Result<Asked, String> {
    let mut asked = Asked::default();
    let whole = ["type", "isolation", "executable", "user", "group"].iter().any(|key| members.has(key));
    match whole {
        true => application(&mut asked, members)?,
        false => isolation(&mut asked, members, false)?,
    }
    Ok(asked)
}

fn application(asked: &mut Asked, mut members: Members) -> Result<(), String> {
    if let Some(kind) = members.string("type")?.filter(|kind| kind != "external") {
        asked.unhonoured.push(format!("type {kind}, which is run by Unit itself and not by a command"));
    }
    match (members.string("user")?, members.string("group")?) {
        (Some(user), Some(group)) => asked.say("user", format!("{user}:{group}")),
        (Some(user), None) => asked.say("user", user),
        (None, Some(group)) => asked.say("group", group),
        (None, None) => {}
    }
    if let Some(dir) = members.string("working_directory")? {
        asked.say("chdir", dir);
    }
    if let Some(mut variables) = members.object("environment")? {
        while let Some((name, value)) = variables.next() {
            let place = variables.place(&name);
            let value = value.as_str().ok_or_else(|| format!("{place} is a string"))?;
            if name.contains('=') {
                return Err(format!("{place}: a variable's name has no ="));
            }
            asked.say("env", format!("{name}={value}"));
        }
    }
    asked.command.extend(members.string("executable")?);
    asked.command.extend(members.strings("arguments")?);
    if let Some(inner) = members.object("isolation")? {
        isolation(asked, inner, true)?;
    }
    asked.unhonoured.extend(members.rest());
    Ok(())
}

fn isolation(asked: &mut Asked, mut members: Members, in_application: bool) -> Result<(), String> {
    let kinds =
        members.object("namespaces")?.map(|list| namespaces(asked, list)).transpose()?.unwrap_or_default();
    for (key, option) in [("uidmap", "map-uid"), ("gidmap", "map-gid")] {
        for mut range in members.objects(key)? {
            let (inside, outside, count) =
                (range.needed("container")?, range.needed("host")?, range.needed("size")?);
            asked.say(option, format!("{inside}:{outside}:{count}"));
            asked.unhonoured.extend(range.rest());
        }
    }
    let mut automount = members.object("automount")?;
    let mut wanted = |key| match &mut automount {
        Some(members) => members.boolean(key),
        None => Ok(None),
    };
    let (language, tmpfs, procfs) = (wanted("language_deps")?, wanted("tmpfs")?, wanted("procfs")?);
    if let Some(root) = members.string("rootfs")? {
        asked.say("root", root);
        let place = if in_application { "isolation.automount" } else { "automount" };
        // A command has no language module; who asks for its files by word is told so.
        if language == Some(true) {
            asked.unhonoured.push(format!("{place}.language_deps"));
        }
        if tmpfs != Some(false) {
            asked.unhonoured.push(format!("{place}.tmpfs, which is true unless the file says false"));
        }
        let shows = kinds.contains(&"mount") && kinds.contains(&"pid");
        match procfs {
            Some(false) => {}
            _ if shows => asked.switch("mount-proc"),
            _ => asked.unhonoured.push(format!(
                "{place}.procfs, which is true unless the file says false, without the namespaces mount and pid"
            )),
        }
    }
    if members.boolean("new_privs")? == Some(false) {
        asked.switch("no-new-privs");
    }
    asked.unhonoured.extend(automount.map(Members::rest).unwrap_or_default());
    asked.unhonoured.extend(members.rest());
    Ok(())
}

/// The kinds that are to be new, by our words for them.
fn namespaces(asked: &mut Asked, mut members: Members) -> Result<Vec<&'static str>, String> {
    let words = [
        ("credential", "user"),
        ("pid", "pid"),
        ("network", "net"),
        ("mount", "mount"),
        ("uname", "uts"),
        ("cgroup", "cgroup"),
    ];
    let mut kinds = Vec::new();
    for (key, word) in words {
        if members.boolean(key)? == Some(true) {
            kinds.push(word);
        }
    }
    if !kinds.is_empty() {
        asked.say("unshare", kinds.join(","));
    }
    asked.unhonoured.extend(members.rest());
    Ok(kinds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> (Vec<String>, Vec<String>, Vec<String>) {
        let asked = read(Members::parse(text).unwrap(), Path::new("x")).unwrap();
        let options = asked.options.into_iter().map(|(name, value)| match value {
            Some(value) => format!("{name}={value}"),
            None => name,
        });
        (options.collect(), asked.command, asked.unhonoured)
    }

    #[test]
    fn an_isolation_object_is_options() {
        let text = r#"{"namespaces": {"credential": true, "pid": true, "uname": true, "network": false},
                       "uidmap": [{"container": 0, "host": 1000, "size": 1}], "new_privs": false}"#;
        let options = ["unshare=user,pid,uts", "map-uid=0:1000:1", "no-new-privs"].map(String::from).to_vec();
        assert_eq!(asked(text), (options, vec![], vec![]));
    }

    #[test]
    fn an_application_brings_its_user_and_its_command() {
        let text = r#"{"type": "external", "user": "bob", "group": "adm", "working_directory": "/srv",
                       "environment": {"A": "1"}, "executable": "/bin/x", "arguments": ["-y"], "isolation": {}}"#;
        let options = ["user=bob:adm", "chdir=/srv", "env=A=1"].map(String::from).to_vec();
        assert_eq!(asked(text), (options, vec!["/bin/x".to_string(), "-y".to_string()], vec![]));
    }

    #[test]
    fn what_seclude_does_not_do_is_named() {
        let text = r#"{"type": "php", "limits": {"timeout": 1}, "isolation": {"cgroup": {"path": "x"}, "rootfs": "/r"}}"#;
        let named = asked(text).2;
        assert_eq!(named.len(), 5);
        assert!(named[0].starts_with("type php"));
        assert!(named[1].starts_with("isolation.automount.tmpfs"));
        assert!(named[2].starts_with("isolation.automount.procfs"));
        assert_eq!(named[3..], ["isolation.cgroup", "limits"]);
    }
}
