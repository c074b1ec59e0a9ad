# Overrides change a config by words, are checked by type, and are part of the experiment's name.
cd "$(dirname "$0")"

heyhi describe bowl lr
#> lr   double  0.1
#>     Length of a step, as a share of the slope.
heyhi print bowl lr=0.2 optimizer=momentum momentum.decay=0.5 --flat
#> steps=40
#> lr=0.2
#> momentum.decay=0.5
python run.py --cfg bowl lr=0.2 steps=10
#> results/p/bowl/lr=0.2,steps=10_...: DONE
heyhi print bowl lrr=0.2 || echo "exit code $?"
#> error: unknown key 'lrr'...did you mean 'lr'?
#> exit code 2
heyhi print bowl steps=many || echo "exit code $?"
#> error: override 'steps=many'...
#> exit code 2
