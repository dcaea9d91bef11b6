from pathlib import Path
from bench.rows import Row
async def measure(directory: Path, quick: bool) -> Row:
    raise NotImplementedError
