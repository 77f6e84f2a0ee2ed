"""A policy as an OPA bundle: what a decision point beside the agents may decide without asking Warden."""

from .archive import Bundle, make_bundle
from .data import bundle_data

__all__ = ["Bundle", "bundle_data", "make_bundle"]
