# Seeds put together: means of runs that differ in nothing else, each with its spread and of how many.
cd "$(dirname "$0")"

heyhi run conf/lengths.py
heyhi report conf/lengths.py --mean-over seed --sort loss --columns optimizer,lr,loss,n
#> optimizer...lr...loss ± se  n
#> ...±...  3
heyhi report conf/lengths.py --best loss --per optimizer --columns optimizer,lr,loss
#> momentum
#> plain
heyhi report conf/lengths.py --pivot optimizer lr loss --to -.md
#> | optimizer |
