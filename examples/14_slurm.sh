# On a Slurm cluster: the config's launcher says what a run needs; four experiments share a job here.
cd "$(dirname "$0")"

heyhi plan --cfg bowl I.launcher=slurm launcher.slurm.pack=4 --sweep lr=0.03,0.07 --sweep "seed=range(4)"
#> 8 would start
heyhi launch --cfg bowl I.launcher=slurm launcher.slurm.pack=4 --sweep lr=0.03,0.07 --sweep "seed=range(4)"
#> started controller pid
heyhi status --watch 2 --cfg bowl I.launcher=slurm launcher.slurm.pack=4 --sweep lr=0.03,0.07 --sweep "seed=range(4)"
#> DONE 8
