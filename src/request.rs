//! What may be asked: the command line as one struct per help heading. It knows syntax, and no policy.

mod files;
pub mod identity;
pub mod lifetime;
pub mod namespaces;
mod option;
pub mod privilege;
pub mod report;
pub mod usage;

use std::ffi::OsString;
use std::mem::forget;

pub use clap::builder::StyledStr;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};

use crate::failure::Failure;
use option::{Named, register, take};

const ABOUT: &str =
    "Launches COMMAND as another user, in namespaces of its own, and reports its real and its isolated pid";
const EXIT_STATUS: &str = "\
Exit status: the command's own; 128+N where signal N ended it; 124 where its time was up; 125 where seclude \
refused or failed; 126 where COMMAND can't be executed; 127 where it was not found. seclude(1) has the whole story.";

/// A command line, read.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Request {
    /// The command and its arguments; options end at the first word that is no option.
    pub command: Vec<OsString>,
    pub identity: identity::IdentityArgs,
    pub namespaces: namespaces::NamespaceArgs,
    pub privilege: privilege::PrivilegeArgs,
    pub lifetime: lifetime::LifetimeArgs,
    pub report: report::ReportArgs,
}

/// The options that do without a COMMAND.
const ALONE: [&str; 4] = ["doctor", "config", "unit", "oci"];

impl CommandFactory for Request {
    /// The whole definition: for help, completions and errors.
    fn command() -> Command {
        definition(None)
            .version(env!("CARGO_PKG_VERSION"))
            .about(ABOUT)
            .after_help(EXIT_STATUS)
            .override_usage("seclude [OPTIONS] [--] COMMAND [ARG]...")
            .next_line_help(true)
            .max_term_width(100)
    }

    fn command_for_update() -> Command {
        Request::command()
    }
}

/// The options that may be named, or all, and COMMAND.
fn definition(named: Option<&Named>) -> Command {
    let command = Arg::new("command")
        .value_name("COMMAND")
        .value_parser(clap::value_parser!(OsString))
        .action(ArgAction::Append)
        .num_args(1..)
        .trailing_var_arg(true)
        .hide(true);
    let command = match named {
        None => command.required_unless_present_any(ALONE),
        Some(_) => command.required(true),
    };
    let whole = Command::new("seclude").arg(command);
    HEADINGS.iter().fold(whole, |whole, (heading, rows)| rows(whole.next_help_heading(*heading), named))
}

/// Registers the options of one heading.
type Rows = fn(Command, Option<&Named>) -> Command;

/// The headings of the help, in its order.
const HEADINGS: [(&str, Rows); 5] = [
    ("Identity", |whole, named| register(whole, identity::IdentityArgs::ROWS, named)),
    ("Namespaces and maps", |whole, named| register(whole, namespaces::NamespaceArgs::ROWS, named)),
    ("Privilege", |whole, named| register(whole, privilege::PrivilegeArgs::ROWS, named)),
    ("Lifetime", |whole, named| register(whole, lifetime::LifetimeArgs::ROWS, named)),
    ("Report", |whole, named| register(whole, report::ReportArgs::ROWS, named)),
];

impl Request {
    /// Whether the command may come out with other privileges than its caller has.
    pub fn changes_privilege(&self) -> bool {
        let (identity, namespaces, privilege) = (&self.identity, &self.namespaces, &self.privilege);
        let somebody = identity.user.is_some() || identity.group.is_some() || !identity.groups.is_empty();
        let elsewhere = !namespaces.uid_specs().is_empty() || !namespaces.gid_specs().is_empty();
        let user = |kinds: &crate::namespace::Kinds| kinds.has(crate::namespace::Kind::User);
        let entered = namespaces.unshare.iter().any(user) || !namespaces.join.is_empty();
        let less = privilege.asks_for_capabilities()
            || privilege.securebits.is_some()
            || privilege.no_new_privs
            || privilege.filters();
        somebody || elsewhere || entered || less || namespaces.root.is_some()
    }

    fn taken(matches: &mut ArgMatches, named: Option<&Named>) -> Request {
        Request {
            command: matches.remove_many("command").map(Iterator::collect).unwrap_or_default(),
            identity: take(identity::IdentityArgs::ROWS, matches, named),
            namespaces: take(namespaces::NamespaceArgs::ROWS, matches, named),
            privilege: take(privilege::PrivilegeArgs::ROWS, matches, named),
            lifetime: take(lifetime::LifetimeArgs::ROWS, matches, named),
            report: take(report::ReportArgs::ROWS, matches, named),
        }
    }
}

/// What a command line turns out to ask for.
#[derive(Debug)]
pub enum Asked {
    Request(Box<Request>),
    /// `--help` or `--version`: this text on standard output, and success.
    Text(StyledStr),
}

