# Many runs by one line, as many at once as there are cores, and one table of them.
cd "$(dirname "$0")"

heyhi expand --cfg bowl --sweep lr=0.1,0.3 --sweep optimizer=plain,momentum # names them, runs nothing
#> 4 experiments: ...
heyhi run --cfg bowl --sweep lr=0.1,0.3 --sweep optimizer=plain,momentum
#> run     4 experiments
#> end     4 done
#> 4 experiments: 4 DONE
heyhi report --cfg bowl --sweep lr=0.1,0.3 --sweep optimizer=plain,momentum --sort loss --columns lr,optimizer,loss
#> lr  optimizer
#> 4 experiments: 4 DONE
