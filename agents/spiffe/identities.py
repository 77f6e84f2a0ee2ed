"""What an SVID opens: the agent that has its SPIFFE ID, in the one organization its trust domain speaks for.

A proved identity is a credential like a key, named `spiffe://…#<expiry>` where a key is named by its hash: the same
look-ups, epochs and expiry by the database's clock hold for both.
"""

from collections.abc import Collection
from datetime import UTC, datetime

from django.conf import settings

from accounts.models import Organization
from agents import models
from agents.keys import KeyFacts
from agents.models.key import SCOPES
from agents.spiffe.names import parse
from agents.spiffe.svids import Proof

_PREFIX = b"spiffe://"


def credential(proof: Proof) -> bytes:
    """The name of a proved identity, good until the second in which its SVID expires."""
    return f"{proof.id}#{int(proof.expires_at.timestamp())}".encode()


def is_proof(name: bytes) -> bool:
    """Whether a credential is a proved identity: a key's hash is 32 bytes that are none."""
    return name.startswith(_PREFIX)


def find(proofs: Collection[bytes]) -> dict[bytes, KeyFacts]:
    """Those of these credentials that stand for an agent, in two queries."""
    wanted = {proof: proof.decode().partition("#")[0] for proof in proofs}
    rows = models.Agent.objects.filter(spiffe_id__in=set(wanted.values()), deleted_at=None)
    organizations = Organization.objects.in_bulk()
    agents: dict[str, models.Agent] = {}
    for row in rows:
        spoken_for = settings.SPIFFE_TRUST_DOMAINS.get(parse(row.spiffe_id or "").trust_domain)
        # A domain that names no organization speaks for the only one: where there are several it would be anybody's.
        if spoken_for == organizations[row.organization_id].slug or (spoken_for == "" and len(organizations) == 1):
            agents[row.spiffe_id or ""] = row
    banned = set(models.BannedIdentity.objects.filter(spiffe_id__in=agents).values_list("organization_id", "spiffe_id"))
    return {
        proof: _facts(
            agents[name],
            organizations[agents[name].organization_id].environments,
            proof,
            banned=(agents[name].organization_id, name) in banned,
        )
        for proof, name in wanted.items()
        if name in agents
    }


def _facts(agent: models.Agent, environments: list[str], proof: bytes, *, banned: bool) -> KeyFacts:
    """As a live key of that agent alone. It proves the environment that its SPIFFE ID ends with, if that is one."""
    environment = parse(agent.spiffe_id or "").environment
    return KeyFacts(
        id=agent.id,
        name=agent.slug,
        organization_id=agent.organization_id,
        agent_id=agent.id,
        mode="live",
        environment=environment if environment in environments else "",
        scopes=frozenset(SCOPES),
        rate_limit=None,
        expires_at=datetime.fromtimestamp(int(proof.partition(b"#")[2]), UTC),
        created_by=None,
        revoked=banned or agent.status == models.Agent.Status.BANNED,
    )
