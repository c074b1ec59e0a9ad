# What was logged: a line a step, read by tables, by curves of the page, and by Python.
cd "$(dirname "$0")"

python run.py --cfg bowl
head -n 1 results/p/bowl/default_*/metrics.jsonl
#> {"step":...1,..."loss":...
heyhi report --cfg bowl --columns status,loss,seconds
#> status
#> DONE
heyhi report --cfg bowl --to page.html
#> written: page.html
python -c 'import glob, heyhi; print(len(heyhi.Handle(*glob.glob("results/p/bowl/default_*")).metrics()), "lines")'
#> 40 lines
