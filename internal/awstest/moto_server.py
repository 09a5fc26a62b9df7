"""Runs moto, an emulator of AWS, for tests: on a free port of 127.0.0.1, which it
prints, and for as long as its standard input is open. Its one argument is the
version of moto that it needs; it ends with status 3 where that is not installed.
"""

import copy
import os
import sys
import threading
import types

MISSING = 3


def find(version):
    """Imports the pinned moto with all that its server needs, or ends."""
    try:
        import moto
        import moto.server
        import moto.dynamodb.models
        import moto.sqs.models
        import moto.stepfunctions.parser.models
    except ImportError as e:
        sys.stderr.write(f"{sys.executable} lacks what moto's server needs: {e}\n")
        sys.exit(MISSING)
    if moto.__version__ != version:
        sys.stderr.write(f"{sys.executable} has moto {moto.__version__}, not {version}\n")
        sys.exit(MISSING)


def patch():
    """Mends what keeps moto from running a state machine more than once."""
    from moto.core import config
    from moto.stepfunctions.parser import models

    config.default_user_config["stepfunctions"]["execute_state_machine"] = True
    # An execution is given a deep copy of its state machine, and with it of the
    # executions before it, whose threads and locks can't be copied. The module
    # copies nothing else; it must not be the interpreter's own copy.deepcopy.
    models.copy = types.SimpleNamespace(deepcopy=copy.copy)


def serve():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"  # connections are used again

        def log_request(self, *args):
            pass

    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    server.daemon_threads = True
    # Where the tasks of state machines are sent.
    os.environ["MOTO_PORT"] = str(server.server_port)
    os.environ["NO_PROXY"] = "*"
    print(server.server_port, flush=True)
    server.serve_forever()


def end_with_stdin():
    while os.read(0, 4096):
        pass
    os._exit(0)  # whatever else is running


threading.Thread(target=end_with_stdin, daemon=True).start()
find(sys.argv[1])
patch()
serve()
