"""Servers and files that look like the networks, without the networks: for demos, tests and load.

    from bemtevi.simulate import Simulation, running_x

    with running_x(Simulation(topics=("covid19",), rate=200, record=path)) as server:
        ...  # point a client at server.url

Owns: invented posts (`PostGenerator`), X's rule language (`parse`), a server that speaks X (`serve`,
`running_x`, `create_app`), what goes wrong with it (`faults`), its ground truth (`read_record`) and archives
of the past (`write_history`).
It shares nothing with the code that reads the networks: both are written from the protocol.
"""

from bemtevi.simulate.faults import KINDS, Fault, fault_of, fault_of_flag, read_faults
from bemtevi.simulate.history import write_history
from bemtevi.simulate.posts import DEFAULT_TOPICS, PostGenerator
from bemtevi.simulate.record import Recorded, read_record
from bemtevi.simulate.rules import RuleSyntaxError, parse, render
from bemtevi.simulate.simulation import Simulation
from bemtevi.simulate.sources import PoolSource
from bemtevi.simulate.x import RunningX, create_app, running_x, serve

__all__ = [
    "DEFAULT_TOPICS",
    "KINDS",
    "Fault",
    "PoolSource",
    "PostGenerator",
    "Recorded",
    "RuleSyntaxError",
    "RunningX",
    "Simulation",
    "create_app",
    "fault_of",
    "fault_of_flag",
    "parse",
    "read_faults",
    "read_record",
    "render",
    "running_x",
    "serve",
    "write_history",
]
