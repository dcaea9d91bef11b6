"""The agents' gateway: the WebSocket over which signer agents are asked and answer."""
