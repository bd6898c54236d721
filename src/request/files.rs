//! Files of options, in three formats, as words of a command line: they meet the same parser as what is typed, and no other.

mod config;
mod limits;
mod members;
mod oci;
mod unit;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
use nix::errno::Errno;

use super::report::ReportArgs;
use crate::failure::{Failure, Stage, shown};
use members::Members;

/// Bytes that a file of options may have.
const MAX_BYTES: u64 = 1 << 20;

/// What a file asks for: options, each with its value if it has one, and the command for when none is typed.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Asked {
    options: Vec<(String, Option<String>)>,
    command: Vec<String>,
    /// What the file asks for and no option does, by its place in the file.
    unhonoured: Vec<String>,
}

impl Asked {
    fn switch(&mut self, option: &str) {
        self.options.push((option.to_string(), None));
    }

    fn say(&mut self, option: &str, value: impl ToString) {
        self.options.push((option.to_string(), Some(value.to_string())));
    }
}

/// What a format's members ask for; the path is what relative paths in it start from.
type Format = fn(Members, &Path) -> Result<Asked, String>;

/// A file's part of a command line.
pub struct Words {
    pub options: Vec<OsString>,
    pub command: Vec<OsString>,
}

/// Reads the file that is named, if one is; an option that was typed as well is left out.
pub fn read(
    args: &ReportArgs,
    typed: &ArgMatches,
    definition: &mut Command,
) -> Result<Option<Words>, Failure> {
    let (path, format): (&Path, Format) = match (&args.config, &args.unit, &args.oci) {
        (Some(path), ..) => (path, config::read),
        (_, Some(path), _) => (path, unit::read),
        (.., Some(path)) => (path, oci::read),
        _ => return Ok(None),
    };
    let refused = |rule: String| Failure::refused(Stage::Config, "take", shown(path), rule);
    let members = Members::parse(&whole(path)?).map_err(refused)?;
    let asked = format(members, path).map_err(refused)?;
    if !asked.unhonoured.is_empty() {
        let rule = format!("seclude has nothing that honours {}", shown(asked.unhonoured.join(", ")));
        return Err(refused(rule).hint("take that out of the file: what is not honoured is never ignored"));
    }
    let mut options = Vec::new();
    for (option, value) in &asked.options {
        let known = definition.get_arguments().find(|arg| arg.get_long() == Some(option));
        const NOT_HERE: [&str; 5] = ["config", "unit", "oci", "help", "version"];
        let Some(arg) = known.filter(|arg| !NOT_HERE.contains(&arg.get_id().as_str())) else {
            return Err(refused(format!("a file has no option {}", shown(option))));
        };
        let takes = arg.get_num_args().expect("a built command").takes_values();
        let optional = arg.get_num_args().expect("a built command").min_values() == 0;
        match value {
            Some(_) if !takes => return Err(refused(format!("{option} is true or false"))),
            None if takes && !optional => return Err(refused(format!("{option} has a value"))),
            _ => {}
        }
        if typed.value_source(arg.get_id().as_str()) != Some(ValueSource::CommandLine) {
            let value = value.as_ref().map(|value| format!("={value}")).unwrap_or_default();
            options.push(OsString::from(format!("--{option}{value}")));
        }
    }
    let program = OsString::from("seclude");
    let alone: Vec<OsString> =
        [&program].into_iter().chain(&options).cloned().chain(["--".into(), "x".into()]).collect();
    if let Err(error) = definition.try_get_matches_from_mut(&alone) {
        let failure = super::usage::failure(&error, &alone);
        return Err(Failure {
            stage: Stage::Config,
            object: format!("{} of {}", failure.object, shown(path)),
            ..failure
        });
    }
    Ok(Some(Words { options, command: asked.command.into_iter().map(OsString::from).collect() }))
}

fn whole(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| {
        let errno = Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        Failure::errno(Stage::Config, "read", shown(path), errno)
    };
    let refused = |rule: String| Failure::refused(Stage::Config, "take", shown(path), rule);
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(refused(format!("it has more than {MAX_BYTES} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refused("it is not UTF-8".to_string()))
}
