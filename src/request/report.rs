//! What may be asked of the telling: form, place, amount, and whether anything is done at all. Syntax only.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::lifetime::descriptor;
use super::option::options;

options! {
    /// The options under "Report".
    pub struct ReportArgs {
        /// No report; failures are still told
        flag quiet = "quiet" / 'q' not "verbose";
        /// The plan and each step with its time, as well
        flag verbose = "verbose" / 'v';
        /// The report's form, failures included
        one report: Form = "report", "text|json"
            => |arg| arg.hide_possible_values(true);
        /// Where the report goes; a file is appended to, one write per line
        one(OsStringValueParser::new().try_map(place)) report_to: Place = "report-to", "PATH|fd:N";
        /// Tell the plan and stop: nothing is cloned, written or changed
        flag dry_run = "dry-run";
        /// Tell what this machine allows; with other options, only what those need
        flag doctor = "doctor" not "dry-run";
        /// Options from a file in JSON, with the long options' names as keys; what is typed wins
        one config: PathBuf = "config", "FILE" not "unit" not "oci";
        /// The isolation object, or a whole application, of NGINX Unit
        one unit: PathBuf = "unit", "FILE" not "config" not "oci";
        /// The process and linux parts of an OCI config.json
        one oci: PathBuf = "oci", "FILE" not "config" not "unit";
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug, ValueEnum)]
pub enum Form {
    #[default]
    Text,
    Json,
}

/// Where the report goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    Path(PathBuf),
    Descriptor(i32),
}

fn place(text: OsString) -> Result<Place, String> {
    match text.to_str().and_then(|text| text.strip_prefix("fd:")) {
        Some(number) => descriptor(number).map(Place::Descriptor),
        None if text.is_empty() => Err("it is empty: a path or fd:N is needed".to_string()),
        None => Ok(Place::Path(PathBuf::from(text))),
    }
}
