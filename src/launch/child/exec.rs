//! The execve, along the candidates of PATH; what went wrong is told apart as far as the kernel lets it be.
#![allow(unsafe_code)]

use libc::c_int;

use super::super::image::Image;
use super::place::identity;
use crate::sys::call;

/// The detail of a failed exec: the file is there, so what is missing is the interpreter that it names.
pub const NO_INTERPRETER: u32 = 1;
/// The detail of a failed exec: a directory of PATH could not be searched.
pub const UNSEARCHABLE: u32 = 2;

/// Tries the candidates in their order, as execvp(3) does, but tells an unsearchable directory from a forbidden file.
///
/// Returns where none could be executed: the errno, and a detail for [`crate::launch`] to explain.
pub unsafe fn execute(image: &Image) -> (c_int, u32) {
    let envp = if image.inherited.is_null() { image.envp.as_ptr() } else { image.inherited };
    let (mut errno, mut detail, mut tried) = (libc::ENOENT, 0, 0u32);
    let at = |index: u32, detail: u32| index << 8 | detail;
    // SAFETY: the lists end with null pointers; see run.
    unsafe {
        for (index, path) in (0u32..).zip(&image.candidates).filter(|(_, path)| !path.is_null()) {
            let Err(now) = call!(SYS_execve, *path, image.argv.as_ptr(), envp) else { continue };
            let exists = identity(*path);
            match (now, exists) {
                (libc::EACCES, Err(libc::EACCES)) => detail |= UNSEARCHABLE,
                (libc::EACCES, _) => (errno, tried) = (now, index),
                (libc::ENOENT, Ok(_)) => return (libc::ENOENT, at(index, NO_INTERPRETER)),
                (libc::ENOENT, _) => {}
                (libc::ENOTDIR, _) if !image.is_path => {}
                _ => return (now, at(index, 0)),
            }
        }
    }
    (errno, at(tried, detail))
}
