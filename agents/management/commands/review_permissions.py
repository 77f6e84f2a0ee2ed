from typing import Any

from agents.management.commands._base import AgentsCommand
from agents.review import review
from agents.services.writing import public_id


class Command(AgentsCommand):
    help = "List what needs attention: wildcards, tiers that are unused or expired, old keys, agents nobody audited."

    def run(self, **options: Any) -> tuple[Any, str]:
        rows = [
            {
                "code": finding.code,
                "text": finding.text,
                "agent": finding.agent.slug if finding.agent else None,
                "permission": public_id(finding.permission) if finding.permission else None,
                "action": finding.permission.action if finding.permission else None,
                "key": public_id(finding.key) if finding.key else None,
            }
            for finding in review(self.organization(options))
        ]
        words = [f"{row['agent'] or 'all agents'}  {row['action'] or ''}  {row['text']}" for row in rows]
        return rows, "\n".join(words) or "Nothing needs attention."
