"""/api/whoami: what a token is, told to whoever holds it."""

from warden.api.answers import people as answers
from warden.api.endpoint import Call, endpoint


@endpoint("GET", "whoami", "")
def whoami_token(call: Call) -> answers.TokenHolder:
    """Say whose token this is, and what it opens."""
    return answers.token_holder(call.token)
