r"""The code by which bash, zsh and fish complete `heyhi`, `python run.py …` and `./run.py …`.

What is offered is said by `completion`. A task file is known by the function that it calls, and is never run for its
completions: a Tab behind a script that isn't HeyHi's must not start it. HeyHi answers for it, by the interpreter that
the line names.
"""

from __future__ import annotations

CALLS_HEYHI = "parse_args_and_maybe_launch"  # stands in each task file
# Says that the words are those of a task file, not of `heyhi`; argcomplete's own variable says where they begin.
TASK_FILE_VARIABLE = "_HEYHI_TASK_FILE"

_BASH = r"""
_heyhi_is_task_file() { [[ -f $1 && -r $1 ]] && command grep -q @CALLS@ -- "$1" 2>/dev/null; }

# _heyhi_ask FIRST COMMAND…: have a command complete the line, whose words count from FIRST (1: all).
_heyhi_ask() {
    local first=$1 IFS=$'\013' answer
    shift
    answer=$(COMP_LINE="$COMP_LINE" COMP_POINT="$COMP_POINT" COMP_TYPE="$COMP_TYPE" \
        _ARGCOMPLETE_COMP_WORDBREAKS="$COMP_WORDBREAKS" _ARGCOMPLETE="$first" _ARGCOMPLETE_SHELL=bash \
        _ARGCOMPLETE_SUPPRESS_SPACE=0 "$@" 8>&1 9>/dev/null 1>/dev/null 2>&1 </dev/null) || return 1
    COMPREPLY=($answer)
    ((${#COMPREPLY[@]})) && return
    local line=${COMP_LINE:0:COMP_POINT}
    case ${line##* } in
        -*=* | *=[./~]*) compopt +o nospace 2>/dev/null ;; # files, by the shell itself
        *=*) compopt +o default +o bashdefault 2>/dev/null ;; # a value, of which files are seldom one
        *) compopt +o nospace 2>/dev/null ;;
    esac
    return 0
}

_heyhi() { _heyhi_ask 1 "$1" || COMPREPLY=(); }

# `./run.py …` and `python [-u …] run.py …`; anything else is completed as it would be without this.
_heyhi_task() {
    local i word
    for ((i = 0; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        [[ $word == -m || $word == -c ]] && break
        [[ $i == 0 && ${word##*/} == python* ]] && continue
        [[ -f $word ]] || continue
        _heyhi_is_task_file "$word" || break
        if ((i)); then _heyhi_ask $((i + 1)) env @VARIABLE@=1 "$1" -m heyhi.cli; else
            _heyhi_ask 1 env @VARIABLE@=1 heyhi; fi && return
        break
    done
    _heyhi_others "$@"
}

# What bash-completion has for the command, which it loads when it is asked for.
_heyhi_others() {
    local name=${1##*/} spec
    COMPREPLY=()
    complete -r -- "$name" 2>/dev/null
    if declare -F _comp_load >/dev/null; then
        _comp_load "$name"
    elif declare -F _completion_loader >/dev/null; then
        _completion_loader "$name"
    fi >/dev/null 2>&1
    spec=$(complete -p -- "$name" 2>/dev/null)
    complete -o nospace -o default -o bashdefault -F _heyhi_task -- "$name"
    compopt +o nospace 2>/dev/null
    [[ $spec =~ \ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != @(_heyhi*|*_minimal) ]] || return 0
    "${BASH_REMATCH[1]}" "$@"
}

complete -o nospace -o default -o bashdefault -F _heyhi heyhi
complete -o nospace -o default -o bashdefault -F _heyhi_task python python3 run.py heyhi_task.py
"""

