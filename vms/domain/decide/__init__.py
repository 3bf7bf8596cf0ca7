"""The authority on what an operation does next, from its journal and one look at its VM.

`decide` never trusts that a call had an effect: it looks at what the hypervisor shows. A call whose answer was never
recorded is verified, after a time in which the hypervisor may still be carrying it out, before it is sent again; what
is harmless to repeat (marking a run, asking a guest) is repeated at once.

`next_move` begins every decision and hands it to the module of the phase: `going_down`, `coming_up`, `suspending`,
`removing`.
"""

from vms.domain.decide.coming_up import decide_heard_start
from vms.domain.decide.moves import Call, Finish, Move, Note, Wait
from vms.domain.decide.next_move import decide, decide_gone, decide_unreachable

__all__ = [
    "Call",
    "Finish",
    "Move",
    "Note",
    "Wait",
    "decide",
    "decide_gone",
    "decide_heard_start",
    "decide_unreachable",
]
