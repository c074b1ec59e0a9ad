# An experiment that builds on another one: what it needs is run first.
cd "$(dirname "$0")"

heyhi plan --cfg check
#> 1 experiment (and 1 needed by them)
heyhi run --cfg check --sweep 'walk={{exp bowl}},{{exp bowl lr=0.01}}'
#> 2 experiments: 2 DONE
heyhi report --cfg check --sweep 'walk={{exp bowl}},{{exp bowl lr=0.01}}' --needs --columns walk,distance
#> distance
