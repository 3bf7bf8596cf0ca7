"""The queues of the broker. Workers take from those of the operations in turn.

What somebody asked for just now, or a guest just did, does not wait behind hundreds of operations that are due. Chores
have a worker of their own: a mail server or a webhook that hangs, or a year of history that is cleared away, holds up
no operation.
"""

NOW = "now"
DUE = "due"
#: Mail, webhooks, and clearing old history away.
CHORES = "chores"
ALL = (NOW, DUE, CHORES)
