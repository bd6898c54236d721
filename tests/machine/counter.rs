//! A command that tells of each signal that it gets, one line for each time, and loses none. It asserts nothing about seclude.

/// The signals that can be caught, but for the child's own and those that the C library keeps to itself.
pub fn catchable() -> impl Iterator<Item = i32> {
    const SPARED: [i32; 5] = [libc::SIGKILL, libc::SIGSTOP, libc::SIGCHLD, 32, 33];
    (1..=64).filter(|number| !SPARED.contains(number))
}

/// Says `ready`, then `got NUMBER` for each signal; a second USR1 ends it with 7.
///
/// They are blocked but while it sleeps for them, and each call of sigsuspend(2) takes one of a kind at most, so that
/// those that queue are counted. Takes perl(1).
const TEXT: &str = r#"
use POSIX ":signal_h";
my $all = POSIX::SigSet->new; $all->fillset; sigprocmask(SIG_BLOCK, $all);
my $ends = 0;
for my $n (1 .. 64) {
    next if grep { $_ == $n } 9, 17, 19, 32, 33;
    my $told = sub { $n == 10 && $ends++ ? POSIX::_exit(7) : syswrite STDOUT, "got $n\n" };
    sigaction($n, POSIX::SigAction->new($told, $all)) or die "$n: $!";
}
syswrite STDOUT, "ready\n";
my $none = POSIX::SigSet->new;
sigsuspend($none) while 1;
"#;

/// The words of that command.
pub const COUNTER: [&str; 3] = ["perl", "-e", TEXT];