_ZSH = r"""
#compdef heyhi
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }

_heyhi_is_task_file() { [[ -f $1 && -r $1 ]] && command grep -q @CALLS@ -- $1 2>/dev/null }

# _heyhi_ask FIRST COMMAND…: have a command complete the line, whose words count from FIRST (1: all). What goes on
# behind it, a key before its value, gets no space.
_heyhi_ask() {
    local first=$1 answer one entry line="${(j: :)words[1,CURRENT-1]} $QIPREFIX$PREFIX"
    local -a going_on=() whole=()
    shift
    answer=$(COMP_LINE=$line COMP_POINT=${#line} COMP_TYPE=9 _ARGCOMPLETE=$first _ARGCOMPLETE_SHELL=fish \
        _ARGCOMPLETE_DFS=$'\t' _ARGCOMPLETE_IFS=$'\n' _ARGCOMPLETE_SUPPRESS_SPACE=1 \
        $@ 8>&1 9>/dev/null 1>/dev/null 2>&1 </dev/null) || return 1
    for one in ${(f)answer}; do
        entry=${${one%%$'\t'*}//:/\\:}
        [[ -n ${one#*$'\t'} ]] && entry+=:${one#*$'\t'}
        if [[ ${one%%$'\t'*} == *[=/.] ]]; then going_on+=("$entry"); else whole+=("$entry"); fi
    done
    _describe -V heyhi going_on -S '' -- whole
}

_heyhi() { _heyhi_ask 1 ${(Q)words[1]} }

# `./run.py …` and `python [-u …] run.py …`; anything else is completed as it would be without this.
_heyhi_task() {
    local i word
    for ((i = 1; i < CURRENT; i++)); do
        word=${(Q)words[i]/#\~\//$HOME/}
        [[ $word == -m || $word == -c ]] && break
        [[ $i == 1 && ${word:t} == python* ]] && continue
        [[ -f $word ]] || continue
        _heyhi_is_task_file $word || break
        if ((i > 1)); then _heyhi_ask $i env @VARIABLE@=1 ${(Q)words[1]} -m heyhi.cli; else
            _heyhi_ask 1 env @VARIABLE@=1 heyhi; fi && return
        break
    done
    if [[ ${words[1]:t} == python* ]] && (( $+functions[_python] )); then _python; else _default; fi
}

compdef _heyhi heyhi
compdef _heyhi_task python python3 run.py heyhi_task.py
"""

_FISH = r"""
# Have a command complete the line, whose words count from the first argument (1: all).
function __heyhi_ask
    set -lx COMP_LINE (commandline -p)
    set -lx COMP_POINT (string length -- (commandline -cp))
    set -lx COMP_TYPE 9
    set -lx _ARGCOMPLETE $argv[1]
    set -lx _ARGCOMPLETE_SHELL fish
    set -lx _ARGCOMPLETE_DFS \t
    set -lx _ARGCOMPLETE_IFS \n
    set -lx _ARGCOMPLETE_SUPPRESS_SPACE 1
    command $argv[2..] 8>&1 9>/dev/null 1>/dev/null 2>&1 </dev/null
end

# Print which word of the line is a task file: `./run.py …`, `python [-u …] run.py …`.
function __heyhi_task_file
    set -l words (commandline -opc)
    for i in (seq (count $words))
        set -l word (string replace -r '^~/' $HOME/ -- $words[$i])
        contains -- $word -m -c; and return 1
        test $i = 1; and string match -qr '(^|/)python[0-9.]*$' -- $word; and continue
        test -f "$word"; or continue
        command grep -q @CALLS@ -- $word 2>/dev/null; or return 1
        echo $i
        return 0
    end
    return 1
end

function __heyhi_task
    set -l first (__heyhi_task_file); or return
    set -l program heyhi
    test $first -gt 1; and set program (commandline -opc)[1] -m heyhi.cli
    __heyhi_ask $first env @VARIABLE@=1 $program
end

complete --command heyhi --no-files --arguments '(__heyhi_ask 1 heyhi)'
for program in python python3 run.py heyhi_task.py
    complete --command $program --condition __heyhi_task_file --no-files --arguments '(__heyhi_task)'
end
"""

SCRIPTS = {
    shell: code.replace("@CALLS@", CALLS_HEYHI).replace("@VARIABLE@", TASK_FILE_VARIABLE).strip()
    for shell, code in {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}.items()
}
