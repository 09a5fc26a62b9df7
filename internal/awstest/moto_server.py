"""Runs moto, an emulator of AWS, for tests: on a free port of 127.0.0.1, which it
prints, and for as long as its standard input is open. Its arguments are the
version of moto that it needs, for it ends with status 3 where that is not
installed, and the URL of a Lambda API, or nothing.
"""

import copy
import functools
import io
import os
import sys
import threading
import time
import types

MISSING = 3

# Held by the request that is being answered, for services that AWS makes atomic
# and moto does not. Step Functions has none: its tasks are requests themselves.
LOCKS = {"sqs": threading.Lock(), "dynamodb": threading.Lock()}


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


def patch_stepfunctions():
    """Makes moto run state machines, and more than once."""
    from moto.core import config
    from moto.stepfunctions.parser import models
    from moto.stepfunctions.parser.asl.component.common.path import result_path
    from moto.stepfunctions.parser.asl.eval.callback.callback import CallbackEndpoint
    from moto.stepfunctions.parser.asl.utils import boto_client, json_path

    config.default_user_config["stepfunctions"]["execute_state_machine"] = True
    # An execution is given a deep copy of its state machine, and with it of the
    # executions before it, whose threads and locks can't be copied. The module
    # copies nothing else; it must not be the interpreter's own copy.deepcopy.
    models.copy = types.SimpleNamespace(deepcopy=copy.copy)

    # A report looks through all executions for its token, also through those
    # whose thread has not begun, and failed at them.
    backend, all_executions = models.StepFunctionsParserBackend, models.StepFunctionsParserBackend._get_executions

    def begun(self, status=None):
        return [e for e in all_executions(self, status) if e.exec_worker and e.exec_worker.env]

    backend._get_executions = begun

    # The task is sent before its heartbeat is set up. A report in between was
    # forgotten until the heartbeat's time was over, and a heartbeat was refused.
    endpoint, set_up = CallbackEndpoint, CallbackEndpoint.setup_heartbeat_endpoint

    def set_up_and_look(self, heartbeat_seconds):
        heartbeat = set_up(self, heartbeat_seconds)
        if self.get_outcome() is not None:
            heartbeat.notify()
        return heartbeat

    def notify_heartbeat(self):
        if self._heartbeat_endpoint is not None:
            self._heartbeat_endpoint.notify()
        return True

    endpoint.setup_heartbeat_endpoint = set_up_and_look
    endpoint.notify_heartbeat = notify_heartbeat

    # Each use of a JSONPath built the parser's tables anew, for 50 ms.
    json_path.parse = functools.cache(json_path.parse)
    result_path.parse = functools.cache(result_path.parse)

    # Each task made a client of its own, for as long.
    make, clients, lock = boto_client.boto3.client, {}, threading.Lock()

    def client(*, service_name, region_name, **settings):
        with lock:
            key = service_name, region_name
            if key not in clients:
                clients[key] = make(service_name=service_name, region_name=region_name, **settings)
            return clients[key]

    boto_client.boto3 = types.SimpleNamespace(client=client)


def patch_sqs():
    """Makes a long poll wait without the lock, and for more than new messages.

    moto's own wait misses messages that become visible again, for a second, and
    does not wait at all while there are messages that it may not hand out.
    """
    from moto.sqs import models

    def wait_for_messages(self, timeout):
        LOCKS["sqs"].release()
        try:
            with self._messages_lock:
                self._messages_lock.wait(0.05)
        finally:
            LOCKS["sqs"].acquire()

    models.Queue.wait_for_messages = wait_for_messages
    # It is asked for every message of a queue, at each request; moto's is slow.
    models.unix_time_millis = lambda: time.time() * 1000


def patch_lambda(url):
    """Sends the functions of state machines to a Lambda API elsewhere: moto runs
    them in containers."""
    import boto3
    from botocore.config import Config
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils

    def client(region, **_):
        once = Config(retries={"total_max_attempts": 1}, read_timeout=900)
        return boto3.client("lambda", region, endpoint_url=url, config=once, aws_access_key_id="moto", aws_secret_access_key="moto")

    lambda_eval_utils.boto_client_for = client


def one_at_a_time(app):
    """Answers the requests to a service with a lock one after the other."""

    def answer(environ, start_response):
        # … Credential=KEY/DAY/REGION/SERVICE/aws4_request, …
        scope = environ.get("HTTP_AUTHORIZATION", "").partition(",")[0].split("/")
        lock = LOCKS.get(scope[-2]) if len(scope) > 2 else None
        if lock is None:
            return app(environ, start_response)
        with lock:
            return app(environ, start_response)

    return answer


def serve():
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        """Keeps connections open, which werkzeug's own does not."""

        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def run_wsgi(self):
            environ = self.make_environ()
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            environ["wsgi.input"] = io.BytesIO(body)
            answer = []
            chunks = self.server.app(environ, lambda *start: answer.extend(start))
            body = b"".join(chunks)
            chunks.close()
            code, _, reason = answer[0].partition(" ")
            self.send_response(int(code), reason)
            for name, value in answer[1]:
                if name.lower() != "content-length":
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_request(self, *args):
            pass

    app = DomainDispatcherApplication(create_backend_app)
    app.get_backend_for_host = functools.cache(app.get_backend_for_host)  # a quarter of all the time
    server = make_server("127.0.0.1", 0, one_at_a_time(app), threaded=True, request_handler=Handler)
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
patch_stepfunctions()
patch_sqs()
if sys.argv[2:] and sys.argv[2]:
    patch_lambda(sys.argv[2])
serve()
