# The decision of agents/policy/decide.py, as far as it can be made without Warden: nothing that needs a person, a
# condition or a count is allowed here. data.warden.policy holds each agent's permissions, gathered into levels: see
# agents/policy/compiled.py.
package warden.decision

import rego.v1

default allowed := false

allowed if {
	decidable
	taken.effect == "allow"
	not taken.unclear
	not denied_below
	not stopped
}

default asks := false

asks if {
	decidable
	taken.effect == "ask"
	not denied_below
	not stopped
}

decidable if {
	not data.warden.policy.paused
	data.warden.policy.known_environment
	agent.active
	is_question
	level
	not denied
	has_amount
}

# The question

default context := {}

context := input.context if is_object(input.context)

default environment := null

environment := data.warden.policy.environment

agent := data.warden.policy.agents[input.caller_spiffe_id]

action := input.action if {
	is_string(input.action)
	contains(input.action, ".")
}

action := concat(".", ["agentweave", input.action]) if {
	is_string(input.action)
	not contains(input.action, ".")
}

named_callees := {id |
	some name in ["callee_spiffe_id", "resource_spiffe_id"]
	id := input[name]
	not id in {null, ""}
}

names := named_callees | {input.caller_spiffe_id}

default callee := null

callee := id if some id in named_callees

is_question if {
	regex.match(`^[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*){1,5}$`, action)
	count(action) <= 200
	count(named_callees) <= 1
	every id in names {
		is_name(id)
		is_trusted(id)
		not data.warden.policy.banned[id]
	}
	not contradicts_caller
	not contradicts_callee
	is_context
}

is_context if object.get(input, "context", null) == null

is_context if is_object(input.context)

is_name(id) if {
	is_string(id)
	regex.match(`^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)+$`, id)
	not regex.match(`/\.{1,2}(/|$)`, id)
	count(id) <= 2048
}

domain(id) := split(id, "/")[2]

is_trusted(_) if data.warden.policy.trust_domains == null

is_trusted(id) if domain(id) in data.warden.policy.trust_domains

contradicts_caller if {
	said := input.caller_trust_domain
	not said in {null, ""}
	said != domain(input.caller_spiffe_id)
}

contradicts_callee if {
	said := input.resource_trust_domain
	not said in {null, ""}
	not said in {domain(id) | some id in named_callees}
}

# Where to look: the exact name, its tiers, its wildcards from the longest

parts := split(action, ".")

prefixes := [concat(".", array.slice(parts, 0, count(parts) - n)) | some n in numbers.range(1, count(parts) - 1)]

exact := [found | found := agent.exact[action]]

tiers := [found | found := agent.tiers[action]]

patterns := [found | some prefix in prefixes; found := agent.wildcards[prefix]]

levels := array.concat(exact, array.concat(tiers, patterns))

level := [each | some each in levels; has_grant(each)][0]

has_grant(each) if {
	some grant in each.grants
	not expired(grant)
}

# Whether a permission speaks of this question

expired(permission) if {
	permission.expires != null
	permission.expires <= time.now_ns()
}

in_place(permission) if {
	not expired(permission)
	not elsewhere(permission, permission.environment, environment)
	not elsewhere(permission, permission.callee, callee)
}

# A deny may mean an environment or a callee that is not known.
elsewhere(permission, meant, given) if {
	meant != null
	meant != given
	permission.effect != "deny"
}

elsewhere(_, meant, given) if {
	meant != null
	meant != given
	given != null
}

same_currency(permission) if permission.currency == null

same_currency(_) if object.get(context, "currency", null) == null

same_currency(permission) if {
	is_string(permission.currency)
	is_string(context.currency)
	regex.match(`^[ -~]+$`, context.currency)
	upper(context.currency) == upper(permission.currency)
}

# Denies. A maximum makes a deny a mere rung, but only of its own ladder.

denied if {
	some each in array.concat(exact, patterns)
	some deny in each.denies
	not is_rung(each, deny)
	in_place(deny)
}

is_rung(each, deny) if {
	each.id == level.id
	deny.max != null
}

denied_below if {
	level.kind == "tiers"
	some deny in agent.exact[taken.name].denies
	deny.max == null
	in_place(deny)
}

denied_below if {
	level.kind == "tiers"
	some deny in agent.wildcards[level.name].denies
	in_place(deny)
}

# What the kill switch holds: by the action's own name, or by the tier's that it comes to

stopped if {
	some pattern in agent.stops
	covers(pattern, action)
}

stopped if {
	some pattern in agent.stops
	covers(pattern, taken.name)
}

covers(pattern, _) if pattern == ""

covers(pattern, name) if pattern == name

covers(pattern, name) if {
	endswith(pattern, ".*")
	startswith(name, trim_suffix(pattern, "*"))
}

# The ladder

usable := [rung | some rung in level.rungs; in_place(rung); same_currency(rung)]

taken := [rung | some rung in usable; holds(rung)][0]

holds(rung) if rung.max == null

holds(rung) if amount <= rung.max

needs_amount if level.kind == "tiers"

needs_amount if {
	some rung in usable
	rung.max != null
}

has_amount if not needs_amount

has_amount if amount

# Amounts are compared as digits, thirty before and thirty after the point: exact, whatever the engine counts with.
written := context.amount if is_string(context.amount)

written := json.marshal(context.amount) if is_number(context.amount)

zeros := "000000000000000000000000000000"

amount := concat(".", [whole, fraction]) if {
	regex.match(`^[0-9]+(\.[0-9]+)?$`, written)
	count(written) <= 30
	[digits, decimals] := array.slice(split(concat("", [written, dot]), "."), 0, 2)
	whole := substring(concat("", [zeros, digits]), count(digits), 30)
	fraction := substring(concat("", [decimals, zeros]), 0, 30)
}

dot := "" if contains(written, ".")

dot := "." if not contains(written, ".")
