# One experiment: its result.json is all that counts. Checkpoints and metrics are no outputs,
# so that they outlive a failure; what it needs is ancient(), so that nothing finished is redone.
# update(): or Snakemake would remove a result that another process has written since it planned its jobs.


rule experiment:
    input:
        needs=ancient(flow.needs),
    output:
        result=update("{exp}/result.json"),
    log:
        "{exp}/launch.log",
    # In the sweep's order, where not all are started at once.
    priority: flow.priority
    threads: flow.threads
    resources:
        manifest=flow.manifest,
        tmpdir=None,  # TMPDIR stays what it is where the job runs; to find it out is the dearest default
    message:
        "run {wildcards.exp}"
    shell:
        f"{flow.python} -m heyhi.runner {{output.result:q}} --manifest {{resources.manifest:q}}{flow.options}"
        " 2> {log:q}"


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
