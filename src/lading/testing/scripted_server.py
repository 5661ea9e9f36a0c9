"""A small model server that misbehaves as told: what a real one does at its worst, on demand. Standard library only.

    python scripted_server.py '{"port": 8000, "name": "tiny", "behaviour": "hangs", "log": ["loading"]}'

Behaviours: ``well`` (answers), ``dies`` (prints *log*, exits 3), ``deaf`` (never listens), ``loading`` (``/health`` 503 for
ever), ``hangs`` (healthy, no request is answered), ``dies_asked`` (exits at the first request), ``other_name`` (lists its
name, answers with another), ``answers_any`` (lists another name, answers with it), ``errors`` (500 to each request), ``stalls``
(a streamed answer stops after its first word), ``dies_loaded`` (exits at the first streamed request), ``stubborn``
(ignores SIGTERM), ``escapes`` (starts a child in a session of its own), ``hides`` (so, and the child drops its environment),
``keeps_port`` (a child without trace listens on its port).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_SLEEPER = "import sys, time; print('child', flush=True); time.sleep(120)"


class Handler(BaseHTTPRequestHandler):
    """OpenAI's routes, with the behaviour of `settings`."""

    settings: dict[str, Any] = {}
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Health, models, and what it was started with."""
        behaviour = self.settings["behaviour"]
        if self.path == "/health":
            loading = behaviour == "loading"
            self._send(
                503 if loading else 200, {"error": {"message": "Loading model"}} if loading else {"status": "ok"}
            )
        elif self.path == "/v1/models":
            name = "another" if behaviour == "answers_any" else self.settings["name"]
            names = [name, *self.settings.get("also", [])]
            self._send(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]})
        elif self.path == "/settings":
            self._send(200, self.settings)
        else:
            self._send(404, {"error": {"message": f"no {self.path}"}})

    def do_POST(self) -> None:
        """A completion of two words."""
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        behaviour, asked = self.settings["behaviour"], body.get("model")
        key = self.settings.get("key")
        if behaviour == "hangs":
            time.sleep(600)
        if behaviour == "dies_asked":
            os._exit(9)
        if key and self.headers.get("Authorization") != f"Bearer {key}":
            self._send(401, {"error": {"message": "no valid key"}})
        elif behaviour == "errors":
            self._send(500, {"error": {"message": "out of luck"}})
        elif behaviour not in {"answers_any", "other_name"} and asked != self.settings["name"]:
            self._send(404, {"error": {"message": f"The model `{asked}` does not exist."}})
        else:
            name = "another" if behaviour in {"other_name", "answers_any"} else self.settings["name"]
            self._answer(name, body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is inherited
        """Each request, to the log."""
        print(format % args, flush=True)  # noqa: T201

    def _answer(self, name: str, body: dict[str, Any]) -> None:
        if not body.get("stream"):
            choice = {"index": 0, "text": "well done", "finish_reason": "length", "message": {"content": "well done"}}
            self._send(200, {"model": name, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
            return
        if self.settings["behaviour"] == "dies_loaded":
            os._exit(9)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for word in ("well", " done"):
            choice = {"index": 0, "text": word, "delta": {"content": word}}
            self.wfile.write(f"data: {json.dumps({'model': name, 'choices': [choice]})}\n\n".encode())
            self.wfile.flush()
            if self.settings["behaviour"] == "stalls":
                time.sleep(600)
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _send(self, status: int, document: Any) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main(document: str) -> int:
    """Serve as told; the exit status."""
    settings = {"host": "127.0.0.1", "name": "scripted", "behaviour": "well", "log": [], **json.loads(document)}
    Handler.settings = settings
    for line in settings["log"]:
        print(line, flush=True)  # noqa: T201
    behaviour = settings["behaviour"]
    if behaviour == "dies":
        return 3
    if behaviour == "deaf":
        threading.Event().wait()
    if behaviour == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    address = (settings["host"], int(settings["port"]))
    server = ThreadingHTTPServer(address, Handler)
    _start_children(behaviour, server)
    server.serve_forever()
    return 0


def _start_children(behaviour: str, server: ThreadingHTTPServer) -> None:
    """A child that leaves the session; `hides` and `keeps_port` also drop the environment, and lose their parent."""
    if behaviour == "escapes":
        subprocess.Popen([sys.executable, "-c", _SLEEPER], start_new_session=True)
    if behaviour in {"hides", "keeps_port"}:
        kept = (server.fileno(),) if behaviour == "keeps_port" else ()
        child = [sys.executable, "-c", _SLEEPER]
        orphan = f"import subprocess; subprocess.Popen({child!r}, start_new_session=True, env={{}}, pass_fds={kept!r})"
        if behaviour == "hides":
            subprocess.Popen(child, start_new_session=True, env={})
        else:
            subprocess.run([sys.executable, "-c", orphan], env={}, pass_fds=kept, check=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
