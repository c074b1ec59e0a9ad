# A rule of this project's own: see 12_own_rules.sh.
rule start:
    output:
        "start.json",
    log:
        "start.log",
    localrule: True
    message:
        "choose where to begin"
    shell:
        "echo '[-5.0]' > {output:q} 2> {log:q}"
