# The best of a sweep, before anybody knows which one that is: conf/best_seeds.py runs it on five new seeds.
cd "$(dirname "$0")"

heyhi plan conf/best_seeds.py
#> 5 experiments (and 12 needed by them)
heyhi run conf/best_seeds.py
#> 5 experiments: 5 DONE
ls results/winners
#> .json
heyhi report conf/best_seeds.py --mean-over seed --columns loss,n
#> ± ...  5
