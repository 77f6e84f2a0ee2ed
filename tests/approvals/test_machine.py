"""The random sequences, in parts that the processes of a run share: tests/approvals/machine.py."""

import pytest

from tests.approvals.machine import PARTS, play


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("part", range(PARTS))
def test_whatever_people_and_agents_do_comes_to_what_the_reference_says(part: int) -> None:
    play(part)
