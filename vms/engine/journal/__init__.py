"""The only writer of operations: every change that moves one on is guarded by the stage and version it was decided on.

A call to the hypervisor is written down before it is made and answered afterwards. A row count of zero means that
somebody changed the operation meanwhile; the caller then reads it again and decides anew.

Everybody else uses what is named here: `accepting` writes an operation's beginning, `stepping` and `steering` what
becomes of it, `waking` when it is looked at again, `ending` its end; `reading` is how it is read. The guard itself is
in `guarded`.
"""

from vms.engine.journal.accepting import Place, Request, accept, leave_queue
from vms.engine.journal.ending import drop, finish, forget, name_successor, obeyed_late, supersede
from vms.engine.journal.guarded import LostRace
from vms.engine.journal.reading import active, as_decided, owing, read, settled_at
from vms.engine.journal.steering import cancel, extend, force_now
from vms.engine.journal.stepping import answer, begin_call, guest_reset, keep_screen, note, set_run_token, wait
from vms.engine.journal.waking import make_due, pick_up, put_off

__all__ = [
    "LostRace",
    "Place",
    "Request",
    "accept",
    "active",
    "answer",
    "as_decided",
    "begin_call",
    "cancel",
    "drop",
    "extend",
    "finish",
    "force_now",
    "forget",
    "guest_reset",
    "keep_screen",
    "leave_queue",
    "make_due",
    "name_successor",
    "note",
    "obeyed_late",
    "owing",
    "pick_up",
    "put_off",
    "read",
    "set_run_token",
    "settled_at",
    "supersede",
    "wait",
]
