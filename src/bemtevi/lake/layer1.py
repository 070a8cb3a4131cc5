"""The tables of layer 1, in one list: what maintenance keeps, answers may ask and the dictionary describes.

Owns the list alone; each table is defined in its own module. Layer 2 is found by scanning `models/`.
"""

from __future__ import annotations

from bemtevi.lake.definition import TableDefinition
from bemtevi.lake.gap import GAP
from bemtevi.lake.raw import QUARANTINE, RAW
from bemtevi.lake.sample import SAMPLE
from bemtevi.lake.tombstone import TOMBSTONE
from bemtevi.lake.track import TRACK

LAYER_1: tuple[TableDefinition, ...] = (RAW, QUARANTINE, TRACK, GAP, SAMPLE, TOMBSTONE)
