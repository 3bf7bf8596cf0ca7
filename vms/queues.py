"""The queues of the broker. Workers take from all of them in turn.

What somebody asked for just now, or a guest just did, does not wait behind hundreds of operations that are due.
"""

NOW = "now"
DUE = "due"
ALL = (NOW, DUE)
