//! The `process` and `linux` parts of an OCI config.json, with its root, host name and /proc. Source: the OCI runtime specification.

use std::path::Path;

use serde_json::Value;

use super::Asked;
use super::limits;
use super::members::Members;

pub fn read(mut members: Members, path: &Path) -> Result<Asked, String> {
    let mut asked = Asked::default();
    // These describe, and ask for nothing.
    members.take("ociVersion");
    members.take("annotations");
    for key in ["hostname", "domainname"] {
        if let Some(name) = members.string(key)? {
            asked.say(key, name);
        }
    }
    if let Some(mut root) = members.object("root")? {
        if let Some(dir) = root.string("path")? {
            let base = path.parent().unwrap_or(Path::new(""));
            let dir = base.join(dir);
            asked.say("root", dir.to_str().ok_or("root.path is UTF-8")?);
        }
        if root.boolean("readonly")? == Some(true) {
            asked.unhonoured.push(root.place("readonly"));
        }
        asked.unhonoured.extend(root.rest());
    }
    for mut mount in members.objects("mounts")? {
        let place = mount.place("destination");
        let destination = mount.string("destination")?.ok_or_else(|| format!("{place} is missing"))?;
        match mount.string("type")?.as_deref() {
            Some("proc") if mount.strings("options")?.is_empty() => asked.say("mount-proc", destination),
            _ => asked.unhonoured.push(format!("{place} {destination}")),
        }
    }
    if let Some(process) = members.object("process")? {
        self::process(&mut asked, process)?;
    }
    if let Some(linux) = members.object("linux")? {
        self::linux(&mut asked, linux, path)?;
    }
    asked.unhonoured.extend(members.rest());
    Ok(asked)
}

fn process(asked: &mut Asked, mut members: Members) -> Result<(), String> {
    asked.command = members.strings("args")?;
    if members.has("env") {
        asked.switch("clear-env");
        for variable in members.strings("env")? {
            if !variable.contains('=') {
                return Err(format!("{} holds NAME=VALUE", members.place("env")));
            }
            asked.say("env", variable);
        }
    }
    if let Some(dir) = members.string("cwd")? {
        asked.say("chdir", dir);
    }
    let mut is_root = true;
    if let Some(mut user) = members.object("user")? {
        let uid = user.needed("uid")?;
        is_root = uid.to_string() == "0";
        asked.say("user", format!("{uid}:{}", user.needed("gid")?));
        let groups = match user.take("additionalGids") {
            None => Vec::new(),
            Some(Value::Array(list)) => list.iter().map(Value::to_string).collect(),
            Some(_) => return Err(format!("{} is an array of numbers", user.place("additionalGids"))),
        };
        asked.say("groups", if groups.is_empty() { "none".to_string() } else { groups.join(",") });
        if let Some(mask) = user.integer("umask")? {
            asked.say("umask", format!("{mask:03o}"));
        }
        asked.unhonoured.extend(user.rest());
    }
    limits::process(asked, &mut members)?;
    if let Some(capabilities) = members.object("capabilities")? {
        self::capabilities(asked, capabilities, is_root)?;
    }
    for (key, option) in [("noNewPrivileges", Some("no-new-privs")), ("terminal", None)] {
        match (members.boolean(key)?, option) {
            (Some(true), Some(option)) => asked.switch(option),
            (Some(true), None) => asked.unhonoured.push(members.place(key)),
            _ => {}
        }
    }
    asked.unhonoured.extend(members.rest());
    Ok(())
}

/// The five sets. What is permitted is effective as well: a difference is not honoured. A user who is not root keeps what is
/// ambient alone, whatever is permitted before the exec.
fn capabilities(asked: &mut Asked, mut members: Members, is_root: bool) -> Result<(), String> {
    let list = |members: &mut Members, key: &str| -> Result<Option<String>, String> {
        let there = members.has(key);
        let mut names = members.strings(key)?;
        names.sort_unstable();
        names.dedup();
        Ok(there.then(|| if names.is_empty() { "none".to_string() } else { names.join(",") }))
    };
    let permitted = list(&mut members, "permitted")?;
    if let Some(effective) = list(&mut members, "effective")?
        && permitted.as_ref() != Some(&effective)
    {
        asked.unhonoured.push(members.place("effective"));
    }
    if let Some(permitted) = permitted.filter(|_| is_root) {
        asked.say("cap-drop", "all");
        if permitted != "none" {
            asked.say("cap-add", permitted);
        }
    }
    for (key, option) in
        [("bounding", "cap-bounding"), ("inheritable", "cap-inheritable"), ("ambient", "cap-ambient")]
    {
        let set = list(&mut members, key)?;
        if let Some(set) = set.or((option == "cap-ambient").then(|| "none".to_string())) {
            asked.say(option, set);
        }
    }
    asked.unhonoured.extend(members.rest());
    Ok(())
}

