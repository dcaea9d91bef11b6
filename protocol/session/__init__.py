"""What agent and coordinator say to each other over one WebSocket: handshake and messages.

Bytes and rules only; who opens sockets is `signer_agent.daemon` and `coordinator.agents`.
"""
