# The best of a sweep, for the experiments that are made of it: it is chosen once, when all that it is chosen from is there,
# and stays. They wait for its file alone.


rule winner:
    input:
        candidates=ancient(flow.candidates),
    output:
        winner=update("{winner}.json"),
    log:
        "{winner}.log",
    wildcard_constraints:
        winner=".*winners/[0-9a-f]{16}",
    localrule: True
    resources:
        manifest=flow.contest_manifest,
        tmpdir=None,
    params:
        what=flow.contest,
    message:
        "choose {params.what}"
    shell:
        f"{flow.python} -m heyhi.winner {{output.winner:q}} --manifest {{resources.manifest:q}} > {{log:q}} 2>&1"
