# The table of a sweep. Its name has the sweep's digest, so that a changed sweep gets another one;
# the copy below a fixed name is for people. update(): another Snakemake that runs the same sweep may just have
# written it, and misses it when it is removed.


rule aggregate:
    input:
        results=flow.report_results,
        manifest=ancient(flow.report_manifest),
    output:
        table=report(
            update(f"{flow.reports}/{{label}}/{{digest}}.csv"),
            caption="report/table.rst",
            category="{label}",
            labels={"result": "table"},
        ),
        page=(
            report(
                update(f"{flow.reports}/{{label}}/{{digest}}.html"),
                caption="report/page.rst",
                category="{label}",
                # In a report of one file it would be a data: URL, of which browsers show no more than 2 MB.
                labels={"result": "page (to be seen in --report report.zip)"},
            )
            if flow.makes_page
            else []
        ),
    log:
        f"{flow.reports}/{{label}}/{{digest}}.log",
    wildcard_constraints:
        label="[A-Za-z0-9._-]+",
        digest="[0-9a-f]{16}",
    localrule: True
    message:
        "write {output}"
    shell:
        f"{flow.python} -m heyhi.report {{input.manifest:q}} --to {{output.table:q}}{flow.to_page} 2> {{log:q}}"
