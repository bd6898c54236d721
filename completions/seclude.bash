# bash completion for seclude(1). After COMMAND it hands over to the command's own completion.

_seclude_kinds='user pid mount net uts ipc cgroup time'
_seclude_capabilities='chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap'
_seclude_capabilities+=' linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner'
_seclude_capabilities+=' sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice'
_seclude_capabilities+=' sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap'
_seclude_capabilities+=' mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf'
_seclude_capabilities+=' checkpoint_restore'
_seclude_securebits='noroot noroot-locked no-setuid-fixup no-setuid-fixup-locked'
_seclude_securebits+=' keep-caps-locked no-cap-ambient-raise no-cap-ambient-raise-locked'
_seclude_signals='HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD'
_seclude_signals+=' CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS RTMIN RTMAX'

# Options whose value is the next word.
_seclude_takes_value() {
    case $1 in
        -u | --user | -g | --group | --groups | --env | --unset-env | -C | --chdir | --umask | --argv0) ;;
        -n | --unshare | --share | --join | --persist | --map-uid | --map-gid | --map | --setgroups) ;;
        --hostname | --domainname | --time-offset | --propagation | -R | --root | --keep-fd) ;;
        --rlimit | --nice | --oom-score-adj | --cpu-affinity | --sched | --ioprio) ;;
        --pid-file | --timeout | --kill-after | --stop-signal | --leftovers | --status | --ok-status) ;;
        --cap-drop | --cap-add | --cap-ambient | --cap-inheritable | --cap-bounding | --securebits) ;;
        --seccomp | --deny-syscall | --landlock | --landlock-read | --landlock-write | --landlock-exec) ;;
        --landlock-connect | --landlock-bind | --landlock-scope) ;;
        --report | --report-to | --config | --unit | --oci) ;;
        *) return 1 ;;
    esac
}

# Offers those of the words (from $3 on) that start with $2, each with $1 before it.
_seclude_offer() {
    local before=$1 start=$2 word
    shift 2
    for word in "$@"; do
        [[ $word == "$start"* ]] && COMPREPLY+=("$before$word")
    done
}

# The same for the last element of a comma list, without what the list has already.
_seclude_list() {
    local before=$1 value=$2 head='' word
    shift 2
    if [[ $value == *,* ]]; then
        head=${value%,*},
    fi
    local -a left=()
    for word in "$@"; do
        [[ ,$head == *",$word,"* ]] || left+=("$word")
    done
    _seclude_offer "$before$head" "${value##*,}" "${left[@]}"
    compopt -o nospace 2>/dev/null
}

# Offers what `compgen $2` finds for the value $3, with $1 before it.
_seclude_files() {
    local line end=''
    # A word in which a path only ends is no path to readline, which would put a blank behind a directory.
    if [[ -n $1 && ${COMP_WORDBREAKS-} != *"${1: -1}"* ]]; then
        end=/
        compopt -o nospace 2>/dev/null
    fi
    while IFS= read -r line; do
        [[ -d $line ]] && line+=$end
        COMPREPLY+=("$1$line")
    done < <(compgen "$2" -- "$3")
    compopt -o filenames 2>/dev/null
}

_seclude_names() {
    mapfile -t names < <(compgen "$1")
}

