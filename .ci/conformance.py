#!/usr/bin/env python3
"""Runs AWS's recorded answers against our Step Functions server and fails below the score reached before.

Starts moto (SQS, DynamoDB) and bin/stepfunctions on free loopback ports, runs the conformance runner on the categories
that the server covers, prints the table of JSONPath cases, and compares it with the score file. --update writes it.
"""
import argparse, collections, http.client, http.server, json, os, pathlib, shutil, signal, socket, subprocess, sys, tempfile, threading, time
import urllib.request

CATEGORIES = 'base,choice,intrinsic,wait,parallel,map,callback,context,timeout,error,sqs,dynamodb,lambda'
ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def wait_http(url, what, proc):
    end = time.time() + 60
    while time.time() < end:
        if proc.poll() is not None:
            sys.exit(f'{what} ended with {proc.returncode} before it was ready')
        try:
            urllib.request.urlopen(url, timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
    sys.exit(f'{what} was not ready after 60 s at {url}')


class Resign(http.server.BaseHTTPRequestHandler):
    """Passes requests on to moto. moto picks the service by the credential's scope, and the runner signs all as states."""
    moto = 0
    protocol_version = 'HTTP/1.1'

    def log_message(self, *a):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        target = self.headers.get('X-Amz-Target', '')
        service = 'sqs' if target.startswith('AmazonSQS') else 'dynamodb' if target.startswith('DynamoDB') else 'states'
        headers = {k: v.replace('/states/aws4_request', f'/{service}/aws4_request') for k, v in self.headers.items()}
        conn = http.client.HTTPConnection('127.0.0.1', self.moto, timeout=70)
        conn.request('POST', self.path, body, headers)
        answer = conn.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        for k, v in answer.getheaders():
            if k.lower() not in ('content-length', 'connection', 'date', 'server', 'transfer-encoding'):
                self.send_header(k, v)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        conn.close()


def is_jsonata(folder):
    out = {}
    for path in pathlib.Path(folder).rglob('*.json'):
        case = json.loads(path.read_text(encoding='utf-8'))
        text = case.get('definition_text') or json.dumps(case.get('definition') or '')
        out[case['id']] = 'JSONata' in text
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--runner', required=True, help='folder with run_conformance.py and cases/')
    p.add_argument('--score', required=True, help='file with the score to hold')
    p.add_argument('--update', action='store_true', help='write the score reached into the score file')
    p.add_argument('--category', default=CATEGORIES)
    p.add_argument('--verbose', action='store_true')
    p.add_argument('--id')
    opt = p.parse_args()
    runner = pathlib.Path(opt.runner).resolve()
    moto, api, broker, fn = free_port(), free_port(), free_port(), free_port()
    data = tempfile.mkdtemp(prefix='callfleet-conformance-')
    report = pathlib.Path(data) / 'report.json'
    env = dict(os.environ, AWS_ACCESS_KEY_ID='test', AWS_SECRET_ACCESS_KEY='test', AWS_REGION='us-east-1')
    log = open(pathlib.Path(data) / 'servers.log', 'w')
    procs = []
    try:
        emulator = subprocess.Popen([sys.executable, '-m', 'moto.server', '-H', '127.0.0.1', '-p', str(moto)],
                                    stdout=log, stderr=log, env=env)
        procs.append(emulator)
        server = subprocess.Popen([str(ROOT / 'bin' / 'stepfunctions'), '--listen', f'127.0.0.1:{api}',
                                   '--broker-listen', f'127.0.0.1:{broker}', '--data', f'{data}/data', '--samples', 'off',
                                   '--sqs-endpoint', f'http://127.0.0.1:{moto}', '--dynamodb-endpoint', f'http://127.0.0.1:{moto}',
                                   '--lambda-endpoint', f'http://127.0.0.1:{fn}'], stdout=log, stderr=log, env=env)
        procs.append(server)
        wait_http(f'http://127.0.0.1:{moto}/moto-api/', 'moto', emulator)
        wait_http(f'http://127.0.0.1:{api}/readyz', 'stepfunctions', server)
        Resign.moto = moto
        front = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Resign)
        front.daemon_threads = True
        threading.Thread(target=front.serve_forever, daemon=True).start()
        emulators = f'http://127.0.0.1:{front.server_port}'
        cmd = [sys.executable, str(runner / 'run_conformance.py'), '--endpoint', f'http://127.0.0.1:{api}', '--cases', str(runner / 'cases'),
               '--category', opt.category, '--sqs-endpoint', emulators, '--dynamodb-endpoint', emulators,
               '--serve-lambda', str(fn), '--json', str(report)]
        if opt.verbose:
            cmd.append('--verbose')
        if opt.id:
            cmd += ['--id', opt.id]
        out = subprocess.run(cmd, env=env, capture_output=True, text=True, timeout=1500)
        if opt.verbose:
            print(out.stdout)
        if not report.exists():
            sys.exit(f'the runner gave no report:\n{out.stdout}\n{out.stderr}')
    finally:
        for proc in procs:
            proc.send_signal(signal.SIGTERM)
        for proc in procs:
            try:
                proc.wait(20)
            except subprocess.TimeoutExpired:
                proc.kill()
        log.close()
    jsonata = is_jsonata(runner / 'cases')
    cases = json.loads(report.read_text())['cases']
    shutil.rmtree(data, ignore_errors=True)
    table = collections.OrderedDict()
    for c in cases:
        if jsonata.get(c['id']):
            continue
        row = table.setdefault(c['category'], {k: [0, 0] for k in '1234'})
        for k, diffs in c['levels'].items():
            row[k][1] += 1
            row[k][0] += not diffs
    total = {k: [sum(r[k][i] for r in table.values()) for i in (0, 1)] for k in '1234'}
    print('JSONPath cases   %12s %14s %14s %14s' % ('status', 'output/error', 'event types', 'full events'))
    for name, row in list(table.items()) + [('TOTAL', total)]:
        print('%-16s ' % name + ' '.join('%13s' % (f'{row[k][0]}/{row[k][1]}' if row[k][1] else '-') for k in '1234'))
    reached = {k: total[k][0] for k in '24'}
    share = {k: 100 * total[k][0] / max(1, total[k][1]) for k in '24'}
    print(f'level 2: {share["2"]:.1f} %   level 4: {share["4"]:.1f} %')
    score = pathlib.Path(opt.score)
    if opt.update:
        score.write_text(json.dumps(reached) + '\n')
        return 0
    want = json.loads(score.read_text())
    below = [f'level {k}: {reached[k]} cases right, {want[k]} before' for k in '24' if reached[k] < want[k]]
    if below:
        print('below the score reached: ' + '; '.join(below))
    return 1 if below else 0


if __name__ == '__main__':
    sys.exit(main())
