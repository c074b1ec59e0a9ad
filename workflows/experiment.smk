# One experiment: its result.json is all that counts. Checkpoints and metrics are no outputs,
# so that they outlive a failure; what it needs is ancient(), so that nothing finished is redone: also the files that
# rules of own.smk make.
# update(): or Snakemake would remove a result that another process has written since it planned its jobs; for each that
# fails without one it says that there is no backup to restore, by no setting left out.
# The shell's own words go where the runner's go. By which signal that ended, only the shell has seen: it writes it down
# there (heyhi/experiment/exits.py reads it). What ends badly behind its result is done: nothing else counts.
# A slot's folder is none of its target's, which Snakemake would make.
# What is filled in is filled in once, since Snakemake does so three times a job; and into no variable, which a run's
# environment may have.
# launch.log is no log: to Snakemake, which would remove it before each attempt, and why the one before it has failed.


rule experiment:
    input:
        ancient(flow.needs),
    output:
        result=update("{exp}/result.json"),
    # In the sweep's order, where not all are started at once; what waits or runs already goes first, so that it counts.
    priority: flow.priority
    threads: flow.threads
    resources:
        manifest=flow.manifest,
        tries=flow.tries,
        tmpdir=None,  # TMPDIR stays what it is where the job runs; to find it out is the dearest default
    message:
        "run {wildcards.exp}"
    shell:
        'set -- {wildcards.exp:q} {output.result:q}; [ -d "$1" ] || mkdir -p "$1";'
        ' exec 2>> "$1/launch.log"; code=0;'
        f' {flow.python} -m heyhi.runner "$2" --manifest {{resources.manifest:q}} --attempt {{resources.tries}}'
        f"{flow.options}"
        " || code=$?; if [ $code = 0 ]; then exit 0; fi;"
        ' done=; if [ -f "$2" ]; then done=yes; fi;'
        f' if [ "$done" ] || [ $code -gt 128 ]; then echo "{flow.ended}$code, $(date -u +%FT%TZ)" >&2 || :; fi;'
        ' if [ "$done" ]; then exit 0; fi; exit $code'


# Stands for one that nobody knows how it is (its folder or a record of it can't be read): nothing touches that, and what
# depends on it waits in vain.
rule unknown:
    output:
        f"{flow.unknown}/{{digest}}",
    log:
        f"{flow.unknown}/{{digest}}.log",
    wildcard_constraints:
        digest="[0-9a-f]{16}",
    localrule: True
    params:
        why=flow.why_unknown,
    message:
        "{params.why}"
    shell:
        "echo {params.why:q} > {log:q}; exit 1"
