# fish completion for seclude(1). After COMMAND it hands over to the command's own completion.

# Prints the number of words before COMMAND; fails where no COMMAND has been typed.
function __seclude_command_at
    set -l words (commandline -opc)
    set -l skip 0
    set -l index 1
    while test $index -lt (count $words)
        set index (math $index + 1)
        set -l word $words[$index]
        if test $skip = 1
            set skip 0
            continue
        end
        # No case for this one: case takes it for the end of its own options.
        if test "$word" = --
            echo $index
            return 0
        end
        switch $word
            case '--*=*'
            case --user --group --groups --env --unset-env --chdir --umask --argv0 --unshare --share --join \
                --persist --map-uid --map-gid --map --setgroups --hostname --domainname --time-offset \
                --propagation --root --pid-file --timeout --kill-after --stop-signal --leftovers --keep-fd \
                --status --ok-status --report --report-to --config --unit --oci \
                --cap-drop --cap-add --cap-ambient --cap-inheritable --cap-bounding --securebits --seccomp --deny-syscall \
                --landlock --landlock-read --landlock-write --landlock-exec --landlock-connect --landlock-bind --landlock-scope \
                --rlimit --nice --oom-score-adj --cpu-affinity --sched --ioprio
                set skip 1
            case '--*'
            case '-*'
                # In a cluster such as -qn, the first that takes a value takes the rest, or the next word.
                if string match -qr '^-[^ugCnR]*[ugCnR]$' -- $word
                    set skip 1
                end
            case '*'
                math $index - 1
                return 0
        end
    end
    return 1
end

function __seclude_no_command
    not __seclude_command_at >/dev/null
end

# Completes COMMAND, and what follows it by its own rules.
function __seclude_command
    set -l at (__seclude_command_at)
    or begin
        __fish_complete_command
        return
    end
    set -l words (commandline -opc) (commandline -ct)
    complete --do-complete=(string join ' ' -- (string escape -- $words[(math $at + 1)..-2]) $words[-1])
end

function __seclude_kinds
    printf '%s\t%s\n' user 'user and group ids, capabilities' pid 'process ids' mount mounts net network \
        uts 'host name and domain name' ipc 'System V IPC and POSIX message queues' \
        cgroup 'root of cgroups' time 'monotonic and boot clocks'
end

# The value that is being typed, without an option that is glued to it.
function __seclude_value
    string replace -r -- '^(--[a-z0-9-]+=|-[^-ugCnR]*[ugCnR])' '' (commandline -ct)
end

# The words of standard input, behind what the value has up to its last comma, and without what it has already.
function __seclude_after_comma
    set -l value (__seclude_value)
    set -l head (string replace -r -- '[^,]*$' '' $value)
    set -l taken (string split , -- $head)
    while read -l line
        if not contains -- (string split -f 1 \t -- $line) $taken
            printf '%s\n' "$head$line"
        end
    end
end

# The words of standard input, each behind $argv[1].
function __seclude_behind
    while read -l line
        printf '%s\n' "$argv[1]$line"
    end
end

# The words of the arguments stand alone: in a list they are refused.
function __seclude_capabilities
    begin
        printf '%s\n' chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap \
            linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module \
            sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time \
            sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog \
            wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
        string match -q '*,*' -- (__seclude_value); or printf '%s\n' $argv
    end | __seclude_after_comma
end

function __seclude_securebits
    printf '%s\n' noroot noroot-locked no-setuid-fixup no-setuid-fixup-locked keep-caps-locked \
        no-cap-ambient-raise no-cap-ambient-raise-locked | __seclude_after_comma
end

function __seclude_landlock_scope
    printf '%s\n' abstract-socket signal | __seclude_after_comma
end

function __seclude_unshare
    begin
        __seclude_kinds
        # The word stands alone: in a list it is refused.
        string match -q '*,*' -- (__seclude_value); or printf 'all\tevery kind\n'
    end | __seclude_after_comma
end

function __seclude_join
    set -l value (__seclude_value)
    if set -l parts (string split -m 1 = -- $value); and test (count $parts) = 2
        begin
            __fish_complete_pids
            # Several kinds are joined of a process only.
            string match -qr ',|^all$' -- $parts[1]; or __fish_complete_path $parts[2]
        end | __seclude_behind "$parts[1]="
    else
        __seclude_unshare
    end
end

function __seclude_persist
    set -l value (__seclude_value)
    if set -l parts (string split -m 1 = -- $value); and test (count $parts) = 2
        __fish_complete_path $parts[2] | __seclude_behind "$parts[1]="
    else
        __seclude_kinds | string replace \t =\t
    end
end

function __seclude_user
    set -l value (__seclude_value)
    if set -l parts (string split -m 1 : -- $value); and test (count $parts) = 2
        __fish_complete_groups | __seclude_behind "$parts[1]:"
    else
        __fish_complete_users
    end
