# One trial of a search: a slot, which decides when it starts which experiment it is, and runs that. What counts is the
# file beside the slot's folder: it is written once that experiment is final for the search, so also where it was ended
# early, or is dead for good. An experiment is only ever one by its result.json.


use rule experiment as slot with:
    output:
        result=update("{exp}.json"),
    wildcard_constraints:
        exp=".*searches/[0-9a-f]+/slots/[0-9]+",
    resources:
        manifest=flow.manifest,
        tries=flow.tries,
        trials=1,  # of which a search may allow only so many at once
        tmpdir=None,
    message:
        "run {wildcards.exp}"
