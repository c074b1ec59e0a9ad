# A search for the best point of a space: each trial is an experiment. It takes the extra `search`.
cd "$(dirname "$0")"

heyhi search --cfg bowl --space 'lr=loguniform(1e-3,1)' --space optimizer=plain,momentum \
    --min loss --trials 6
#> trial 0
#> best so far: loss=
heyhi search --cfg bowl --space 'lr=loguniform(1e-3,1)' --space optimizer=plain,momentum \
    --min loss --trials 8 # two more of the same search
#> best so far: loss=