# Completes the value $3 of option $1, which stands behind $2 in its word.
_seclude_value() {
    local option=$1 before=$2 value=$3
    local -a names kinds=() signals=() capabilities=() bits=()
    read -ra kinds <<<"$_seclude_kinds"
    read -ra signals <<<"$_seclude_signals"
    read -ra capabilities <<<"$_seclude_capabilities"
    read -ra bits <<<"$_seclude_securebits"
    case $option in
        -u | --user)
            if [[ $value == *:* ]]; then
                _seclude_names -g
                _seclude_offer "$before${value%%:*}:" "${value#*:}" "${names[@]}"
            else
                _seclude_names -u
                _seclude_offer "$before" "$value" "${names[@]}"
                compopt -o nospace 2>/dev/null
            fi
            ;;
        -g | --group)
            _seclude_names -g
            _seclude_offer "$before" "$value" "${names[@]}"
            ;;
        --groups)
            _seclude_names -g
            [[ $value == *,* ]] || names+=(init keep none)
            _seclude_list "$before" "$value" "${names[@]}"
            ;;
        --env | --unset-env)
            _seclude_names -e
            _seclude_offer "$before" "$value" "${names[@]}"
            [[ $option == --env ]] && compopt -o nospace 2>/dev/null
            ;;
        -n | --unshare | --share)
            [[ $value == *,* ]] || kinds+=(all)
            _seclude_list "$before" "$value" "${kinds[@]}"
            ;;
        --join)
            if [[ $value == *=* ]]; then
                local target=${value#*=} pid
                for pid in /proc/[0-9]*; do
                    _seclude_offer "$before${value%%=*}=" "$target" "${pid#/proc/}"
                done
                # Several kinds are joined of a process only.
                [[ ${value%%=*} == *,* || ${value%%=*} == all ]] ||
                    _seclude_files "$before${value%%=*}=" -f "$target"
            else
                [[ $value == *,* ]] || kinds+=(all)
                _seclude_list "$before" "$value" "${kinds[@]}"
            fi
            ;;
        --persist)
            if [[ $value == *=* ]]; then
                _seclude_files "$before${value%%=*}=" -f "${value#*=}"
            else
                _seclude_offer "$before" "$value" "${kinds[@]/%/=}"
                compopt -o nospace 2>/dev/null
            fi
            ;;
        --cap-drop | --cap-add)
            [[ $value == *,* ]] || capabilities+=(all)
            _seclude_list "$before" "$value" "${capabilities[@]}"
            ;;
        --cap-ambient | --cap-inheritable | --cap-bounding)
            case ${value##*,} in
                [+-]*)
                    local sign=${value##*,}
                    capabilities=("${capabilities[@]/#/${sign:0:1}}")
                    ;;
                *) [[ $value == *,* ]] || capabilities+=(all none) ;;
            esac
            _seclude_list "$before" "$value" "${capabilities[@]}"
            ;;
        --securebits) _seclude_list "$before" "$value" "${bits[@]}" ;;
        --landlock-scope) _seclude_list "$before" "$value" abstract-socket signal ;;
        --landlock) _seclude_offer "$before" "$value" best-effort ;;
        --landlock-read | --landlock-write | --landlock-exec) _seclude_files "$before" -f "$value" ;;
        --map | --map-uid | --map-gid) _seclude_offer "$before" "$value" self auto all ;;
        --setgroups) _seclude_offer "$before" "$value" deny ;;
        --stop-signal) _seclude_offer "$before" "$value" "${signals[@]}" ;;
        --ok-status)
            [[ ${value##*,} == [0-9]* ]] && signals=({1..255})
            _seclude_list "$before" "$value" "${signals[@]}"
            ;;
        --rlimit)
            if [[ $value == *=* ]]; then
                _seclude_offer "$before${value%%=*}=" "${value#*=}" unlimited
            else
                local -a resources=(as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime
                    sigpending stack)
                _seclude_offer "$before" "$value" "${resources[@]/%/=}"
                compopt -o nospace 2>/dev/null
            fi
            ;;
        --sched)
            _seclude_offer "$before" "$value" other batch idle fifo: rr:
            [[ ${COMPREPLY[0]-} == *: ]] && compopt -o nospace 2>/dev/null
            ;;
        --ioprio) _seclude_offer "$before" "$value" none idle be:{0..7} rt:{0..7} ;;
        --leftovers) _seclude_offer "$before" "$value" kill wait leave ;;
        --status) _seclude_offer "$before" "$value" exit reraise ;;
        --propagation) _seclude_offer "$before" "$value" private slave shared unchanged ;;
        --report) _seclude_offer "$before" "$value" text json ;;
        --time-offset)
            _seclude_offer "$before" "$value" monotonic= boottime=
            compopt -o nospace 2>/dev/null
            ;;
        --hostname) _seclude_offer "$before" "$value" "${HOSTNAME-}" ;;
        --umask) _seclude_offer "$before" "$value" 022 027 077 ;;
        --keep-fd)
            local -a open=(/proc/$$/fd/*)
            open=("${open[@]##*/}")
            [[ $value == *,* ]] || open+=(all)
            _seclude_list "$before" "$value" "${open[@]}"
            ;;
        --report-to)
            _seclude_files "$before" -f "$value"
            if [[ fd: == "$value"?* ]]; then
                # As the only one it is no file, and no blank follows it.
                ((${#COMPREPLY[@]})) || compopt +o filenames -o nospace 2>/dev/null
                _seclude_offer "$before" "$value" fd:
            fi
            ;;
        -C | --chdir | -R | --root | --mount-proc) _seclude_files "$before" -d "$value" ;;
        --pid-file | --config | --unit | --oci) _seclude_files "$before" -f "$value" ;;
    esac
}

