//! What may be asked of the telling: form, place, amount, and whether anything is done at all. Syntax only.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::lifetime::descriptor;

#[derive(Args, Clone, Default, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Report")]
pub struct ReportArgs {
    /// No report; failures are still told
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,

    /// The plan and each step with its time, as well
    #[arg(short, long)]
    pub verbose: bool,

    /// The report's form, failures included
    #[arg(long, value_name = "text|json", value_enum, hide_possible_values = true)]
    pub report: Option<Form>,

    /// Where the report goes; a file is appended to, one write per line
    #[arg(long, value_name = "PATH|fd:N", value_parser = OsStringValueParser::new().try_map(place))]
    pub report_to: Option<Place>,

    /// Tell the plan and stop: nothing is cloned, written or changed
    #[arg(long)]
    pub dry_run: bool,

    /// Tell what this machine allows; with other options, only what those need
    #[arg(long, conflicts_with = "dry_run")]
    pub doctor: bool,

    /// Options from a file in JSON, with the long options' names as keys; what is typed wins
    #[arg(long, value_name = "FILE", group = "file")]
    pub config: Option<PathBuf>,

    /// The isolation object, or a whole application, of NGINX Unit
    #[arg(long, value_name = "FILE", group = "file")]
    pub unit: Option<PathBuf>,

    /// The process and linux parts of an OCI config.json
    #[arg(long, value_name = "FILE", group = "file")]
    pub oci: Option<PathBuf>,
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
