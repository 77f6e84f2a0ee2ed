"""Break-glass: one request allowed outside its rule, never outside the policy; told at once, and signed off."""