# Completes COMP_WORDS by what `complete` knows of its first, or else with files.
_seclude_as_told() {
    local name=${COMP_WORDS[0]} current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    # A quote that is still open is not part of the word.
    current=${current#[\'\"]}
    local told='' call='' program='' tries=$1
    local -a spec=() rules=()
    told=$(complete -p -- "$name" 2>/dev/null || complete -p -- "${name##*/}" 2>/dev/null)
    if [[ -z $told ]]; then
        _seclude_files '' -f "$current"
        return
    fi
    # Bash tells it in words that it can read again: complete, options, name.
    eval "spec=($told)"
    set -- "${spec[@]:1}"
    while (($# > 1)); do
        case $1 in
            -F) call=$2 ;;
            -C) program=$2 ;;
            -o) compopt -o "$2" 2>/dev/null ;;
            -[AGPSWX]) rules+=("$1" "$2") ;;
            *)
                [[ $1 == -[df] ]] && compopt -o filenames 2>/dev/null
                rules+=("$1")
                shift
                continue
                ;;
        esac
        shift 2
    done
    if [[ -n $call ]]; then
        "$call" "$name" "$current" "$before"
        # Status 124: only now has it told `complete` what to do.
        if (($? == 124 && tries > 1)); then
            _seclude_as_told $((tries - 1))
            return
        fi
    fi
    if [[ -n $program ]]; then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(
            export COMP_LINE COMP_POINT
            eval "$program "'"$name" "$current" "$before"'
        )
    fi
    if ((${#rules[@]})); then
        mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen "${rules[@]}" -- "$current")
    fi
}

# Hands over to the completion of the command that is word $1 of COMP_WORDS.
_seclude_command() {
    # The package bash-completion loads what the command has.
    if declare -F _comp_command_offset >/dev/null; then
        _comp_command_offset "$1"
    elif declare -F _command_offset >/dev/null; then
        _command_offset "$1"
    elif ((COMP_CWORD == $1)); then
        _seclude_files '' -c "${COMP_WORDS[COMP_CWORD]}"
    else
        local index rest=$COMP_LINE
        for ((index = 0; index < $1; index++)); do
            rest=${rest#"${rest%%[![:space:]]*}"}
            rest=${rest#"${COMP_WORDS[index]}"}
        done
        rest=${rest#"${rest%%[![:space:]]*}"}
        COMP_POINT=$((COMP_POINT - ${#COMP_LINE} + ${#rest}))
        COMP_LINE=$rest
        COMP_WORDS=("${COMP_WORDS[@]:$1}")
        COMP_CWORD=$((COMP_CWORD - $1))
        _seclude_as_told 2
    fi
}

_seclude() {
    COMPREPLY=()
    # readline splits words at : and =; here they are put together again, each with its first index.
    local -a words=() starts=()
    local rest=$COMP_LINE word index
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if ((index > 0)) && [[ -n $word && $rest != [[:space:]]* ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
            starts+=("$index")
        fi
        rest=${rest#"${rest%%[![:space:]]*}"}
        rest=${rest#"$word"}
    done
    local last=$((${#words[@]} - 1)) option=''
    local current=${words[last]}
    for ((index = 1; index < last; index++)); do
        word=${words[index]}
        if [[ -n $option ]]; then
            option=''
            continue
        fi
        case $word in
            --)
                _seclude_command "${starts[index + 1]}"
                return
                ;;
            --*=*) ;;
            --*) _seclude_takes_value "$word" && option=$word ;;
            -?*)
                # In a cluster such as -qn, the first that takes a value takes the rest, or the next word.
                while [[ -n ${word#-} ]]; do
                    if _seclude_takes_value "${word:0:2}"; then
                        [[ -z ${word:2} ]] && option=$word
                        break
                    fi
                    word=-${word:2}
                done
                ;;
            *)
                _seclude_command "${starts[index]}"
                return
                ;;
        esac
    done
    if [[ -n $option ]]; then
        _seclude_value "$option" '' "$current"
    else
        case $current in
            --*=*) _seclude_value "${current%%=*}" "${current%%=*}=" "${current#*=}" ;;
            -[!-]*[ugCnR]* | -[ugCnR]?*)
                # The first that takes a value takes the rest of a cluster.
                word=${current%%[ugCnR]*}
                option=${current:${#word}:1}
                _seclude_value "-$option" "$word$option" "${current#"$word$option"}"
                ;;
            -*)
                _seclude_offer '' "$current" -h --help -V --version -u --user -g --group --groups --clear-env --env \
                    --unset-env --keep-env -C --chdir --umask --argv0 -n --unshare --share --join --persist \
                    --map-uid --map-gid --map --setgroups --hostname --domainname --time-offset --propagation \
                    --mount-proc -R --root --cap-drop --cap-add --cap-ambient --cap-inheritable --cap-bounding \
                    --securebits --no-userns --seccomp --deny-syscall --landlock-read --landlock-write --landlock-exec --landlock-connect \
                    --landlock-bind --landlock-scope --landlock --no-new-privs --rlimit --nice --oom-score-adj --cpu-affinity --sched --ioprio \
                    --as-pid1 --exec --daemon --pid-file --timeout --kill-after \
                    --stop-signal --die-with-parent --leftovers --new-session --keep-fd --status --ok-status -q --quiet -v --verbose --report --report-to \
                    --dry-run --doctor --config --unit --oci
                ;;
            *)
                _seclude_command "${starts[last]}"
                return
                ;;
        esac
    fi
    # What readline has as a word of its own already is not offered again.
    for word in : =; do
        if [[ ${COMP_WORDBREAKS-} == *"$word"* && $current == *"$word"* ]]; then
            COMPREPLY=("${COMPREPLY[@]#"${current%"$word"*}$word"}")
        fi
    done
}

complete -F _seclude seclude
