"""An external OPA as one more gate: asked about what Warden would allow or ask, and able to tighten it only."""
