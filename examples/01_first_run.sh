# One run: its folder is named by its config, and the same words don't run it twice.
cd "$(dirname "$0")"

python run.py --cfg bowl
#> results/p/bowl/default_...: DONE
ls results/p/bowl/default_*
#> log.txt
#> metrics.jsonl
#> result.json
python run.py --cfg bowl
#> nothing started; the result is in result.json
heyhi status
#> DONE 1
