# A sweep that is worth keeping is a Python file: conf/lengths.py, which also says what its table shows.
cd "$(dirname "$0")"

heyhi plan conf/lengths.py # what a launch would do
#> lengths: 12 experiments
#> 12 would start
snakemake --profile ../profiles/local --config sweep=conf/lengths.py
#> near_after
#> 12 experiments: 12 DONE
snakemake --profile ../profiles/local --config sweep=conf/lengths.py # all is done: nothing starts
#> Nothing to be done
