"""Time-stamps of checkpoints (RFC 3161), against the certificates of an authority that you trust."""

from __future__ import annotations

from pathlib import Path


class Authority:
    """Who vouches for the time. Raises ImportError without the extra `timestamps`, ValueError for what is no PEM."""

    def __init__(self, file: Path) -> None:
        from cryptography.x509 import load_pem_x509_certificates
        from rfc3161_client import VerifierBuilder

        builder = VerifierBuilder()
        for root in load_pem_x509_certificates(file.read_bytes()):
            builder = builder.add_root_certificate(root)
        self._verifier = builder.build()

    def check(self, response: bytes, note: bytes) -> str:
        """The time, in RFC 3339, at which the authority saw `note`. Raises ValueError where it did not sign that."""
        from rfc3161_client import VerificationError, decode_timestamp_response

        try:
            found = decode_timestamp_response(response)
            self._verifier.verify_message(found, note)
        except VerificationError as error:
            raise ValueError(str(error)) from error
        return found.tst_info.gen_time.isoformat().replace("+00:00", "Z")
