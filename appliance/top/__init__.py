"""`synproxy top`, in the order of its making.

What is computed knows no terminal: `sample` (an answer of the daemon), `rates` (what two of them
tell), `history` (the plots), `headline` (what is going on), `look` (all of it, at one moment).
How it is drawn knows no daemon: `view` (what the user has chosen), `blocks` and `tables` (its
parts), `room` (who gets how many lines), `screen` (the whole).  `keys`, `terminal` and `asking` are
the two ends; `loop` joins them.
"""
