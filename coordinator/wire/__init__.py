"""The JSON of the HTTP API as types: what its server and its client share.

Bytes that name things are lower-case hex, documents are base64, times are UTC (RFC 3339). Answers
have every field; what one asks for has defaults. `coordinator.api` fills these,
`coordinator.client` reads them; OpenAPI is made from them.
"""
