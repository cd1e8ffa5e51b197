"""Text to sound: espeak-ng where it is installed, tones otherwise."""

import asyncio
import shutil
import subprocess
from collections import OrderedDict

from callcenter.simulator.media import Samples, babble, read_wav

_KEPT = 400


class Speaker:
    """Makes and keeps spoken texts; the same text always sounds the same."""

    def __init__(self) -> None:
        self._program = shutil.which("espeak-ng")
        self._kept: OrderedDict[tuple[str, str], Samples] = OrderedDict()

    async def say(self, text: str, voice: str = "en-gb") -> Samples:
        """Samples of this text; rendered off the event loop."""
        key = (text, voice)
        if key not in self._kept:
            self._kept[key] = await asyncio.get_running_loop().run_in_executor(None, self._make, text, voice)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]

    def _make(self, text: str, voice: str) -> Samples:
        if self._program and text.strip():
            command = [self._program, "--stdout", "-s", "160", "-v", voice, "--stdin"]
            spoken = subprocess.run(command, input=text.encode(), capture_output=True, timeout=30, check=False)
            if spoken.returncode == 0 and spoken.stdout:
                return read_wav(_mend(spoken.stdout))
        return babble(text)


def _mend(body: bytes) -> bytes:
    """espeak-ng writes a WAV header with an unknown length when it writes to a pipe; put the true one in."""
    if len(body) < 44:
        return body
    whole, data = (len(body) - taken for taken in (8, 44))
    return body[:4] + whole.to_bytes(4, "little") + body[8:40] + data.to_bytes(4, "little") + body[44:]
