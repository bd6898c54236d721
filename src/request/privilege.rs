//! What may be asked of the command's privilege. Syntax only.

use super::option::options;

options! {
    /// The options under "Privilege".
    pub struct PrivilegeArgs {
        /// No program that the command executes gains privilege from it
        flag no_new_privs = "no-new-privs";
    }
}
