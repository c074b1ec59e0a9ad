# A run that is killed goes on from what it has saved, in the same folder.
cd "$(dirname "$0")"

python run.py --cfg bowl steps=20000 &
until ls results/p/bowl/steps=20000_*/checkpoint.json > saved.txt 2>&1; do sleep 0.1; done
kill -9 $!
wait $! || echo "killed"
#> killed
heyhi status --cfg bowl steps=20000 || echo "exit code $?"
#> DEAD 1
#> exit code 1
python run.py --cfg bowl steps=20000 --mode start_continue
#> going on after step ...
#> results/p/bowl/steps=20000_...: DONE
