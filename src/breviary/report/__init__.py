"""The report: one page that says what a run found, for a person who was not there.

files of other stages ──contents.py──> reports/report.json ──page.py──> reports/index.html
                                       (the DVC out: no                 (git-ignored: with times, memory,
                                        times, no commits)               commit and lineage around it)

contents.py    what is read, and the whole of report.json
scoreboard.py  models by metric, with intervals and significance
curves.py      losses by term and phase
spread.py      distributions as quantiles and counts
samples.py     which documents are shown, and what the models wrote of them
support.py     the sentence of the source that a sentence of a summary rests on
making.py      which stage made what, from dvc.lock
spent.py       time and memory of each stage, from MLflow
svg.py         elements, scales and ticks
figures.py     the figures
wording.py     numbers as people read them
page.py        the page: page.html.j2 and page.css
"""
