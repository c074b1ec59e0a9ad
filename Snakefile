# The way of every experiment: a sweep names it, one rule runs it, one gathers what came out.
# What the rules ask is answered by heyhi/sweep/flow.py; `heyhi docs workflow` explains both.
from snakemake.utils import min_version

from heyhi.job.interrupt import Interrupt

interrupt = Interrupt(workflow)  # first: it says what Ctrl-C does, and the rest takes some time

from heyhi.sweep.collection import RareCollection

collection = RareCollection()

from heyhi.sweep.flow import Flow

min_version("9.27")


report: "workflows/report/sweep.rst"


flow = Flow(workflow, config)


include: "workflows/experiment.smk"
include: "workflows/winner.smk"
include: "workflows/search.smk"
include: "workflows/report.smk"


if flow.has_own_rules:

    include: flow.own_rules


rule all:
    input:
        flow.missing,
        table=flow.report,
        page=flow.page,
    message:
        "all of the sweep is done: {input.table} {input.page}"


# What is run is on record from here on, unless it would lack something; a dry run only looks, and so does a run with
# nothing to do: it does without what is loaded here, all at once, so that its end is of the same version.
onstart:
    global fresh, hearing, show
    from heyhi.control.hearing import Hearing
    from heyhi.job.rounds import look_when_needed
    from heyhi.report.freshness import Freshness
    from heyhi.report.show import foresee, show

    fresh, hearing = Freshness(), Hearing()
    collection.end()
    foresee(flow)
    flow.note_launch()
    look_when_needed(workflow)
    interrupt.begin()
    hearing.begin(flow)
    fresh.begin(flow)  # last: what is killed at the end of a run was started after it


# The table comes in any case, as the last thing on the terminal. A search goes on without a trial that is dead.
onsuccess:
    fresh.end()
    show(flow)
    hearing.end()
    flow.end()
    flow.leave_if_gone()


onerror:
    fresh.end()
    show(flow, goes_on=interrupt.hands_over)
    hearing.end(is_cut_off=interrupt.is_cut_off)
    interrupt.end()