end

function __seclude_groups
    begin
        __fish_complete_groups
        if not string match -q '*,*' -- (__seclude_value)
            printf '%s\t%s\n' init "the user's" keep "the caller's" none 'no group'
        end
    end | __seclude_after_comma
end

function __seclude_signals
    printf '%s\n' HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD \
        CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS RTMIN RTMAX
end

function __seclude_statuses
    if string match -qr '(^|,)[0-9]+$' -- (__seclude_value)
        seq 255 | __seclude_after_comma
    else
        __seclude_signals | __seclude_after_comma
    end
end

function __seclude_rlimit
    set -l value (__seclude_value)
    if set -l parts (string split -m 1 = -- $value); and test (count $parts) = 2
        printf '%s\n' "$parts[1]=unlimited"
    else
        printf '%s=\n' as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack
    end
end

function __seclude_place
    printf 'fd:\ta descriptor\n'
    __fish_complete_path (__seclude_value)
end

set -l maps 'self\t"the caller\'s own id" auto\t"all that subuid or subgid grants" all\t"every id"'

complete -c seclude -f
complete -c seclude -a '(__seclude_command)'
complete -c seclude -n __seclude_no_command -s h -l help -d 'Print the options'
complete -c seclude -n __seclude_no_command -s V -l version -d 'Print the version'
complete -c seclude -n __seclude_no_command -s u -l user -x -a '(__seclude_user)' -d 'Become this user'
complete -c seclude -n __seclude_no_command -s g -l group -x -a '(__fish_complete_groups)' -d 'The primary group'
complete -c seclude -n __seclude_no_command -l groups -x -a '(__seclude_groups)' -d 'Supplementary groups'
complete -c seclude -n __seclude_no_command -l clear-env -d 'Start from an empty environment'
complete -c seclude -n __seclude_no_command -l env -x -a '(set -xn)' -d 'Set or keep a variable'
complete -c seclude -n __seclude_no_command -l unset-env -x -a '(set -xn)' -d 'Remove a variable'
complete -c seclude -n __seclude_no_command -l keep-env -d 'Leave HOME, USER, LOGNAME and SHELL as they are'
complete -c seclude -n __seclude_no_command -s C -l chdir -x -a '(__fish_complete_directories (__seclude_value))' -d 'The working directory'
complete -c seclude -n __seclude_no_command -l umask -x -a '022 027 077' -d 'The file mode mask, in octal'
complete -c seclude -n __seclude_no_command -l argv0 -x -d 'The command\'s own name for itself'
complete -c seclude -n __seclude_no_command -s n -l unshare -x -a '(__seclude_unshare)' -d 'Make new namespaces'
complete -c seclude -n __seclude_no_command -l share -x -a '(__seclude_unshare)' -d 'Take kinds out of --unshare'
complete -c seclude -n __seclude_no_command -l join -x -a '(__seclude_join)' -d 'Enter existing namespaces'
complete -c seclude -n __seclude_no_command -l persist -x -a '(__seclude_persist)' -d 'Keep a new namespace at a path'
complete -c seclude -n __seclude_no_command -l map-uid -x -a $maps -d 'Map user ids'
complete -c seclude -n __seclude_no_command -l map-gid -x -a $maps -d 'Map group ids'
complete -c seclude -n __seclude_no_command -l map -x -a $maps -d 'Map user and group ids'
complete -c seclude -n __seclude_no_command -l setgroups -x -a deny -d 'Forbid setgroups in the new user namespace'
complete -c seclude -n __seclude_no_command -l hostname -x -d 'The host name'
complete -c seclude -n __seclude_no_command -l domainname -x -d 'The NIS domain name'
complete -c seclude -n __seclude_no_command -l time-offset -x -a 'monotonic= boottime=' -d 'Shift a clock'
complete -c seclude -n __seclude_no_command -l propagation -x -a 'private\t"nothing travels" slave\t"from the old to the new" shared\t"both ways" unchanged\t"as the mounts were"' -d 'How mounts travel'
complete -c seclude -n __seclude_no_command -l mount-proc -d 'Mount a fresh /proc'
complete -c seclude -n __seclude_no_command -s R -l root -x -a '(__fish_complete_directories (__seclude_value))' -d 'The command\'s root'
complete -c seclude -n __seclude_no_command -l cap-drop -x -a '(__seclude_capabilities all)' -d 'Take capabilities'
complete -c seclude -n __seclude_no_command -l cap-add -x -a '(__seclude_capabilities all)' -d 'Leave it with capabilities'
complete -c seclude -n __seclude_no_command -l cap-ambient -x -a '(__seclude_capabilities all none)' -d 'The ambient set'
complete -c seclude -n __seclude_no_command -l cap-inheritable -x -a '(__seclude_capabilities all none)' -d 'The inheritable set'
complete -c seclude -n __seclude_no_command -l cap-bounding -x -a '(__seclude_capabilities all none)' -d 'The bounding set'
complete -c seclude -n __seclude_no_command -l securebits -x -a '(__seclude_securebits)' -d 'What user id 0 means'
complete -c seclude -n __seclude_no_command -l no-userns -d 'No user namespaces of its own making'
complete -c seclude -n __seclude_no_command -l seccomp -r -F -d 'Filter system calls'
complete -c seclude -n __seclude_no_command -l deny-syscall -x -d 'Answer these with EPERM'
complete -c seclude -n __seclude_no_command -l landlock-read -r -F -d 'Read nowhere but there'
complete -c seclude -n __seclude_no_command -l landlock-write -r -F -d 'Write nowhere but there'
complete -c seclude -n __seclude_no_command -l landlock-exec -r -F -d 'Execute nowhere but there'
complete -c seclude -n __seclude_no_command -l landlock-connect -x -d 'Connect to no other TCP port'
complete -c seclude -n __seclude_no_command -l landlock-bind -x -d 'Bind no other TCP port'
complete -c seclude -n __seclude_no_command -l landlock-scope -x -a '(__seclude_landlock_scope)' -d 'Cut it off from what is outside'
complete -c seclude -n __seclude_no_command -l landlock -x -a best-effort -d 'Go without what the kernel lacks'
complete -c seclude -n __seclude_no_command -l no-new-privs -d 'No program gains privilege from its file'
complete -c seclude -n __seclude_no_command -l rlimit -x -a '(__seclude_rlimit)' -d 'A resource limit'
complete -c seclude -n __seclude_no_command -l nice -x -d 'The niceness, from -20 to 19'
complete -c seclude -n __seclude_no_command -l oom-score-adj -x -d 'How soon the kernel ends it for memory'
complete -c seclude -n __seclude_no_command -l cpu-affinity -x -d 'The CPUs that it runs on'
complete -c seclude -n __seclude_no_command -l sched -x -a 'other batch idle fifo: rr:' -d 'The scheduling policy'
complete -c seclude -n __seclude_no_command -l ioprio -x -a 'none idle be:(seq 0 7) rt:(seq 0 7)' -d 'The I/O priority'
complete -c seclude -n __seclude_no_command -l as-pid1 -d 'Make the command itself PID 1'
complete -c seclude -n __seclude_no_command -l exec -d 'Become the command'
complete -c seclude -n __seclude_no_command -l daemon -d 'Leave it in the background'
complete -c seclude -n __seclude_no_command -l pid-file -r -F -d 'A file that holds its real pid'
complete -c seclude -n __seclude_no_command -l timeout -x -d 'End it after this long'
complete -c seclude -n __seclude_no_command -l kill-after -x -d 'How long it has for its end'
complete -c seclude -n __seclude_no_command -l stop-signal -x -a '(__seclude_signals)' -d 'The signal that asks it to end'
complete -c seclude -n __seclude_no_command -l die-with-parent -d 'End it when the caller ends'
complete -c seclude -n __seclude_no_command -l leftovers -x -a 'kill\t"they are killed" wait\t"seclude waits for them" leave\t"they live on"' -d 'What outlives the command'
complete -c seclude -n __seclude_no_command -l new-session -d 'A session of its own'
complete -c seclude -n __seclude_no_command -l keep-fd -x -a 'all\t"every descriptor"' -d 'Descriptors that stay open'
complete -c seclude -n __seclude_no_command -l status -x -a 'exit\t"128 and its number" reraise\t"seclude ends by it as well"' -d 'What a signal becomes'
complete -c seclude -n __seclude_no_command -l ok-status -x -a '(__seclude_statuses)' -d 'Statuses that become 0'
complete -c seclude -n __seclude_no_command -s q -l quiet -d 'No report'
complete -c seclude -n __seclude_no_command -s v -l verbose -d 'The plan and each step with its time'
complete -c seclude -n __seclude_no_command -l report -x -a 'text json' -d 'The report\'s form'
complete -c seclude -n __seclude_no_command -l report-to -x -a '(__seclude_place)' -d 'Where the report goes'
complete -c seclude -n __seclude_no_command -l dry-run -d 'Tell the plan and stop'
complete -c seclude -n __seclude_no_command -l doctor -d 'Tell what this machine allows'
complete -c seclude -n __seclude_no_command -l config -r -F -d 'Options from a JSON file'
complete -c seclude -n __seclude_no_command -l unit -r -F -d 'Isolation of an NGINX Unit application'
complete -c seclude -n __seclude_no_command -l oci -r -F -d 'Process and linux parts of an OCI config.json'
