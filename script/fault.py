"""A fault: what script/plant_faults changes, and the test that must fail for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What is changed where, and the test that must fail for it. `old` stands in the file once.

    `setting` is the one whose enforcement it takes away, as docs/settings.md and docs/rules.md name it:
    `of a tier: max_amount`.
    """

    name: str
    file: str
    old: str
    new: str
    test: str
    setting: str = ""
