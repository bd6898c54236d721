//! An option as a row of a table: how it is written, what it takes, where that goes. It is registered only if it may be named.
//!
//! Registering an option costs more than parsing it: a command line pays for those that stand in it, and help,
//! completions and errors are told from the whole table.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::{Arg, ArgMatches, Command};

/// One option of the struct `T`.
pub struct Row<T: 'static> {
    pub long: &'static str,
    /// The first letter of that, as in [`Named`]: so that most names stay unread.
    pub letter: u64,
    pub short: Option<char>,
    pub build: fn(Arg) -> Arg,
    /// For the whole definition alone, which tells it.
    pub help: &'static str,
    /// The options that contradict it.
    pub conflicts: &'static [&'static str],
    pub take: fn(&mut T, &mut ArgMatches),
}

/// The options that the words of a command line may name; what only looks like one is among them.
pub struct Named<'a> {
    /// Each once, however often it is given.
    longs: Vec<&'a [u8]>,
    shorts: Vec<&'a [u8]>,
    /// The first letters of the long ones, a bit for each: most rows begin with none of them.
    letters: u64,
}

/// A bit for the first letter of a name.
pub const fn letter(name: &[u8]) -> u64 {
    match name.first() {
        Some(byte) => 1 << (*byte & 63),
        None => 1,
    }
}

impl<'a> Named<'a> {
    /// Looks at the words up to the first `--`, which is as far as options can go.
    pub fn by(words: &'a [OsString]) -> Named<'a> {
        let mut named = Named { longs: Vec::new(), shorts: Vec::new(), letters: 0 };
        let words = words.iter().skip(1).map(|word| word.as_bytes());
        for word in words.take_while(|word| *word != b"--") {
            match word {
                [b'-', b'-', name @ ..] => {
                    let name = name.split(|byte| *byte == b'=').next().unwrap_or_default();
                    named.letters |= letter(name);
                    if !named.longs.contains(&name) {
                        named.longs.push(name);
                    }
                }
                [b'-', cluster @ ..] => named.shorts.push(cluster),
                _ => {}
            }
        }
        named
    }

    pub fn has_long(&self, long: &str) -> bool {
        self.longs.contains(&long.as_bytes())
    }

    fn has<T>(&self, row: &Row<T>) -> bool {
        let cluster = |short: char| self.shorts.iter().any(|cluster| cluster.contains(&(short as u8)));
        self.letters & row.letter != 0 && self.has_long(row.long) || row.short.is_some_and(cluster)
    }
}

/// Registers the rows that may be named, or all of them.
pub fn register<T>(mut command: Command, rows: &[Row<T>], named: Option<&Named>) -> Command {
    let wanted = |row: &&Row<T>| named.is_none_or(|named| named.has(*row));
    for row in rows.iter().filter(wanted) {
        let mut arg = (row.build)(Arg::new(row.long).long(row.long));
        if let Some(short) = row.short {
            arg = arg.short(short);
        }
        if named.is_none() {
            arg = arg.help(row.help.trim_start());
        }
        for other in row.conflicts {
            if rows.iter().filter(wanted).any(|row| row.long == *other) {
                arg = arg.conflicts_with(other);
            }
        }
        command = command.arg(arg);
    }
    command
}

/// What was said of these options; what may not be named was not said.
pub fn take<T: Default>(rows: &[Row<T>], matches: &mut ArgMatches, named: Option<&Named>) -> T {
    let mut args = T::default();
    for row in rows.iter().filter(|row| named.is_none_or(|named| named.has(*row))) {
        (row.take)(&mut args, matches);
    }
    args
}

/// A struct of options, and the table of its rows:
/// `KIND FIELD: TYPE = "LONG" / 'SHORT', "VALUE" not "OTHER" => ADJUST;`
/// where KIND is flag (no type and value), one, or many (repeatable), the latter two with a parser in parentheses for
/// types that clap has none for.
macro_rules! options {
    ($(#[$meta:meta])* pub struct $Args:ident {
        $( #[doc = $help:literal] $kind:ident $(($parser:expr))? $field:ident $(: $type:ty)? = $long:literal $(/ $short:literal)?
           $(, $value:literal)? $(not $conflict:literal)* $(=> $adjust:expr)? ; )*
    }) => {
        $(#[$meta])*
        #[derive(Clone, Default, PartialEq, Eq, Debug)]
        pub struct $Args {
            $( #[doc = $help] pub $field: $crate::request::option::options!(@type $kind $($type)?), )*
        }

        impl $Args {
            pub(super) const ROWS: &'static [$crate::request::option::Row<$Args>] = &[
                $( $crate::request::option::Row {
                    long: $long,
                    letter: $crate::request::option::letter($long.as_bytes()),
                    short: $crate::request::option::options!(@short $($short)?),
                    build: |arg| {
                        let arg = $crate::request::option::options!(@build $kind arg, $($type)? $(, $parser)?);
                        $( let arg = arg.value_name($value); )?
                        $( let adjust: fn(clap::Arg) -> clap::Arg = $adjust; let arg = adjust(arg); )?
                        arg
                    },
                    help: $help,
                    conflicts: &[$($conflict),*],
                    take: |args, matches| {
                        args.$field = $crate::request::option::options!(@take $kind $($type)?, $long, matches);
                    },
                }, )*
            ];
        }
    };
    (@type flag) => { bool };
    (@type one $type:ty) => { Option<$type> };
    (@type many $type:ty) => { Vec<$type> };
    (@short) => { None };
    (@short $short:literal) => { Some($short) };
    (@build flag $arg:ident,) => { $arg.action(clap::ArgAction::SetTrue) };
    (@build one $arg:ident, $type:ty) => { $arg.value_parser(clap::value_parser!($type)) };
    (@build one $arg:ident, $type:ty, $parser:expr) => { $arg.value_parser($parser) };
    (@build many $arg:ident, $type:ty $(, $parser:expr)?) => {
        $crate::request::option::options!(@build one $arg, $type $(, $parser)?).action(clap::ArgAction::Append)
    };
    (@take flag, $long:literal, $matches:ident) => { $matches.get_flag($long) };
    (@take one $type:ty, $long:literal, $matches:ident) => { $matches.remove_one::<$type>($long) };
    (@take many $type:ty, $long:literal, $matches:ident) => {
        $matches.remove_many::<$type>($long).map(Iterator::collect).unwrap_or_default()
    };
}
pub(super) use options;
