# A sweep that is worth keeping is a Python file: conf/lengths.py, which also says what its table shows.
cd "$(dirname "$0")"

heyhi plan conf/lengths.py # what a launch would do
#> lengths: 12 experiments
#> 12 would start
heyhi run conf/lengths.py
#> near_after
#> 12 experiments: 12 DONE
heyhi run conf/lengths.py # all is done: nothing starts
#> nothing to start: all are done
