"""What a job's script does beside its run where a launcher asks for it: `setup`, `prefix`, `python`, `srun_extra`.

`setup` is the one text of a config that a shell executes, by its purpose. Whatever fails here leaves a line in the
job's log that says why; `heyhi.experiment.death` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from heyhi.experiment.launch_log import PYTHON, SETUP
from heyhi.job_env import NOTICE_VARIABLE, PREFIX_VARIABLE, READY, SRUN_VARIABLE
from heyhi.slurm.request import JobRequest
from heyhi.text import quoted, quoted_words

# The last line does nothing: what may fail on its way, as `false && true`, is no failure as the last one either.
# The lines are sourced, so that what they load and export is there for the run. ERR comes for a failing command of
# theirs, not for those inside of functions and files that they call, which may fail on their way. Errors are kept in a
# file, as the last of them is the reason.
_RUN_SETUP = """\
heyhi_folder=$PWD heyhi_setup="${notice}.setup" heyhi_line=
printf '%s\\n' {lines} : > "$heyhi_setup"
exec 3>&2 2> "$heyhi_setup.err"
trap 'heyhi_code=$?; [ "${{BASH_SOURCE[0]}}" != "$heyhi_setup" ] || {{ heyhi_line=$LINENO; exit "$heyhi_code"; }}' ERR
heyhi_ended() {{
  trap - ERR EXIT
  set +eu
  exec 2>&3 3>&-
  cat "$heyhi_setup.err" >&2
  why=$(grep -v -e '^[[:space:]]*$' -e ': `' "$heyhi_setup.err" | tail -n 1)
  rm -f "$heyhi_setup" "$heyhi_setup.err"
}}
heyhi_failed() {{
  heyhi_ended
  why=${{why#"$heyhi_setup: "}}
  case $why in "line $heyhi_line"*": "*) ;; *) why="${{heyhi_line:+line $heyhi_line: }}${{why:-exit code $1}}" ;; esac
  heyhi_say "{mark}: $why"
  rmdir "$own" 2> /dev/null
}}
trap 'heyhi_failed $?' EXIT
. "$heyhi_setup"
heyhi_code=$?
[ "$heyhi_code" = 0 ] || exit "$heyhi_code"
heyhi_ended
cd "$heyhi_folder"
"""


def before_run(request: JobRequest, logs: Sequence[Path] = ()) -> str:
    """Write what the script does before the run.

    Args:
        request: what the job asks for.
        logs: of a pack's members, which learn there why they weren't started.
    """
    text = ""
    if request.setup or request.prefix or request.python:
        others = f" | tee -a -- {quoted_words(map(str, logs))}" if logs else ""
        text += f'heyhi_say() {{ echo "job $SLURM_JOB_ID $1"{others} >&2; }}\n'
    for name, words in ((PREFIX_VARIABLE, request.prefix), (SRUN_VARIABLE, request.srun_extra)):
        # Not that of a job around the launch, either.
        text += f"export {name}={quoted(quoted_words(words))}\n" if words else f"unset {name}\n"
    if request.setup:
        lines = " ".join(map(quoted, request.setup))
        text += _RUN_SETUP.format(lines=lines, notice=NOTICE_VARIABLE, mark=SETUP)
    return text


def after_failure(request: JobRequest, words: Sequence[str]) -> str:
    """Write what the script does after a run that came to nothing: find out whether its Python can run HeyHi at all.

    Only then, since a container may take seconds to start.

    Args:
        request: what the job asks for.
        words: the command of the run.
    """
    if not (request.prefix or request.python):
        return ""
    python = words[: len(request.prefix) + 2]  # and -P
    check = quoted_words([*python, "-c", "import heyhi.runner"])
    return f"""\
if [ "$code" != 0 ] && [ ! -e "${NOTICE_VARIABLE}{READY}" ] && ! why=$({check} 2>&1 > /dev/null); then
  case $why in Traceback*) why=${{why##*$'\\n'}} ;; *) why=${{why%%$'\\n'*}} ;; esac
  # bash begins its own errors with where it is.
  why=${{why#*: line [0-9]*: }}
  heyhi_say "{PYTHON}: ${{why:-it ends with exit code $code}}"
fi
"""
