"""Looks through the data plane's tables, taken again and again: they take the control core's time.

So many times as long as a look took goes by before the next one: 4 % of that core at most.
"""

PAUSE_FACTOR = 24
