# Configs are made of others: conf/fast.prototxt extends conf/bowl.prototxt and includes a chunk.
cd "$(dirname "$0")"

heyhi print fast
#> descend {
#>   steps: 20
#>   momentum {
#>     decay: 0.8
heyhi print bowl I.optimizer=heavy --flat # the same chunk, on the command line
#> momentum.decay=0.8
python run.py --cfg bowl I.optimizer=heavy
#> results/p/bowl/I.momentum=heavy_...: DONE
