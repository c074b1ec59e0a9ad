# Data that a rule makes: `{{file start.json}}` in a config has the rule `start` of workflows/own.smk run first.
cd "$(dirname "$0")"

heyhi run --cfg bowl 'start={{file start.json}}' --sweep lr=0.1,0.2
#> 2 experiments: 2 DONE
cat start.json
#> [-5.0]
