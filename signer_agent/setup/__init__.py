"""Making a signer agent from an invitation."""