/// Reads a command line, the program's own name first, and the file of options that it may name.
pub fn read(args: &[OsString]) -> Result<Asked, Failure> {
    match read_named(args) {
        Some(request) => Ok(Asked::Request(Box::new(request))),
        None => read_whole(args),
    }
}

/// Reads it by those options alone that it names, which is all that most command lines take. What is wrong, or asks for
/// help or a file, is left to the whole definition: the outcome is the same.
fn read_named(args: &[OsString]) -> Option<Request> {
    let named = Named::by(args);
    if ALONE.iter().any(|long| named.has_long(long)) {
        return None;
    }
    let mut lean = definition(Some(&named)).disable_help_flag(true).no_binary_name(true);
    let mut matches = lean.try_get_matches_from_mut(args.get(1..)?).ok()?;
    let request = Request::taken(&mut matches, Some(&named));
    // To take all that down, thing by thing, gives nothing back: it goes with the process.
    forget((lean, matches));
    Some(request)
}

#[cold]
fn read_whole(args: &[OsString]) -> Result<Asked, Failure> {
    let mut definition = Request::command();
    let matches = match definition.try_get_matches_from_mut(args) {
        Ok(matches) => matches,
        Err(error) if !error.use_stderr() => return Ok(Asked::Text(error.render())),
        Err(error) => return Err(usage::failure(&error, args)),
    };
    let request = Request::taken(&mut matches.clone(), None);
    let Some(found) = files::read(&request.report, &matches, &mut definition)? else {
        return Ok(Asked::Request(Box::new(request)));
    };
    let mut words: Vec<OsString> =
        args.iter().take(1).chain(&found.options).chain(args.iter().skip(1)).cloned().collect();
    if matches.value_source("command").is_none() && !found.command.is_empty() {
        let ends = OsString::from("--");
        if words.last() != Some(&ends) {
            words.push(ends);
        }
        words.extend(found.command);
    }
    let whole = definition.try_get_matches_from_mut(&words);
    whole
        .map(|mut matches| Asked::Request(Box::new(Request::taken(&mut matches, None))))
        .map_err(|error| usage::failure(&error, &words))
}

/// How a command line that can't be taken wants to be told so, as far as it can be read.
pub fn report_asked(args: &[OsString]) -> report::ReportArgs {
    let lenient = Request::command().ignore_errors(true).try_get_matches_from(args);
    let asked = lenient.map(|mut matches| Request::taken(&mut matches, None).report).unwrap_or_default();
    report::ReportArgs { report: asked.report, report_to: asked.report_to, ..Default::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(words: &[&str]) -> Result<Request, Failure> {
        let args: Vec<OsString> = ["seclude"].iter().chain(words).map(OsString::from).collect();
        match read(&args)? {
            Asked::Request(request) => Ok(*request),
            Asked::Text(text) => panic!("{text}"),
        }
    }

    #[test]
    fn clap_finds_its_own_definition_sound() {
        Request::command().debug_assert();
    }

    #[test]
    fn options_end_at_the_first_word_that_is_none() {
        let request = ask(&["-n", "pid", "ls", "--user", "x", "-l"]).unwrap();
        assert_eq!(request.command, ["ls", "--user", "x", "-l"]);
        assert_eq!(request.identity.user, None);
        assert_eq!(ask(&["--", "--user", "0"]).unwrap().command, ["--user", "0"]);
    }

    #[test]
    fn a_usage_error_is_one_line_with_the_option_and_the_rule() {
        let told = |words| ask(words).unwrap_err().to_string();
        assert_eq!(
            told(&["--user", "4294967296", "id"]),
            "usage: cannot take --user 4294967296: an id is a plain decimal number from 0 to 4294967294"
        );
        assert_eq!(told(&["--usr", "0", "id"]), "usage: cannot take --usr: there is no such option");
        assert_eq!(told(&[]), "usage: cannot start: a COMMAND is needed");
        assert_eq!(told(&["--user"]), "usage: cannot take --user: it needs a value, USER[:GROUP]");
        assert_eq!(
            told(&["--user", "1:1", "--user", "2:2", "id"]),
            "usage: cannot take --user: it is given twice"
        );
        assert_eq!(
            told(&["--propagation", "sharde", "id"]),
            "usage: cannot take --propagation sharde: the values are private, slave, shared, unchanged"
        );
        assert_eq!(told(&["--\u{1b}[31m", "id"]), "usage: cannot take --\\x1b[31m: there is no such option");
    }

    #[test]
    fn a_mistyped_option_is_hinted_at() {
        let hint = ask(&["--usr", "0", "id"]).unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("did you mean --user?"));
    }
}
