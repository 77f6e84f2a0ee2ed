"""One half of the random sequences: tests/approvals/machine.py."""

import pytest

from tests.approvals.machine import play


@pytest.mark.django_db(transaction=True)
def test_whatever_people_and_agents_do_comes_to_what_the_reference_says() -> None:
    play(0)
