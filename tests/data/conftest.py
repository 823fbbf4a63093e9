"""A web server on this machine, for the tests of downloads."""

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@dataclass
class Server:
    """The files of a server, the requests it got, and an action after half of a file is sent."""

    url: str
    files: dict = field(default_factory=dict)
    asked: list = field(default_factory=list)
    halfway: object = lambda: None


@pytest.fixture
def server(monkeypatch):
    class Handler(BaseHTTPRequestHandler):
        timeout = 20

        def do_GET(self):
            name = self.path.lstrip("/")
            found.asked.append(name)
            if name not in found.files:
                self.send_error(404)
                return
            content = found.files[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: len(content) // 2])
            if found.halfway() != "hang up":
                self.wfile.write(content[len(content) // 2 :])

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        found = Server(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield found
        http.shutdown()
        thread.join()
