"""GET /bundles/agentweave-authz.tar.gz: the policy, for an OPA that somebody keeps beside the agents."""

import asyncio
import uuid
from collections import OrderedDict
from typing import TYPE_CHECKING

from django.conf import settings

from agents.load import KeyFacts, Loaded
from agents.policy.bundle import Bundle, bundle_data, make_bundle
from agents.spiffe import trust
from gateway import answers
from gateway.answers import Answer
from gateway.jobs import closed

if TYPE_CHECKING:
    from gateway.app import Request

PATH = "/bundles/agentweave-authz.tar.gz"
SCOPE = "authz:query"
KEPT = 200  # bundles in one process
_made: OrderedDict[tuple[str, ...], Bundle] = OrderedDict()


async def bundle(request: "Request", _: uuid.UUID | None) -> Answer:
    """What this key's agents may do without asking; 304 where the OPA has it already."""
    seen = await request.gateway.reader.read(request.key.id)  # for the time and the epoch: it is no approval's
    key = seen.era.cached_key(request.key_hash) or await seen.era.key(request.key_hash)
    if key is None:
        return answers.UNAUTHORIZED
    if refused := closed(key, seen.now, SCOPE):
        return refused
    loaded = await seen.era.of(key.organization_id)
    if loaded is None:
        return answers.UNAUTHORIZED
    made = await _bundle(key, loaded)
    headers = ((b"etag", made.etag.encode()), (b"content-type", b"application/gzip"))
    known = request.headers.get(b"if-none-match", b"").decode("latin-1")
    if known.strip() == "*" or made.etag in [each.strip().removeprefix("W/") for each in known.split(",")]:
        return Answer(304, b"", headers)
    return Answer(200, made.content, headers)


async def _bundle(key: KeyFacts, loaded: Loaded) -> Bundle:
    """Made once for each policy version, agent and environment; off the loop, for it takes the processor."""
    name = (str(key.organization_id), loaded.policy.version, str(key.agent_id or ""), key.environment)
    found = _made.get(name)
    if found is None:
        domains = trust.domains_of(loaded.slug, settings.SPIFFE_TRUST_DOMAINS)
        data = bundle_data(
            loaded.policy,
            environment=key.environment or None,
            agent_id=str(key.agent_id) if key.agent_id else None,
            trust_domains=domains,
        )
        found = _made[name] = await asyncio.to_thread(make_bundle, data)
        while len(_made) > KEPT:
            _made.popitem(last=False)
    return found
