//! What may be asked of the command's privilege. Syntax only.

use clap::Args;

#[derive(Args, Clone, Default, PartialEq, Eq, Debug)]
#[command(next_help_heading = "Privilege")]
pub struct PrivilegeArgs {
    /// No program that the command executes gains privilege from it
    #[arg(long)]
    pub no_new_privs: bool,
}
