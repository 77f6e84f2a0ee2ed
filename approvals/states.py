"""The states of an approval, as data. Once final, for ever (I1)."""

PENDING, APPROVED, DENIED, EXPIRED, CANCELLED = "pending", "approved", "denied", "expired", "cancelled"
STATES = {
    PENDING: "Waiting",
    APPROVED: "Approved",
    DENIED: "Denied",
    EXPIRED: "Expired",
    CANCELLED: "Cancelled",
}
MOVES: dict[str, frozenset[str]] = {
    PENDING: frozenset({APPROVED, DENIED, EXPIRED, CANCELLED}),
    APPROVED: frozenset(),
    DENIED: frozenset(),
    EXPIRED: frozenset(),
    CANCELLED: frozenset(),
}
FINAL = frozenset(state for state, moves in MOVES.items() if not moves)
BREAK_GLASS = "break_glass"  # the code of an approval outside its rule
CHANGES = "changes_requested"  # the code of a denial that asks for changes
