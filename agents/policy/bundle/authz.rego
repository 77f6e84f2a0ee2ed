# What an OPA client asks: data.agentweave.authz for the object, data.agentweave.authz.allow for the boolean.
package agentweave.authz

import rego.v1

default allow := false

allow if data.warden.decision.allowed

default reason := "Not allowed"

reason := "Allowed" if allow

reason := "This needs a person: ask Warden itself" if data.warden.decision.asks

policy_id := data.warden.policy.version
