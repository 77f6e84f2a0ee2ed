"""What of contexts is kept withheld or encrypted, for all jobs of a batch at once. The policy judges what was asked;
everything that is stored, digested and told is made from `stored`.
"""

import uuid
from collections.abc import Iterable

from agents.load import KeyFacts, Loaded
from audit import sealing, subjects
from gateway.jobs import Asked, Check, Log
from gateway.writer import Batch


async def cover(batch: Batch, jobs: Iterable[tuple[Asked, tuple[KeyFacts, Loaded]]]) -> None:
    """Sets `stored` of what an organization's rules cover: one look-up for the batch where they do, none elsewhere."""
    covered = []
    wanted: set[tuple[uuid.UUID, str]] = set()
    for job, (key, loaded) in jobs:
        if not isinstance(job, Check | Log):
            continue
        if job.is_covered:  # by a transaction that was rolled back, with the keys it had made
            job.uncover()
        if not loaded.privacy:
            continue
        rules = loaded.covered(job.body.action)
        context = job.body.context or {}
        if names := sealing.subjects(rules, context):
            covered.append((job, key.organization_id, rules, context, names))
            wanted.update((key.organization_id, name) for name in names)
    if not covered:
        return
    keys = await subjects.obtain(batch.connection, wanted)
    for job, organization, rules, context, names in covered:
        of = {name: keys[organization, name] for name in names}
        job.cover(sealing.seal(organization, rules, context, of))
