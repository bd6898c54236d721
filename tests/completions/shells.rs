//! A shell that sits at a terminal with our completions, a TAB for each line that it is asked, and what it makes of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::machine::pty::Tty;
use crate::machine::{finish, scratch, script};

const HOME: &str = env!("CARGO_MANIFEST_DIR");
pub const TAB: &str = "\t";
/// Puts in all that there is to choose from.
pub const EVERY: &str = "\x1b*";

/// In bash, whose own completion of a few commands is known. Ctrl-G tells what became of a line, and gives the next.
const BASH: &str = r#"
source completions/seclude.bash
complete -W "alpha beta" mytool-1
_shown() { COMPREPLY=("$1,$2,$3,$COMP_CWORD,${#COMP_WORDS[@]},${COMP_WORDS[*]},$COMP_LINE,$COMP_POINT"); }
complete -F _shown shown
_late() { complete -W gamma late; return 124; }
complete -F _late late
_never() { return 124; }
complete -F _never never
_told() { printf '%s\n' "$1,$2,$3,$COMP_LINE,$COMP_POINT"; }
complete -C _told told
complete -P pre- -X 'b*' -W 'aa bb' filtered
complete -d directories
_nothing() { :; }
complete -o default -F _nothing nothing
mapfile -t asked <<<"$ASKED"
at=-1
_next() {
    ((at < 0)) || printf '%s|\n' "$READLINE_LINE" >>"$OUT"
    ((++at < ${#asked[@]})) || exit 0
    READLINE_LINE=${asked[at]} READLINE_POINT=${#asked[at]}
}
bind 'set bell-style none'
bind -x '"\C-g": _next'
"#;

/// In zsh, likewise, all lines at once.
const ZSH: &str = r#"
fpath=($PWD/completions $fpath)
autoload -Uz compinit
compinit -u -D
_mytool() { compadd -- alpha beta --also }
compdef _mytool mytool-1
unsetopt automenu autolist beep
answer() {
    local line
    for line in "${(@f)ASKED}"; do
        BUFFER=$line CURSOR=$#line
        zle complete-word
        print -r -- "$BUFFER|" >>$OUT
    done
    BUFFER='exit 0'
    zle accept-line
}
zle -N answer
zle -N zle-line-init answer
"#;

/// In fish, which tells what there is to choose from.
const FISH: &str = "source completions/seclude.fish
complete -c mytool-1 -f -a 'alpha beta'
complete -c mytool-1 -l also
for line in $argv
    printf '%s|\n' (complete -C $line | string replace -r '\\t.*' '' | string join ' ')
end";

/// A directory in PATH with the command `mytool-1`, and a file there of this text.
fn prepared(shell: &str, rc: &str) -> (PathBuf, String) {
    let dir = scratch(shell);
    script(&dir.join("mytool-1"), "#!/bin/sh\n");
    fs::write(dir.join("rc"), rc).expect("a file can be written");
    let path = format!("{}:{}", dir.display(), std::env::var("PATH").unwrap_or_default());
    (dir, path)
}

/// Has a shell at a terminal answer the lines, and gives what it has made of each.
fn at_terminal(shell: &str, rc: &str, words: &[&str], keys: &str, lines: &[&str]) -> Vec<String> {
    let (dir, path) = prepared(shell, rc);
    let mut command = Command::new(shell);
    command.args(words).current_dir(HOME).env("PATH", path).env("INPUTRC", "/dev/null");
    command.env("ASKED", lines.join("\n")).env("OUT", dir.join("out"));
    let mut tty = Tty::of(&mut command);
    tty.prompt();
    tty.say(&format!("source {}\n", dir.join("rc").display()));
    if !keys.is_empty() {
        tty.prompt();
        tty.say(keys);
    }
    let (status, shown) = tty.end();
    assert_eq!(status, Some(0), "{shell} shows: {shown}");
    told(lines, &fs::read_to_string(dir.join("out")).expect("an answer"))
}

/// The answers, as many as there are lines.
fn told(lines: &[&str], text: &str) -> Vec<String> {
    let answers: Vec<String> =
        text.split_terminator("|\n").map(|answer| answer.trim_start_matches('\n').to_string()).collect();
    assert_eq!(answers.len(), lines.len(), "{text}");
    answers
}

pub fn bash(key: &str, lines: &[&str]) -> Vec<String> {
    let keys = format!("\x07{}", format!("{key}\x07").repeat(lines.len()));
    at_terminal("bash", BASH, &["--noprofile", "--norc", "-i"], &keys, lines)
}

pub fn zsh(lines: &[&str]) -> Vec<String> {
    at_terminal("zsh", ZSH, &["-f", "-i"], "", lines)
}

pub fn fish(lines: &[&str]) -> Vec<String> {
    let (dir, path) = prepared("fish", FISH);
    let mut command = Command::new("fish");
    command.arg("--no-config").arg(dir.join("rc")).args(lines).current_dir(HOME).env("PATH", path);
    let outcome = finish(&mut command);
    assert_eq!((outcome.status, outcome.err.as_str()), (Some(0), ""));
    told(lines, &outcome.out)
}