fn linux(asked: &mut Asked, mut members: Members, path: &Path) -> Result<(), String> {
    let mut made = Vec::new();
    for mut namespace in members.objects("namespaces")? {
        let place = namespace.place("type");
        let kind = namespace.string("type")?.ok_or_else(|| format!("{place} is missing"))?;
        let kind = if kind == "network" { "net".to_string() } else { kind };
        match namespace.string("path")?.filter(|path| !path.is_empty()) {
            Some(path) => asked.say("join", format!("{kind}={path}")),
            None => made.push(kind),
        }
        asked.unhonoured.extend(namespace.rest());
    }
    if !made.is_empty() {
        asked.say("unshare", made.join(","));
    }
    for (key, option) in [("uidMappings", "map-uid"), ("gidMappings", "map-gid")] {
        for mut range in members.objects(key)? {
            let (inside, outside) = (range.needed("containerID")?, range.needed("hostID")?);
            asked.say(option, format!("{inside}:{outside}:{}", range.needed("size")?));
            asked.unhonoured.extend(range.rest());
        }
    }
    if let Some(mut offsets) = members.object("timeOffsets")? {
        for clock in ["monotonic", "boottime"] {
            if let Some(mut offset) = offsets.object(clock)? {
                asked.say("time-offset", format!("{clock}={}", offset.integer("secs")?.unwrap_or(0)));
                if offset.integer("nanosecs")?.unwrap_or(0) != 0 {
                    asked.unhonoured.push(offset.place("nanosecs"));
                }
                asked.unhonoured.extend(offset.rest());
            }
        }
        asked.unhonoured.extend(offsets.rest());
    }
    if members.take("seccomp").is_some() {
        // The file that has it is read once more, for that alone.
        asked.say("seccomp", path.to_str().ok_or("a file with a linux.seccomp has a name in UTF-8")?);
    }
    if let Some(how) = members.string("rootfsPropagation")? {
        asked.say("propagation", how.strip_prefix('r').unwrap_or(&how));
    }
    asked.unhonoured.extend(members.rest());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_and_linux_are_options() {
        let text = r#"{"ociVersion": "1.2.0", "hostname": "box", "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "process": {"user": {"uid": 1, "gid": 2, "additionalGids": [3, 4], "umask": 18}, "args": ["sh"],
                        "env": ["A=b"], "cwd": "/", "noNewPrivileges": true, "terminal": false},
            "linux": {"namespaces": [{"type": "network"}, {"type": "user"}, {"type": "uts", "path": "/x"}],
                      "uidMappings": [{"containerID": 0, "hostID": 1, "size": 9}], "maskedPaths": []}}"#;
        let asked = read(Members::parse(text).unwrap(), Path::new("/b/config.json")).unwrap();
        let said: Vec<_> =
            asked.options.iter().map(|(o, v)| v.as_ref().map_or(o.clone(), |v| format!("{o}={v}"))).collect();
        let expected = [
            "hostname=box",
            "root=/b/rootfs",
            "mount-proc=/proc",
            "clear-env",
            "env=A=b",
            "chdir=/",
            "user=1:2",
            "groups=3,4",
            "umask=022",
            "no-new-privs",
            "join=uts=/x",
            "unshare=net,user",
            "map-uid=0:1:9",
        ];
        assert_eq!(
            (said, asked.command, asked.unhonoured),
            (expected.map(String::from).to_vec(), vec!["sh".to_string()], vec![])
        );
    }

    #[test]
    fn what_is_not_honoured_is_named() {
        let text = r#"{"process": {"capabilities": {"effective": ["CAP_KILL"]}, "terminal": true}, "hooks": {"a": []},
            "linux": {"resources": {"devices": [{}]}}, "mounts": [{"destination": "/dev", "type": "tmpfs"}]}"#;
        let asked = read(Members::parse(text).unwrap(), Path::new("config.json")).unwrap();
        let expected = [
            "mounts[0].destination /dev",
            "process.capabilities.effective",
            "process.terminal",
            "linux.resources",
            "hooks",
        ];
        assert_eq!(asked.unhonoured, expected);
    }
}
