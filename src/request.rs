//! What may be asked: the command line as one struct per help heading. It knows syntax, and no policy.

mod files;
pub mod identity;
pub mod lifetime;
pub mod namespaces;
pub mod privilege;
pub mod report;
pub mod usage;

use std::ffi::OsString;

pub use clap::builder::StyledStr;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches, Parser};

use crate::failure::Failure;

const EXIT_STATUS: &str = "\
Exit status: the command's own; 128+N where signal N ended it; 124 where its time was up; 125 where seclude \
refused or failed; 126 where COMMAND can't be executed; 127 where it was not found. seclude(1) has the whole story.";

/// Launches COMMAND as another user, in namespaces of its own, and reports its real and its isolated pid
#[derive(Parser, Clone, Default, PartialEq, Eq, Debug)]
#[command(name = "seclude", version, max_term_width = 100, after_help = EXIT_STATUS)]
#[command(override_usage = "seclude [OPTIONS] [--] COMMAND [ARG]...", next_line_help = true)]
pub struct Request {
    /// The command and its arguments; options end at the first word that is no option
    #[arg(trailing_var_arg = true, hide = true, value_name = "COMMAND", required_unless_present_any = ["doctor", "file"])]
    pub command: Vec<OsString>,

    #[command(flatten)]
    pub identity: identity::IdentityArgs,
    #[command(flatten)]
    pub namespaces: namespaces::NamespaceArgs,
    #[command(flatten)]
    pub privilege: privilege::PrivilegeArgs,
    #[command(flatten)]
    pub lifetime: lifetime::LifetimeArgs,
    #[command(flatten)]
    pub report: report::ReportArgs,
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
    let mut definition = Request::command();
    let (request, matches) = match parsed(&mut definition, args) {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => return Ok(Asked::Text(error.render())),
        Err(error) => return Err(usage::failure(&error, args)),
    };
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
    let whole = parsed(&mut definition, &words);
    whole
        .map(|(request, _)| Asked::Request(Box::new(request)))
        .map_err(|error| usage::failure(&error, &words))
}

/// How a command line that can't be taken wants to be told so, as far as it can be read.
pub fn report_asked(args: &[OsString]) -> report::ReportArgs {
    let lenient = Request::command().ignore_errors(true).try_get_matches_from(args);
    let asked = lenient.ok().and_then(|matches| report::ReportArgs::from_arg_matches(&matches).ok());
    let asked = asked.unwrap_or_default();
    report::ReportArgs { report: asked.report, report_to: asked.report_to, ..Default::default() }
}

fn parsed(definition: &mut Command, words: &[OsString]) -> Result<(Request, ArgMatches), clap::Error> {
    let matches = definition.try_get_matches_from_mut(words)?;
    Request::from_arg_matches(&matches).map(|request| (request, matches))
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
