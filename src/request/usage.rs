//! Says clap's errors in the house's voice: one line, the option and the rule, escaped. It judges nothing.

use std::error::Error as _;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{Failure, Stage, shown};

/// The failure that a usage error in these words is.
pub fn failure(error: &clap::Error, words: &[OsString]) -> Failure {
    let option = text(error, ContextKind::InvalidArg).map(|arg| option_word(&arg));
    let value = text(error, ContextKind::InvalidValue);
    let exact = |text: &String| exact(text, words);
    let object = match (&option, &value) {
        (Some(option), Some(value)) if !value.is_empty() => format!("{} {}", exact(option), exact(value)),
        (Some(option), _) => exact(option),
        (None, _) => String::new(),
    };
    let unknown = text(error, ContextKind::InvalidArg).as_ref().map(exact).unwrap_or_default();
    let refuse = |verb, object: &str, rule: String| Failure::refused(Stage::Usage, verb, object, rule);
    let failure = match error.kind() {
        ErrorKind::MissingRequiredArgument if is_command(error) => {
            refuse("start", "", "a COMMAND is needed".to_string())
        }
        ErrorKind::MissingRequiredArgument => {
            refuse("start", "", format!("it needs {}", option.unwrap_or_default()))
        }
        ErrorKind::UnknownArgument => refuse("take", &unknown, "there is no such option".to_string()),
        ErrorKind::ArgumentConflict => {
            match text(error, ContextKind::PriorArg).map(|arg| option_word(&arg)) {
                Some(prior) if Some(&prior) != option.as_ref() => {
                    refuse("take", &object, format!("it contradicts {prior}"))
                }
                _ => refuse("take", &object, "it is given twice".to_string()),
            }
        }
        ErrorKind::InvalidValue if value.as_deref().unwrap_or_default().is_empty() => {
            let wanted = value_name(error).map(|name| format!(", {name}")).unwrap_or_default();
            refuse("take", &object, format!("it needs a value{wanted}"))
        }
        ErrorKind::InvalidValue => {
            let values = text(error, ContextKind::ValidValue).unwrap_or_default();
            let verb = if values.contains(',') { "values are" } else { "only value is" };
            refuse("take", &object, format!("the {verb} {values}"))
        }
        ErrorKind::ValueValidation => {
            let rule = error.source().map(|rule| rule.to_string()).unwrap_or_default();
            refuse("take", &object, rule)
        }
        ErrorKind::TooManyValues => refuse("take", &object, "it takes no value".to_string()),
        ErrorKind::NoEquals => refuse("take", &object, "its value follows an =".to_string()),
        // The library does not say which it was.
        ErrorKind::InvalidUtf8 => {
            let at = words.iter().position(|word| word.to_str().is_none()).unwrap_or_default();
            let option = words[..at].last().filter(|_| !words[at].as_bytes().starts_with(b"-")).map(shown);
            let value = words.get(at).map(shown);
            let object = option.into_iter().chain(value).collect::<Vec<_>>().join(" ");
            refuse("take", &object, "it is not UTF-8".to_string())
        }
        kind => refuse("take", &object, kind.as_str().unwrap_or("it is not understood").to_string()),
    };
    match suggestion(error) {
        Some(word) => failure.hint(format!("did you mean {word}?")),
        None => failure,
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

/// What the library says, whose words are UTF-8, as it was typed.
fn exact(said: &str, words: &[OsString]) -> String {
    let is = |bytes: &[u8]| String::from_utf8_lossy(bytes) == said;
    let typed =
        words.iter().map(|word| word.as_bytes()).filter(|_| said.contains(char::REPLACEMENT_CHARACTER));
    let mut parts = typed.flat_map(|word| {
        let value = word.iter().position(|byte| *byte == b'=').map(|at| &word[at + 1..]);
        // A word, its value after an =, that right behind a short option, or the option before an =.
        [Some(word), value, word.get(2..), word.split(|byte| *byte == b'=').next()].into_iter().flatten()
    });
    parts.find(|part| is(part)).map_or_else(|| shown(said), |part| shown(OsStr::from_bytes(part)))
}

/// `--user` of clap's `--user <USER[:GROUP]>`.
fn option_word(arg: &str) -> String {
    match arg.split_once([' ', '[', '=']) {
        Some((word, _)) if word.starts_with('-') => word.to_string(),
        _ => arg.to_string(),
    }
}

fn value_name(error: &clap::Error) -> Option<String> {
    let arg = text(error, ContextKind::InvalidArg)?;
    let name = arg.split_once('<')?.1;
    Some(name.strip_suffix("...").unwrap_or(name).strip_suffix('>')?.to_string())
}

fn is_command(error: &clap::Error) -> bool {
    text(error, ContextKind::InvalidArg).is_some_and(|arg| arg.contains("COMMAND"))
}

fn suggestion(error: &clap::Error) -> Option<String> {
    text(error, ContextKind::SuggestedArg)
        .or_else(|| text(error, ContextKind::SuggestedValue))
        .map(|word| option_word(&word))
}
