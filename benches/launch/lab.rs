//! What is measured, found and laid out where every user may run it: seclude, the floor, the target and the peers.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setresgid, setresuid};

/// Whom no database knows: who calls where no privilege is to be had.
const STRANGER: u32 = 61_234;
const PEERS: [&str; 7] = ["setpriv", "gosu", "tini", "unshare", "minijail0", "bwrap", "nsjail"];
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub struct Lab {
    pub dir: PathBuf,
    programs: BTreeMap<&'static str, PathBuf>,
}

/// One way to launch the target.
#[derive(Clone)]
pub struct Variant {
    pub label: String,
    pub program: PathBuf,
    pub args: Vec<OsString>,
    pub environment: Vec<(String, String)>,
}

impl Lab {
    pub fn set_up() -> io::Result<Lab> {
        let dir = env::temp_dir().join(format!("seclude-bench-{}", std::process::id()));
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o755))?;
        let mut lab = Lab { dir, programs: BTreeMap::new() };
        lab.lay_out("seclude", Path::new(env!("CARGO_BIN_EXE_seclude")))?;
        for (name, flags) in [("floor", &[][..]), ("target", &["-DTARGET"])] {
            match compile(name, flags) {
                Ok(built) => lab.lay_out(name, &built)?,
                Err(why) => println!("no {name}: {why}"),
            }
        }
        if !lab.programs.contains_key("target") {
            println!("the target is true(1), which costs more than nothing");
            let found = find("true").ok_or_else(|| io::Error::other("no true(1) on PATH"))?;
            lab.programs.insert("target", found);
        }
        for peer in PEERS {
            match find(peer) {
                Some(path) => drop(lab.programs.insert(peer, path)),
                None => println!("skipped: {peer} is not on PATH"),
            }
        }
        if is_root() {
            chown(&lab.dir, Some(STRANGER), Some(STRANGER))?;
        }
        env::set_current_dir(&lab.dir)?;
        Ok(lab)
    }

    fn lay_out(&mut self, name: &'static str, from: &Path) -> io::Result<()> {
        let to = self.dir.join(name);
        fs::copy(from, &to)?;
        fs::set_permissions(&to, Permissions::from_mode(0o755))?;
        // Until it is written back, a new file's text counts as dirty memory of whoever runs it.
        File::open(&to)?.sync_all()?;
        self.programs.insert(name, to);
        Ok(())
    }

    /// Ends the privileged part of the run for good: from here on a plain user calls.
    pub fn become_plain(&self) -> nix::Result<()> {
        if is_root() {
            setgroups(&[])?;
            let (uid, gid) = (Uid::from_raw(STRANGER), Gid::from_raw(STRANGER));
            setresgid(gid, gid, gid)?;
            setresuid(uid, uid, uid)?;
        }
        Ok(())
    }

    /// The variant that a line describes; `None` where its program is absent. TARGET, UID and GID stand for what they are.
    pub fn variant(&self, label: &str, line: &str) -> Option<Variant> {
        let (uid, gid) = plain();
        let mut words = line.split_whitespace().map(|word| match word {
            "TARGET" => self.programs["target"].clone().into_os_string(),
            word => word.replace("UID", &uid.to_string()).replace("GID", &gid.to_string()).into(),
        });
        let first = words.next()?.into_string().ok()?;
        let program = match self.programs.get(first.as_str()) {
            Some(path) => path.clone(),
            None if Path::new(&first).is_absolute() => first.into(),
            None => return None,
        };
        Some(Variant { label: label.to_string(), program, args: words.collect(), environment: vec![] })
    }

    /// The command without a launcher.
    pub fn target(&self) -> Variant {
        self.variant("the target alone", &self.programs["target"].to_string_lossy())
            .expect("an absolute path")
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

impl Variant {
    /// With /dev/null as its streams and nothing of our environment, so that each run is like any other.
    pub fn command(&self) -> Command {
        let null = || Stdio::from(open_null());
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(null()).stdout(null()).stderr(null());
        command
            .env_clear()
            .env("PATH", PATH)
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What one run says where it fails.
    pub fn fault(&self) -> Option<String> {
        let answer = self.command().stderr(Stdio::piped()).output();
        match answer {
            Ok(output) if output.status.success() => None,
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                Some(format!("{}: {}", output.status, text.lines().next().unwrap_or("it says nothing")))
            }
            Err(error) => Some(error.to_string()),
        }
    }
}

/// The variants that work here; the others are told, with the reason.
pub fn working(scenario: &str, variants: impl IntoIterator<Item = Option<Variant>>) -> Vec<Variant> {
    let tried = variants.into_iter().flatten().filter(|variant| match variant.fault() {
        None => true,
        Some(why) => {
            println!("left out of {scenario}: {}: {why}", variant.label);
            false
        }
    });
    tried.collect()
}

pub fn is_root() -> bool {
    geteuid().is_root()
}

/// Who calls where no privilege is to be had.
pub fn plain() -> (u32, u32) {
    if is_root() { (STRANGER, STRANGER) } else { (geteuid().as_raw(), getegid().as_raw()) }
}

pub fn open_null() -> File {
    OpenOptions::new().read(true).write(true).open("/dev/null").expect("a machine has /dev/null")
}

fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Compiles the floor, below target/.
fn compile(name: &str, flags: &[&str]) -> Result<PathBuf, String> {
    if !cfg!(target_arch = "x86_64") {
        return Err("floor.c is written for x86_64".to_string());
    }
    let built = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor.c");
    let mut cc = Command::new("cc");
    cc.args(["-Os", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector"]).args(flags);
    let status = cc.arg("-o").arg(&built).arg(source).status().map_err(|error| format!("cc: {error}"))?;
    if status.success() { Ok(built) } else { Err(format!("cc: {status}")) }
}
