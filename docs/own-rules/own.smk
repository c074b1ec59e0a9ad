# Rules of this project's own, beside those by which experiments run: `flow` answers as in workflows/experiment.smk.
# An experiment needs a file that a rule makes by {{file PATH}} in a text value of its config:
#   snakemake --profile profiles/local $(heyhi expand --cfg fit/line data='{{file data/points.json}}')


# Data, before any experiment that needs them.
rule points:
    output:
        "data/points.json",
    log:
        "data/points.log",
    localrule: True  # it is small: no job of Slurm's
    message:
        "draw points"
    shell:
        f"{flow.python} workflows/own.py points {{output:q}} 2> {{log:q}}"


# A figure, once the table of a sweep is there: snakemake --profile profiles/local figures/loss.html
rule figure:
    input:
        flow.missing,
        table=flow.report,
    output:
        "figures/loss.html",
    log:
        "figures/loss.log",
    localrule: True
    message:
        "draw {output}"
    shell:
        f"{flow.python} workflows/own.py figure {{input.table:q}} {{output:q}} 2> {{log:q}}"
